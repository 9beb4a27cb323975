"""Where the right answers stand in a query's ranking, and the figures that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resight.core.records import FloatArray, IntArray
from resight.evaluation.protocols import DISTRACTOR_PID, BoolArray, Protocol, Rows


@dataclass(frozen=True, eq=False)
class QueryRanks:
    """One query's right answers.

    hits: their 0-based places among the rows that count, ascending, (num_hits,) int64; where the protocol has
    a depth, only those within it. num_relevant: all of them. num_junk: gallery rows left out.
    """

    hits: IntArray
    num_relevant: int
    num_junk: int


def rank_query(distances: FloatArray, query: Rows, row: int, gallery: Rows, protocol: Protocol) -> QueryRanks:
    """distances: (g,) from query `row` to each gallery row; ties stand in the gallery's order."""
    junk = protocol.junk(query, row, gallery)
    order = ranking(distances, junk)
    relevant = is_relevant(query, row, gallery)[order]
    hits = np.flatnonzero(relevant[: protocol.depth]).astype(np.int64)
    return QueryRanks(hits, int(relevant.sum()), int(junk.sum()))


def ranking(distances: FloatArray, junk: BoolArray) -> IntArray:
    """The gallery rows that are no junk, nearest first, ties in the gallery's order."""
    order = np.argsort(distances, kind="stable")
    return order[~junk[order]].astype(np.int64)


def is_relevant(query: Rows, row: int, gallery: Rows) -> BoolArray:
    """(g,) bool: the query's person. A distractor is nobody's match."""
    found: BoolArray = (gallery.pids == query.pids[row]) & (gallery.pids > DISTRACTOR_PID)
    return found


def average_precision(hits: IntArray, num_relevant: int) -> float:
    """Mean over the relevant rows of the precision at each one's place; 0 for each that was not reached.

    Not interpolated. Market-1501's own MATLAB code averages the precision before and at each hit instead
    (a trapezoid under the curve), which gives other figures in the third digit.
    """
    if num_relevant == 0:
        return 0.0
    return float((np.arange(1, len(hits) + 1) / (hits + 1)).sum() / num_relevant)


def inverse_negative_penalty(hits: IntArray, num_relevant: int) -> float:
    """Relevant rows divided by the place of the last one (Ye et al., TPAMI 2021, eq. 7, mean: mINP)."""
    return float(num_relevant / (hits[-1] + 1))


def cmc_curve(first_hits: IntArray, max_rank: int) -> npt.NDArray[np.float64]:
    """Share of queries whose first right answer stands at place k or before: (max_rank,) float64.

    first_hits: (num_query,) 0-based; -1 where there is none. A gallery shorter than max_rank leaves the
    curve flat from its end on.
    """
    found = first_hits[(first_hits >= 0) & (first_hits < max_rank)]
    return np.cumsum(np.bincount(found, minlength=max_rank)) / len(first_hits)
