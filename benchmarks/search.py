"""Exact search among rows of unit length: ours, numpy, faiss Flat, DuckDB, LanceDB, pgvector; those that are installed.

Measures, in one run and in turns, so that a busy moment hits all alike: the median of a search for the 50 most alike,
of one query and of 64 together, among all rows and among a tenth of them (ours by time, the others by a range of ids).
Each is measured after a rest and a search that is not, since threads of BLAS and OpenMP go on spinning after a product
and would take a core from whoever comes next. Every answer of ours is compared with one of all rows in float64. Prints
the ratio to ours, what memory each took a row while it was made ready, and at the end how the time grows: the power of
the number of rows that fits it best.

Beside each line stands the limit: how long all cores take to read once what a search of ours must read at least, the
int8 codes of the rows, or their float32 where so few are kept without codes. Ours has its rows in memory here; a
gallery in a file reads those that are compared exactly from the file (`gallery.py` measures it from the outside).

    python benchmarks/search.py [--rows 100 1000 10000 50000 100000 1000000] [--dim 128] [--rounds 9] [--only numpy ...]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from search_engines import ENGINES, TOP, Searches  # type: ignore[import-not-found]  # beside this file

from resight.core.cores import available_cores
from resight.core.records import FloatArray, IntArray
from resight.gallery.search.columns import Columns, Selection
from resight.gallery.search.exact import Found
from resight.gallery.search.index import BLOCK_ROWS, Index
from resight.gallery.sqlite.index.kept import TAIL_ROWS

REST_S = 0.05  # longer than OpenBLAS's threads spin
SLOW_S = 2.0  # what takes longer is run three times, not as often as the rest
Times = dict[str, dict[str, list[tuple[int, float]]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[100, 1_000, 10_000, 50_000, 100_000, 1_000_000])
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", nargs="*", default=list(ENGINES), choices=list(ENGINES), metavar="ENGINE")
    options = parser.parse_args()
    print(f"{options.dim} values, top {TOP}, median of {options.rounds} rounds, ms a search (ratio to ours)")
    medians: Times = defaultdict(lambda: defaultdict(list))
    for num in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            _one_size(num, options.dim, options.rounds, options.only, Path(folder), medians)
    if len(options.rows) > 1:
        print("\ntime grows with the number of rows to the power of")
        for what, sides in medians.items():
            told = [f"{name} {_power(found):.2f}" for name, found in sides.items() if len(found) > 1]
            print(f"  {what:20s} {'   '.join(told)}")


def _one_size(num: int, dim: int, rounds: int, names: list[str], folder: Path, medians: Times) -> None:
    rows, queries = drawn(num, dim)
    first, last = num // 5, num // 5 + num // 10
    work: dict[str, dict[str, Callable[[], object]]] = defaultdict(dict)
    print(f"\n{num:,} rows; made ready in (memory a row, to float32's):", end=" ", flush=True)
    with ExitStack() as stack:
        for name in ["ours", *names]:
            before, started = _resident(), time.perf_counter()
            make = _ours if name == "ours" else ENGINES[name]
            try:
                searches = stack.enter_context(make(rows, folder))
            except ImportError:
                continue
            took, bytes_a_row = time.perf_counter() - started, (_resident() - before) / num
            outside = name == "pgvector"  # a server of its own
            memory = "its server's" if outside else f"{bytes_a_row / (4 * dim):.2f}"
            print(f"{name} {took:.1f} s ({memory})", end="   ", flush=True)
            if name == "ours":
                _check(searches, rows, queries)
            work["one query"][name] = partial(searches.all, queries[:1])
            work["64 queries"][name] = partial(searches.all, queries)
            work["one query, a tenth"][name] = partial(searches.range, queries[:1], first, last)
        print()
        for what, sides in work.items():
            found: dict[str, list[float]] = {name: [_timed(search)] for name, search in sides.items()}
            for turn in range(rounds):
                for name, search in sides.items():
                    if found[name][0] < SLOW_S or turn < 2:
                        time.sleep(REST_S)
                        search()
                        found[name].append(_timed(search))
            for name, times in found.items():
                medians[what][name].append((num, statistics.median(times[1:])))
            ours = medians[what]["ours"][-1][1]
            told = [
                f"{name} {medians[what][name][-1][1] * 1e3:.2f} ({medians[what][name][-1][1] / ours:.1f})"
                for name in sides
            ]
            share = (last - first) / num if "tenth" in what else 1.0
            limit = _limit(int(share * num) * dim * (4 if num <= TAIL_ROWS else 1))
            told.append(f"limit {limit * 1e3:.2f} (ours {ours / limit:.1f} times)")
            print(f"  {what:20s} {'   '.join(told)}", flush=True)


def _limit(size: int) -> float:
    """Seconds in which all cores read so many bytes once, the median of 9."""
    words, cores = np.ones(max(1, size // 8), np.uint64), available_cores()
    parts = np.array_split(words, cores)
    with ThreadPoolExecutor(cores) as pool:
        return statistics.median(_timed(lambda: list(pool.map(np.bitwise_or.reduce, parts))) for _ in range(9))


def drawn(num: int, dim: int, num_queries: int = 64) -> tuple[FloatArray, FloatArray]:
    """People of 20 pictures each, at similarities from 0.2 to 0.95, as real embeddings are; and queries."""
    rng = np.random.default_rng(0)
    people = rng.standard_normal((max(1, num // 20), dim), dtype=np.float32)
    spread = rng.uniform(0.3, 1.5, (num, 1)).astype(np.float32)
    rows = people[rng.integers(0, len(people), num)] + spread * rng.standard_normal((num, dim), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    queries = rows[rng.integers(0, num, num_queries)]
    queries += 0.05 * rng.standard_normal((num_queries, dim), dtype=np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    return rows, queries


@contextmanager
def _ours(rows: FloatArray, folder: Path) -> Iterator[Searches]:
    """The gallery's index. Its copy of the rows counts: a gallery has them from its file."""
    num = len(rows)
    columns = Columns(
        np.arange(num), np.arange(num, dtype=np.float64), np.zeros(num, np.uint16), np.zeros(num, np.int32)
    )
    index = Index(rows.shape[1])
    for start in range(0, num, BLOCK_ROWS):
        part = slice(start, min(num, start + BLOCK_ROWS))
        (index.add_block if num > TAIL_ROWS else index.add)(rows[part].copy(), columns.take(part))

    def ids(found: list[Found]) -> list[IntArray]:
        return [answer.ids for answer in found]

    def search_range(queries: FloatArray, first: int, last: int) -> list[IntArray]:
        return ids(index.search(queries, TOP, Selection(after=float(first), before=float(last))))

    yield Searches(lambda queries: ids(index.search(queries, TOP)), search_range)
    index.close()


def _check(ours: Searches, rows: FloatArray, queries: FloatArray) -> None:
    for query, found in zip(queries[:8], ours.all(queries[:8]), strict=True):
        true = np.concatenate([rows[s : s + 65_536].astype(np.float64) @ query for s in range(0, len(rows), 65_536)])
        if not np.allclose(true[found], np.sort(true)[::-1][:TOP], rtol=0, atol=1e-12):
            raise SystemExit("the answer is not that of a comparison with every row")


def _timed(search: Callable[[], object]) -> float:
    started = time.perf_counter()
    search()
    return time.perf_counter() - started


def _resident() -> int:
    """Bytes of this process in memory."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def _power(found: list[tuple[int, float]]) -> float:
    sizes, times = zip(*found, strict=True)
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


if __name__ == "__main__":
    main()
