"""Where the right answers stand in a query's ranking.

Only the places of the right answers matter, so nothing beyond the farthest of them is ever sorted.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from resight.core.cores import available_cores
from resight.core.records import FloatArray, IntArray
from resight.evaluation.protocols import DISTRACTOR_PID, GalleryRows, Protocol, Rows

ROWS_A_TASK = 16


@dataclass(frozen=True, eq=False)
class QueryRanks:
    """Where one query's right answers are.

    hits: their 0-based places in the ranking, ascending, (num_hits,) int64; where the protocol has a depth, only those
    within it. num_relevant: how many right answers there are. num_junk: gallery rows left out of the ranking.
    """

    hits: IntArray
    num_relevant: int
    num_junk: int


def rank_blocks(
    blocks: Iterable[tuple[int, FloatArray]], query: Rows, gallery: GalleryRows, protocol: Protocol
) -> list[QueryRanks]:
    """The ranks of all queries, in their order, on all cores. blocks: (first query row, (b, g) float32 distances); they
    are overwritten."""
    ranks: list[QueryRanks] = []
    with ThreadPoolExecutor(available_cores(), thread_name_prefix="rank") as pool:
        for start, block in blocks:

            def some(first: int, start: int = start, block: FloatArray = block) -> list[QueryRanks]:
                rows = range(first, min(first + ROWS_A_TASK, len(block)))
                return [rank_query(block[row], query, start + row, gallery, protocol) for row in rows]

            for found in pool.map(some, range(0, len(block), ROWS_A_TASK)):
                ranks += found
    return ranks


def rank_query(distances: FloatArray, query: Rows, row: int, gallery: GalleryRows, protocol: Protocol) -> QueryRanks:
    """The ranks of one query. distances: (g,) float32 from query `row` to each gallery row, finite; they are
    overwritten. Ties rank in the gallery's order."""
    junk = protocol.left_out(query, row, gallery)
    distances[junk] = np.inf
    relevant = relevant_rows(query, row, gallery)
    theirs = distances[relevant]
    counted = np.isfinite(theirs)
    relevant, theirs = relevant[counted], theirs[counted]
    if not len(relevant):
        return QueryRanks(np.zeros(0, np.int64), 0, len(junk))
    near = np.sort(distances.take(np.flatnonzero(distances <= theirs.max())))  # twice as fast as by the mask itself
    places = np.searchsorted(near, theirs, "left").astype(np.int64)
    tied = np.flatnonzero(np.searchsorted(near, theirs, "right") - places > 1)
    for index in tied:  # rows as far, and earlier in the gallery, stand before it
        places[index] += np.count_nonzero(distances[: relevant[index]] == theirs[index])
    hits = np.sort(places)
    return QueryRanks(hits if protocol.depth is None else hits[hits < protocol.depth], len(relevant), len(junk))


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
