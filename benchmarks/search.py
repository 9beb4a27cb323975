"""Exact search among rows of unit length: ours, a numpy matrix product, and faiss's Flat where it is installed.

Measures, in one run and in turns, so that a busy moment hits all alike: the median of a search for the 50 most alike,
of one query and of 64 together, among all rows and among a tenth of them (ours by time, faiss by a range of ids).
Every answer of ours is compared with a comparison of all rows in float64. Prints the ratio to ours, and bytes a row.

    python benchmarks/search.py [--rows 10000 100000 1000000] [--dim 128] [--rounds 9]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from resight.core.records import FloatArray
from resight.gallery.columns import Columns, Selection
from resight.gallery.index import BLOCK_ROWS, Index

TOP = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    print(f"{options.dim} values, top {TOP}, median of {options.rounds} rounds, ms a search (ratio to ours)")
    for num in options.rows:
        _one_size(num, options.dim, options.rounds)


def _one_size(num: int, dim: int, rounds: int) -> None:
    rng = np.random.default_rng(0)
    # People of 20 pictures each, at similarities from 0.2 to 0.95, as real embeddings are; not noise.
    people = rng.standard_normal((max(1, num // 20), dim), dtype=np.float32)
    spread = rng.uniform(0.3, 1.5, (num, 1)).astype(np.float32)
    rows = people[rng.integers(0, len(people), num)] + spread * rng.standard_normal((num, dim), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    queries = rows[rng.integers(0, num, 64)] + 0.05 * rng.standard_normal((64, dim), dtype=np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    columns = Columns(
        np.arange(num), np.arange(num, dtype=np.float64), np.zeros(num, np.uint16), np.zeros(num, np.int32)
    )
    index = Index(dim)
    started = time.perf_counter()
    for start in range(0, num, BLOCK_ROWS):
        part = slice(start, min(num, start + BLOCK_ROWS))
        index.add_block(rows[part], columns.take(part))
    built_s = time.perf_counter() - started
    first, last = num // 5, num // 5 + num // 10
    tenth = Selection(after=float(first), before=float(last))
    _check(index, rows, queries)

    work: dict[str, dict[str, Callable[[], object]]] = {
        "one query": {"ours": lambda: index.search(queries[:1], TOP), "numpy": lambda: _numpy(rows, queries[:1])},
        "64 queries": {"ours": lambda: index.search(queries, TOP), "numpy": lambda: _numpy(rows, queries)},
        "one query, a tenth": {
            "ours": lambda: index.search(queries[:1], TOP, tenth),
            "numpy": lambda: _numpy(rows[first:last], queries[:1]),
        },
    }
    flat = _faiss(rows)
    if flat is not None:
        search, search_range = flat
        work["one query"]["faiss Flat"] = lambda: search(queries[:1])
        work["64 queries"]["faiss Flat"] = lambda: search(queries)
        work["one query, a tenth"]["faiss Flat"] = lambda: search_range(queries[:1], first, last)
    print(
        f"\n{num:,} rows: {index.nbytes / num:.0f} bytes a row, {index.nbytes / rows.nbytes:.2f} of float32's; ", end=""
    )
    print(f"made ready in {built_s:.2f} s")
    for what, sides in work.items():
        found: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds + 1):
            for name, search_once in sides.items():
                started = time.perf_counter()
                search_once()
                found[name].append(time.perf_counter() - started)
        medians = {name: statistics.median(times[1:]) for name, times in found.items()}
        told = [f"{name} {value * 1e3:.2f} ({value / medians['ours']:.1f})" for name, value in medians.items()]
        print(f"  {what:20s} {'   '.join(told)}")
    index.close()


def _check(index: Index, rows: FloatArray, queries: FloatArray) -> None:
    for query, answer in zip(queries[:8], index.search(queries[:8], TOP), strict=True):
        true = np.concatenate([rows[s : s + 65_536].astype(np.float64) @ query for s in range(0, len(rows), 65_536)])
        best = np.sort(true)[::-1][:TOP]
        if not np.allclose(answer.similarities, best, rtol=0, atol=1e-12):
            raise SystemExit("the answer is not that of a comparison with every row")


def _numpy(rows: FloatArray, queries: FloatArray) -> None:
    for block in np.array_split(queries, max(1, len(queries) * len(rows) // 2**24)):  # 64 MB of products at a time
        products = block @ rows.T
        best = np.argpartition(products, -TOP, axis=1)[:, -TOP:]
        np.take_along_axis(best, np.argsort(-np.take_along_axis(products, best, axis=1), axis=1), axis=1)


def _faiss(rows: FloatArray) -> Any:
    try:
        import faiss
    except ImportError:
        return None
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)

    parameters: Any = faiss.SearchParameters

    def search_range(queries: FloatArray, first: int, last: int) -> None:
        index.search(queries, TOP, params=parameters(sel=faiss.IDSelectorRange(first, last)))

    return (lambda queries: index.search(queries, TOP)), search_range


if __name__ == "__main__":
    main()
