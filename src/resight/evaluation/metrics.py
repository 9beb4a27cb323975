"""The metrics by name. Each is one number a query, taken from the places of the query's right answers.

To add one: write its function, and a line in METRICS. Evaluations, their JSON, comparisons, tables and pages follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resight.core.records import IntArray
from resight.evaluation.intervals import Interval
from resight.evaluation.protocols import Protocol

Values = npt.NDArray[np.float64]


def first_is_right(hits: IntArray, num_relevant: int) -> float:
    """1 where the nearest row that counts is a right answer, else 0 (mean over the queries: rank-1)."""
    return float(len(hits) > 0 and hits[0] == 0)


def average_precision(hits: IntArray, num_relevant: int) -> float:
    """Mean over the relevant rows of the precision at each one's place; 0 for each that was not reached.

    Not interpolated. Market-1501's own MATLAB code averages the precision before and at each hit instead
    (a trapezoid under the curve), which gives other figures in the third digit.
    """
    if num_relevant == 0:
        return 0.0
    return float((np.arange(1, len(hits) + 1) / (hits + 1)).sum() / num_relevant)


def inverse_negative_penalty(hits: IntArray, num_relevant: int) -> float:
    """Relevant rows divided by the place of the last one (Ye et al., TPAMI 2021, eq. 7; their mean: mINP)."""
    return float(num_relevant / (hits[-1] + 1))


def by_any(protocol: Protocol) -> bool:
    """Every protocol defines it."""
    return True


def by_whole_rankings(protocol: Protocol) -> bool:
    """Only protocols that look at the whole ranking define it."""
    return not protocol.hits_only


@dataclass(frozen=True)
class Metric:
    """title: its name in print. of_query: (hits, num_relevant) to the metric of one query, from 0 to 1: hits are the
    0-based places of the right answers in its ranking, ascending, int64; num_relevant is how many right answers the
    protocol counts, found or not. defined: whether a protocol defines it."""

    title: str
    of_query: Callable[[IntArray, int], float]
    defined: Callable[[Protocol], bool] = by_any


METRICS: dict[str, Metric] = {
    "rank1": Metric("rank-1", first_is_right),
    "mean_ap": Metric("mAP", average_precision),
    "mean_inp": Metric("mINP", inverse_negative_penalty, by_whole_rankings),
}


@dataclass(frozen=True, eq=False)
class Measured:
    """One metric of one evaluation. value: the mean over the scored queries. interval: 95% interval of the mean
    over the queries. per_query: (num_scored,) float64. over_people: the interval over the people, whose queries
    are not independent; None where it was not asked for."""

    value: float
    interval: Interval
    per_query: Values
    over_people: Interval | None = None


def cmc_curve(first_hits: IntArray, max_rank: int) -> Values:
    """Share of queries whose first right answer stands at place k or before: (max_rank,) float64.

    first_hits: (num_query,) 0-based; -1 where there is none. A gallery shorter than max_rank leaves the
    curve flat from its end on.
    """
    found = first_hits[(first_hits >= 0) & (first_hits < max_rank)]
    return np.cumsum(np.bincount(found, minlength=max_rank)) / len(first_hits)
