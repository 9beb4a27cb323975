"""A gallery in a file, opened cold: by its codes, which are mapped, and by reading every row, as before.

Makes a gallery of rows drawn at random (written past `add`, which would take longer), whose first search writes the
codes. Then, in turns, each in a process that knows nothing yet, from the start of Python to the first answer: a search
by an embedding through `open_gallery`; the same by reading all rows into memory; by numpy alone, which reads as much
from a plain file of float32. Beside the wall's time stands that of the processor, which a busy machine changes less.
Memory: what a process has for itself, and what it shares with others.

    python benchmarks/opening.py [--rows 100000 1000000] [--dim 256] [--rounds 5] [--folder FOLDER] [--new-only]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from resight.gallery.engines import open_store
from resight.gallery.records import Settings

NEW = """
import sys
import numpy as np
from resight import open_gallery
gallery = open_gallery(sys.argv[1], read_only=True)
gallery.search_embeddings(np.eye(1, gallery.settings.dim, dtype=np.float32), 50)
"""
OLD = """
import sqlite3, sys
import numpy as np
from resight.gallery.engines import open_store
from resight.gallery.search.columns import Columns
from resight.gallery.search.index import BLOCK_ROWS, Index
from resight.gallery.sqlite.index.reading import Rows
store = open_store(sys.argv[1], None, read_only=True)
rows, dim = Rows(store._db, store.settings.dim), store.settings.dim
with store._db.reading():
    columns = rows.columns(0)
    order = np.lexsort((columns.times, columns.cameras))
    vectors = np.empty((len(columns), dim), np.float32)
    place, done = np.argsort(order), 0
    for part in rows.vectors(0):
        vectors[place[done : done + len(part)]] = part
        done += len(part)
    index = Index(dim)
    for start in range(0, done, BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        index.add_block(vectors[part], columns.take(order[part]))
    index.search(np.eye(1, dim, dtype=np.float32), 50)
    index.people()
"""
NUMPY = """
import sys
import numpy as np
rows = np.fromfile(sys.argv[1] + ".float32", np.float32).reshape(-1, int(sys.argv[2]))
scores = rows @ np.eye(1, rows.shape[1], dtype=np.float32)[0]
np.argpartition(scores, -50)[-50:]
"""
MEMORY = """
status = open("/proc/self/status").read()
print(*(status.split(key + ":")[1].split()[0] for key in ("RssAnon", "RssFile", "RssShmem")))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the galleries are made, and removed afterwards")
    parser.add_argument("--new-only", action="store_true", help="where there is no memory for the other ways")
    options = parser.parse_args()
    for num in options.rows:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            _one_size(num, options.dim, options.rounds, Path(folder), options.new_only)


def _one_size(num: int, dim: int, rounds: int, folder: Path, new_only: bool) -> None:
    place = folder / "site.db"
    _make(place, num, dim, with_floats=not new_only)
    size = place.stat().st_size
    started = time.perf_counter()
    _run(NEW, place, dim)
    built = time.perf_counter() - started
    codes = place.with_name("site.db-codes")
    kept = codes.stat().st_size if codes.exists() else 0
    print(f"{num:,} rows of {dim} values; {size / num:,.0f} bytes a row in the file, {kept / num:,.0f} beside it")
    print(f"  the first search of all, which writes the codes: {built:.1f} s; load {os.getloadavg()[0]:.1f}")
    ways = (
        {"by the codes": NEW} if new_only else {"by the codes": NEW, "all rows read": OLD, "numpy, a plain file": NUMPY}
    )
    told: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, code in ways.items():
            told[name].append(_run(code, place, dim))
    first = statistics.median(run[0] for run in told["by the codes"])
    for name, runs in told.items():
        wall, cpu, own, shared = (statistics.median(values) for values in zip(*runs, strict=True))
        spread = f"{min(run[0] for run in runs):.2f} to {max(run[0] for run in runs):.2f}"
        print(
            f"  {name:20s} {wall:6.2f} s ({spread}; {wall / first:.1f} times), {cpu:.2f} s of a processor; "
            f"{own / 1e6:,.0f} MB own, {shared / 1e6:,.0f} MB of files",
            flush=True,
        )
    print(f"  load {os.getloadavg()[0]:.1f}")


def _make(place: Path, num: int, dim: int, with_floats: bool) -> None:
    settings = Settings("model", "model", dim, False, False, "2026-01-01", "anyone")
    store = open_store(place, settings, new=True)
    db = store._db.db  # type: ignore[attr-defined]
    db.execute("PRAGMA synchronous = OFF")
    rng = np.random.default_rng(0)
    people = rng.standard_normal((max(1, num // 20), dim), dtype=np.float32)
    db.executemany("INSERT INTO cameras VALUES (?, ?)", [(code, f"camera {code}") for code in range(1, 51)])
    insert = (
        "INSERT INTO entries (camera, time, track, pid, name, attributes, embedding, checksum) "
        "VALUES (?, ?, NULL, ?, '', '{}', ?, x'0000000000000000')"
    )
    for start in range(0, num, 10_000):
        count = min(10_000, num - start)
        pids = rng.integers(0, len(people), count)
        rows = people[pids] + rng.standard_normal((count, dim), dtype=np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        cameras, times = (
            rng.integers(1, 51, count).tolist(),
            (1.7e9 + 2.6e6 * (start + np.arange(count)) / num).tolist(),
        )
        db.execute("BEGIN")
        db.executemany(insert, zip(cameras, times, pids.tolist(), (row.tobytes() for row in rows), strict=True))
        db.execute("COMMIT")
        if with_floats:
            with Path(f"{place}.float32").open("ab") as plain:
                plain.write(rows.tobytes())
    store.close()


def _run(code: str, place: Path, dim: int) -> tuple[float, float, float, float]:
    """Wall and processor seconds, own and shared bytes."""
    before, started = os.times(), time.perf_counter()
    command = [sys.executable, "-c", code + MEMORY, str(place), str(dim)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    wall, after = time.perf_counter() - started, os.times()
    own, file, shared = (1024 * int(word) for word in done.stdout.split())
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, spent, own, file + shared


if __name__ == "__main__":
    main()
