"""Fits P(same) of what a search finds, on searches for people who are there and, without these, for strangers.

A search has one outcome: one of the people, or nobody. The probability is a softmax over them with two numbers to be
fitted (`SearchOdds`) by maximum likelihood: Newton's method, the loss being convex, towards Platt's targets (1999), no
surer than so many people can show. The variance is the sandwich estimate, clustered by person (Liang and Zeger, 1986).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resight.core.calibration import BESIDE, SearchOdds
from resight.core.records import EmbeddedCrops, IntArray
from resight.evaluation.decisions.searches import Searches, best_by_person

MOST = 2000  # searches
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Outcomes:
    """n searches with m outcomes other than nobody. similarity: (n, m), and there: (n, m) whether there is one. target:
    (n, 1 + m), of nobody and of these. log_people: (n,). weight: (n,). cluster: (n, 2), the person searched for and the
    nearest other one."""

    similarity: Values
    there: npt.NDArray[np.bool_]
    target: Values
    log_people: Values
    weight: Values
    cluster: IntArray

    def derivatives(self, line: Values) -> tuple[Values, Values]:
        """Of the weighted loss, by line (offset, slope): each search's gradient, (n, 2), and the curvature (2, 2)."""
        log_likely = np.where(self.there, line[0] + line[1] * self.similarity, -np.inf)
        scores = np.concatenate((self.log_people[:, None], log_likely), axis=1)
        likely = np.exp(scores - scores.max(axis=1, keepdims=True))
        mean, square = self._moments(likely / likely.sum(axis=1, keepdims=True))
        gradient = self.weight[:, None] * (mean - self._moments(self.target)[0])
        spread = square - mean[:, :, None] * mean[:, None, :]
        curvature: Values = np.tensordot(self.weight, spread, axes=1) + 1e-9 * np.eye(2)
        return gradient, curvature

    def _moments(self, share: Values) -> tuple[Values, Values]:
        """The mean (n, 2) and the mean square (n, 2, 2) of (1, similarity) of anybody, 0 of nobody."""
        zeroth, first, second = ((share[:, 1:] * self.similarity**power).sum(axis=1) for power in range(3))
        square = np.stack((zeroth, first, first, second), axis=1).reshape(-1, 2, 2)
        return square[:, 0], square


def fit_search_odds(places: Sequence[EmbeddedCrops], searches: Searches, rng: np.random.Generator) -> SearchOdds:
    """The odds of searches like these, of which MOST are looked at. Each person searched for weighs the same.

    places: crops of people. searches: what `searches_within` has of these places.
    """
    found = _outcomes(places, searches, rng)
    line = np.zeros(2)
    for _ in range(100):
        gradient, curvature = found.derivatives(line)
        step = np.linalg.solve(curvature, gradient.sum(axis=0))
        line -= step / max(1.0, np.abs(step).max() / 5)  # far steps overshoot where the data are split cleanly
        if np.abs(step).max() < 1e-9:
            break
    if line[1] <= 0:  # such embeddings tell nobody apart
        return SearchOdds(0.0, 0.0, 0.0, 0.0, 0.0)
    gradient, curvature = found.derivatives(line)
    scatter = np.zeros((2, 2))
    for cluster in found.cluster.T:  # each person counts by being searched for, and by being somebody else's nearest
        of_person = np.zeros((searches.num_people, 2))
        np.add.at(of_person, cluster, gradient)
        scatter += of_person.T @ of_person
    inverse = np.linalg.inv(curvature)
    variance = inverse @ scatter @ inverse
    return SearchOdds(*map(float, (*line, variance[0, 0], variance[0, 1], variance[1, 1])))


def _outcomes(places: Sequence[EmbeddedCrops], searches: Searches, rng: np.random.Generator) -> _Outcomes:
    rows = np.flatnonzero(searches.mated)
    rows = np.sort(rng.permutation(rows)[:MOST])
    person = searches.person[rows]
    surest = 1 / (len(np.unique(person)) + 2)
    weight = 1 / np.bincount(person)[person]
    similarity = np.full((2 * len(rows), 1 + BESIDE), -np.inf)
    num_people = np.zeros(2 * len(rows))
    starts = np.cumsum([0, *(len(place.pids) for place in places)])
    there, strangers = slice(0, len(rows)), slice(len(rows), None)
    for place, start, end in zip(places, starts, starts[1:], strict=False):
        inside = np.flatnonzero((rows >= start) & (rows < end))
        if not len(inside):  # nobody there is seen by two cameras, or none of its searches was drawn
            continue
        best, _, people = best_by_person(place.take(rows[inside] - start), place)
        nearest = -np.sort(-best, axis=1)[:, : min(BESIDE, len(people) - 1)]
        for first, others in ((0, 0), (len(rows), 1)):
            similarity[first + inside, 1 : 1 + nearest.shape[1]] = nearest
            num_people[first + inside] = len(people) - others
    similarity[there, 0] = searches.own[rows]
    target = np.zeros((2 * len(rows), 2 + BESIDE))
    target[there, 0], target[there, 1] = surest, 1 - surest
    target[strangers, 0], target[strangers, 2] = 1 - surest, surest
    return _Outcomes(
        np.where(np.isfinite(similarity), similarity, 0.0),
        np.isfinite(similarity),
        target,
        np.log(num_people),
        np.tile(weight / weight.sum(), 2),
        np.tile(np.stack((person, searches.other_person[rows]), axis=1), (2, 1)),
    )
