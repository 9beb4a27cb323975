"""Approximate search beside the exact one: what it takes to make, what it finds, and what it saves.

The HNSW index states its recall, measured with 200 of its own rows as queries; here 200 fresh
queries are asked of both, and the two recalls are printed side by side, with the time of one search, and the ratio.

    python benchmarks/approximate.py [--rows 100000] [--dim 128] [--recall 0.9 0.95 0.99]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from search import drawn  # type: ignore[import-not-found]  # beside this file

from resight.gallery.search.approximate import Graph
from resight.gallery.search.columns import Columns
from resight.gallery.search.index import Index

TOP = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000])
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--recall", type=float, nargs="*", default=[0.9, 0.95, 0.99])
    options = parser.parse_args()
    for num in options.rows:
        rows, queries = drawn(num, options.dim, 200)
        index = Index(options.dim)
        index.add(rows, Columns(np.arange(num), np.zeros(num), np.zeros(num, np.uint16), np.zeros(num, np.int32)))
        true = [set(answer.ids.tolist()) for answer in index.search(queries, TOP)]
        exact_s = _median(lambda row: index.search(queries[row : row + 1], TOP), len(queries))  # noqa: B023
        print(f"{num:,} rows of {options.dim} values, top {TOP}; exact: {exact_s * 1e3:.2f} ms a search")
        for wanted in options.recall:
            started = time.perf_counter()
            graph = Graph(index, TOP, wanted)
            made_s = time.perf_counter() - started
            found = graph.search(queries, TOP)
            recall = np.mean([len(a & set(b.tolist())) / TOP for a, b in zip(true, found, strict=True)])
            took_s = _median(lambda row: graph.search(queries[row : row + 1], TOP), len(queries))  # noqa: B023
            print(
                f"  {wanted} asked: it says {graph.found.recall:.3f}, fresh queries {recall:.3f}; width "
                f"{graph.found.width}; {took_s * 1e3:.2f} ms a search, exact / it {exact_s / took_s:.1f}; made in "
                f"{made_s:.0f} s",
                flush=True,
            )
        index.close()


def _median(search: Callable[[int], object], num: int) -> float:
    times = []
    for row in range(num):
        started = time.perf_counter()
        search(row)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()
