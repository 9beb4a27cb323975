"""The kernel of a search by one query, alone: each way of giving it rows, in the processor's cache and from memory.

Prints ms over 134 MB of codes on one core, the least of some rounds, beside one reading of them: no search can take
less than its kernel. In the cache: the same 512 KB again and again. All ways must give the same scores.

    OPENBLAS_NUM_THREADS=1 taskset -c 0 python benchmarks/search_ways.py [--dim 128 256 512] [--rounds 9]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from resight.gallery.search.blocks import Block, Queries, Way, _scores
from resight.gallery.search.columns import Columns

BYTES, CACHED = 1 << 27, 1 << 19
PIECE_ROWS = 65_536


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, nargs="*", default=[128, 256, 512])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    for dim in options.dim:
        _one_dim(dim, options.rounds)


def _one_dim(dim: int, rounds: int) -> None:
    rng = np.random.default_rng(0)
    num = BYTES // dim
    nothing = np.zeros(num)
    columns = Columns(np.arange(num), nothing, nothing.astype(np.uint16), nothing.astype(np.int64))
    codes = Block.of(rng.standard_normal((num, dim), dtype=np.float32), columns).codes
    queries = Queries(rng.standard_normal((1, dim), dtype=np.float32))
    words = codes.ravel().view(np.uint64)
    reading = _least(lambda: np.bitwise_or.reduce(words), rounds)
    print(f"{dim} values: reading {reading * 1e3:.2f} ms")
    true = codes[:1000].astype(np.int32) @ queries.quantized[1].astype(np.int32).T
    for beside in (1, 2, 4):
        for ahead in (False, True):
            way = Way(beside, ahead)
            if not np.array_equal(_scores(codes[:1000], queries, way), true):
                raise SystemExit(f"{way} gives other scores")

            def memory(way: Way = way) -> None:
                for start in range(0, num, PIECE_ROWS):
                    _scores(codes[start : start + PIECE_ROWS], queries, way)

            def cache(way: Way = way) -> None:
                for _ in range(BYTES // CACHED // 8):
                    _scores(codes[: CACHED // dim], queries, way)

            took, cached = _least(memory, rounds), 8 * _least(cache, rounds)
            times = f"from memory {took * 1e3:5.2f} ({took / reading:.2f} times)   in the cache {cached * 1e3:5.2f}"
            print(f"  rows as one: {beside}{', read ahead' if ahead else '':12s}   {times}")


def _least(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


if __name__ == "__main__":
    main()
