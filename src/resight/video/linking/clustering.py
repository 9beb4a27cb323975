"""Tracklets to people: average linkage under what cannot be, cut where the expected F-measure of pairs is highest.

Of all ways to cut the tree of merges the one is taken whose pairs are expected to be right most evenly: not too many
people mixed, not too many split. What is expected follows from the pairs' own probabilities. A tracklet is then moved
where another person is the better alternative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resight.core.records import FloatArray, IntArray
from resight.video.linking.sightings import Bools, Values

FLOOR = -4.0  # log odds of a merge below which none is tried
MOVES = 5  # rounds


@dataclass(frozen=True, eq=False)
class Clusters:
    """labels: (n,) 0..C-1, by first tracklet. expected_f: the expected F-measure of pairs. probability: (n,) of each
    tracklet, that it belongs where it is, against every other person there and against being somebody new; 1 of a
    tracklet alone. alternative: (n,) the most likely other label, or -1; alternative_probability: its probability."""

    labels: IntArray
    expected_f: float
    probability: Values
    alternative: IntArray
    alternative_probability: Values


def cluster(ratios: FloatArray, prior: float, forbidden: Bools, together: IntArray | None = None) -> Clusters:
    """ratios: (n, n) log likelihood ratios. prior: log odds. forbidden: (n, n). together: (n,) tracklets of one label
    from 0 on are one person, whatever the evidence says; -1: free."""
    labels, expected = _tree(ratios, prior, forbidden, together)
    labels = _by_first(_moved(ratios, prior, forbidden, labels, together))
    return Clusters(labels, expected, *_probabilities(ratios, prior, forbidden, labels))


def _tree(ratios: FloatArray, prior: float, forbidden: Bools, together: IntArray | None) -> tuple[IntArray, float]:
    num = len(ratios)
    sums = ratios.astype(np.float64)
    np.fill_diagonal(sums, 0)
    likely = 1 / (1 + np.exp(-np.clip(sums + prior, -60, 60)))
    likely[forbidden] = 0
    np.fill_diagonal(likely, 0)
    total = likely.sum() / 2
    apart, sizes = forbidden.copy(), np.ones(num)
    labels, alive = np.arange(num), np.ones(num, np.bool_)
    right = pairs = 0.0

    def merge(into: int, gone: int) -> None:
        nonlocal right, pairs
        right += likely[into, gone]
        pairs += sizes[into] * sizes[gone]
        for matrix in (sums, likely):
            matrix[into] += matrix[gone]
            matrix[:, into] = matrix[into]
        apart[into] |= apart[gone]
        apart[:, into] = apart[into]
        sizes[into] += sizes[gone]
        alive[gone] = False
        labels[labels == gone] = into

    if together is not None:
        for group in np.unique(together[together >= 0]):
            first, *rest = np.flatnonzero(together == group).tolist()
            for row in rest:
                merge(first, row)

    def gains(row: int) -> Values:
        found: Values = sums[row] / (sizes[row] * sizes) + prior
        found[apart[row] | ~alive] = -np.inf
        found[row] = -np.inf
        return found

    gain = np.stack([gains(row) if alive[row] else np.full(num, -np.inf) for row in range(num)])
    nearest = gain.argmax(axis=1) if num else np.zeros(0, np.int64)
    best = gain[np.arange(num), nearest]
    highest, kept = (2 * right / max(pairs + total, 1e-9), labels.copy())
    while num:
        into = int(best.argmax())
        if not best[into] > FLOOR:
            break
        gone = int(nearest[into])
        merge(into, gone)
        gain[gone] = gain[:, gone] = -np.inf
        best[gone] = -np.inf
        gain[into] = gains(into)
        gain[:, into] = gain[into]
        stale = np.flatnonzero(alive & ((nearest == into) | (nearest == gone)))
        for row in {into, *stale.tolist()}:
            nearest[row] = gain[row].argmax()
            best[row] = gain[row, nearest[row]]
        better = alive & (gain[:, into] > best)
        nearest[better], best[better] = into, gain[better, into]
        measure = 2 * right / max(pairs + total, 1e-9)
        if measure > highest:
            highest, kept = measure, labels.copy()
    return kept, float(highest)


def _moved(ratios: FloatArray, prior: float, forbidden: Bools, labels: IntArray, together: IntArray | None) -> IntArray:
    """Each tracklet, unless it is held, where the mean evidence for it is strongest by more than a nat."""
    labels = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    held = np.zeros(len(labels), np.bool_) if together is None else together >= 0
    for _ in range(MOVES):
        moved = 0
        for row in np.flatnonzero(~held).tolist():
            means = _means(ratios[row], prior, forbidden[row], labels, row)
            own, best = means[labels[row]], int(means.argmax())
            stay = own if np.isfinite(own) else 0.0
            if best != labels[row] and means[best] > max(stay, 0.0) + 1:
                labels[row] = best
                moved += 1
        if not moved:
            break
    return labels


def _means(ratios: npt.NDArray[np.floating], prior: float, forbidden: Bools, labels: IntArray, row: int) -> Values:
    """(C,): mean log odds of a tracklet and each person's others; -inf where there are none, or one is forbidden."""
    num = int(labels.max()) + 1
    sums, counts = np.bincount(labels, ratios, num), np.bincount(labels, minlength=num).astype(np.float64)
    sums[labels[row]] -= ratios[row]
    counts[labels[row]] -= 1
    means: Values = np.where(counts > 0, sums / np.maximum(counts, 1) + prior, -np.inf)
    means[np.bincount(labels, forbidden, num) > 0] = -np.inf
    return means


def _probabilities(
    ratios: FloatArray, prior: float, forbidden: Bools, labels: IntArray
) -> tuple[Values, IntArray, Values]:
    num = len(labels)
    own, other = np.ones(num), np.full(num, -1, np.int64)
    other_probability = np.zeros(num)
    for row in range(num):
        means = _means(ratios[row], prior, forbidden[row], labels, row)
        shares = np.exp(np.clip(means, -60, 60)) * np.isfinite(means)
        shares /= 1 + shares.sum()
        if np.isfinite(means[labels[row]]):
            own[row] = shares[labels[row]]
        shares[labels[row]] = -1
        best = int(shares.argmax())
        if shares[best] > 0:
            other[row], other_probability[row] = best, shares[best]
    return own, other, other_probability


def _by_first(labels: IntArray) -> IntArray:
    """Numbered 0..C-1 in the order of each person's first tracklet."""
    _, first, rows = np.unique(labels, return_index=True, return_inverse=True)
    place = np.empty(len(first), np.int64)
    place[np.argsort(first)] = np.arange(len(first))
    return place[rows]
