"""A gallery in a file, from the outside: adding, opening, forgetting, and a search by the command line from cold.

Makes a gallery of the packaged model's form with embeddings drawn at random around people of 20 pictures each, by 50
cameras over 30 days, then measures: rows a second while adding, 1,000 at a time, each batch flushed to the disk;
opening with the first search, by a process that knows nothing yet; `resight gallery search` of a picture, the start of
Python and the network included; a later search; forgetting one person, by a process that has not read the gallery and
by one that has; writing the whole file anew, as `compact` does.

    python benchmarks/gallery.py [--rows 100000 1000000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import resight
from resight.data.city.synthetic import CityConfig, draw_city

BATCH = 1000
FIRST_SEARCH = """
import sys, time
import numpy as np
import resight
started = time.perf_counter()
with resight.open_gallery(sys.argv[1], read_only=True) as gallery:
    query = np.eye(1, gallery.settings.dim, dtype=np.float32)
    gallery.search_embeddings(query, 50)
    print(time.perf_counter() - started)
    status = open("/proc/self/status").read()
    print(int(status.split("VmRSS:")[1].split()[0]) * 1024)
    times = []
    for _ in range(20):
        started = time.perf_counter()
        gallery.search_embeddings(query, 50)
        times.append(time.perf_counter() - started)
    print(sorted(times)[10])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for num in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            _one_size(num, options.rounds, Path(folder))


def _one_size(num: int, rounds: int, folder: Path) -> None:
    place, picture = folder / "site.db", folder / "person.jpg"
    picture.write_bytes(draw_city(CityConfig(train_people=1, test_people=0)).train[0].read())
    model = resight.load()
    print(f"{num:,} rows of {model.dim} values")
    rng = np.random.default_rng(0)
    people = rng.standard_normal((max(1, num // 20), model.dim), dtype=np.float32)
    spent = 0.0
    with resight.open_gallery(place, model) as gallery:
        for start in range(0, num, BATCH):
            pids = rng.integers(0, len(people), min(BATCH, num - start))
            rows = people[pids] + rng.standard_normal((len(pids), model.dim), dtype=np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            cameras = [f"camera {number}" for number in rng.integers(0, 50, len(pids))]
            times = (1.7e9 + 2.6e6 * (start + np.arange(len(pids))) / num).tolist()
            started = time.perf_counter()
            gallery.add_embeddings(rows, model=model.identity, camera=cameras, time=times, pid=pids.tolist())
            spent += time.perf_counter() - started
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"  adding                      {num / spent:,.0f} rows/s; {size / num:,.0f} bytes a row on the disk")

    opened = [_run(FIRST_SEARCH, place) for _ in range(rounds)]
    print(
        f"  opening, and first search   {_told([found[0] for found in opened])} s; {opened[0][1] / 1e6:,.0f} MB in all"
    )
    print(f"  a later search, top 50      {_told([found[2] * 1e3 for found in opened])} ms")
    command = [sys.executable, "-m", "resight.cli", "gallery", "search", str(place), str(picture)]
    cold = [_timed(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(rounds)]
    print(f"  the command line, from cold {_told(cold)} s")
    with resight.open_gallery(place) as gallery:
        gone = [_timed(lambda: gallery.forget(pid=number)) for number in range(rounds)]  # noqa: B023
        print(f"  forgetting a person         {_told(gone)} s")
        gallery.search_embeddings(np.eye(1, model.dim, dtype=np.float32))
        gone = [_timed(lambda: gallery.forget(pid=number)) for number in range(rounds, 2 * rounds)]  # noqa: B023
        print(f"  the same, after a search    {_told(gone)} s")
        print(f"  writing the file anew       {_timed(gallery.compact):.2f} s")


def _run(code: str, place: Path) -> list[float]:
    done = subprocess.run([sys.executable, "-c", code, str(place)], check=True, capture_output=True, text=True)
    return [float(line) for line in done.stdout.split()]


def _timed(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def _told(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
