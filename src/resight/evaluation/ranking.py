"""Where the right answers stand in a query's ranking.

Only the places of the right answers matter, so nothing beyond the farthest of them is ever sorted.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from resight.core.records import FloatArray, IntArray
from resight.evaluation.protocols import DISTRACTOR_PID, GalleryRows, Protocol, Rows


@dataclass(frozen=True, eq=False)
class QueryRanks:
    """Where one query's right answers are.

    hits: their 0-based places in the ranking, ascending, (num_hits,) int64; where the protocol has a depth, only those
    within it. num_relevant: how many right answers there are. num_junk: gallery rows left out of the ranking.
    """

    hits: IntArray
    num_relevant: int
    num_junk: int


def rank_block(
    start: int, block: FloatArray, query: Rows, gallery: GalleryRows, protocol: Protocol
) -> list[QueryRanks]:
    """The ranks of the queries from row `start`. block: (b, g) float32, contiguous, the distances from each to every
    gallery row, finite; they are overwritten. Ties rank in the gallery's order.

    What is done for all queries at once is done without Python's lock, which other threads want.
    """
    num, width = block.shape
    junk = [protocol.left_out(query, row, gallery) for row in range(start, start + num)]
    for distances, left_out in zip(block, junk, strict=True):
        distances[left_out] = np.inf
    relevant = [relevant_rows(query, row, gallery) for row in range(start, start + num)]
    whose = np.repeat(np.arange(num), [len(rows) for rows in relevant])  # the query of each right answer
    places = np.concatenate(relevant) + whose * width
    flat = block.reshape(-1)
    theirs = flat.take(places)
    counted = np.isfinite(theirs)
    whose, places, theirs = whose[counted], places[counted], theirs[counted]
    farthest = np.full(num, -np.inf, np.float32)
    np.maximum.at(farthest, whose, theirs)
    within = np.flatnonzero(block <= farthest[:, None])
    near = flat.take(within)
    edges = np.searchsorted(within, np.arange(num + 1) * width)  # of each query's part of `near`
    ends = np.searchsorted(whose, np.arange(num + 1)).tolist()
    ranks = np.empty(len(theirs), np.int64)
    for (first, last), (begin, end) in zip(pairwise(edges.tolist()), pairwise(ends), strict=True):
        mine = near[first:last]
        mine.sort()
        ranks[begin:end] = mine.searchsorted(theirs[begin:end])
    after = edges[whose] + ranks + 1
    tied = np.flatnonzero((after < edges[whose + 1]) & (near.take(after, mode="clip") == theirs))
    for index in tied:  # rows as far, and earlier in the gallery, stand before it
        row = flat[whose[index] * width : places[index]]
        ranks[index] += np.count_nonzero(row == theirs[index])
    hits = ranks[np.lexsort((ranks, whose))]
    return [
        QueryRanks(_within(hits[begin:end], protocol.depth), end - begin, len(left_out))
        for (begin, end), left_out in zip(pairwise(ends), junk, strict=True)
    ]


def _within(hits: IntArray, depth: int | None) -> IntArray:
    return hits if depth is None else hits[hits < depth]


def nearest(distances: FloatArray, junk: IntArray, top: int) -> IntArray:
    """The `top` nearest gallery rows without the junk rows, nearest first, ties in the gallery's order. distances:
    (g,)."""
    kept = distances.copy()
    kept[junk] = np.inf
    limit = np.partition(kept, top - 1)[top - 1] if top < len(kept) else np.inf
    rows = np.flatnonzero((kept <= limit) & np.isfinite(kept))
    return rows[np.argsort(kept[rows], kind="stable")][:top].astype(np.int64)


def relevant_rows(query: Rows, row: int, gallery: GalleryRows) -> IntArray:
    """The gallery's rows of the query's person, ascending; none for a query of pid 0 or below."""
    pid = query.pids[row]
    return gallery.of_pid(pid) if pid > DISTRACTOR_PID else np.zeros(0, np.int64)
