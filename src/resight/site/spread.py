"""How far the equal error rate of tracklets could be off, had other tracklets been left out to judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resight.core.distances import unit_rows
from resight.core.records import FloatArray, IntArray
from resight.evaluation.decisions.verification import SortedSimilarities, weighted_equal_error_rate
from resight.evaluation.intervals import percentile_interval
from resight.site.criterion import rows_by_camera

SAMPLES = 500
MOST_PAIRS = 100_000  # of two tracklets, drawn evenly where there are more
Ends = tuple[float, float]


@dataclass(frozen=True)
class Spread:
    """What an EER before and after was counted on: pictures of so many tracklets. same, different: pairs of one
    tracklet, and of two of one camera. before, after, change: 95% intervals (low, high); change is after - before."""

    tracklets: int
    pictures: int
    same: int
    different: int
    before: Ends
    after: Ends
    change: Ends


def spread_of(
    before: FloatArray, after: FloatArray, cameras: IntArray, tracklets: IntArray, *, samples: int = SAMPLES
) -> Spread:
    """The 95% percentile intervals of the EER of both, as `tracklet_eer` counts it, and of their difference.

    before, after: (n, dim) float32, two embeddings of the same pictures. cameras, tracklets: as `tracklet_codes` has
    them; a picture without a tracklet does not count. The tracklets of each camera are drawn with replacement, the same
    ones for both (Efron, 1979). How the two embeddings were made stays fixed.
    """
    rng = np.random.default_rng(0)
    pairs, groups, pictures = [np.zeros((0, 2), np.int64)], list[IntArray](), 0
    for rows in rows_by_camera(cameras, tracklets):
        first, second = np.triu_indices(len(rows), 1)
        pairs.append(np.stack([rows[first], rows[second]], axis=1))
        groups.append(np.unique(tracklets[rows]))
        pictures += len(rows)
    both = np.concatenate(pairs)
    alike = tracklets[both[:, 0]] == tracklets[both[:, 1]]
    same, different = both[alike], both[~alike]
    counts = len(same), len(different)
    if len(different) > MOST_PAIRS:
        different = different[np.sort(rng.permutation(len(different))[:MOST_PAIRS])]
    sorted_pairs = [
        tuple(SortedSimilarities(_similarity(unit_rows(rows), kind)) for kind in (same, different))
        for rows in (before, after)
    ]
    found = np.full((samples, 2), np.nan)
    for sample in range(samples):
        weight = _drawn(groups, int(tracklets.max()) + 1, rng)
        of_same = weight[tracklets[same[:, 0]]]
        of_different = weight[tracklets[different[:, 0]]] * weight[tracklets[different[:, 1]]]
        if not of_different.any():  # each camera's draw was one tracklet alone
            continue
        for side, (one, two) in enumerate(sorted_pairs):
            found[sample, side] = weighted_equal_error_rate(one, one.weights(of_same), two, two.weights(of_different))
    intervals = [percentile_interval(values) for values in (found[:, 0], found[:, 1], found[:, 1] - found[:, 0])]
    ends = [(interval.low, interval.high) for interval in intervals]
    return Spread(sum(map(len, groups)), pictures, *counts, ends[0], ends[1], ends[2])


def _similarity(rows: FloatArray, pairs: IntArray) -> FloatArray:
    similarity: FloatArray = np.einsum("nd,nd->n", rows[pairs[:, 0]], rows[pairs[:, 1]])
    return similarity


def _drawn(groups: Sequence[IntArray], num: int, rng: np.random.Generator) -> IntArray:
    """How often each tracklet is drawn, (num,): of each camera's as many as there are."""
    weight = np.zeros(num, np.int64)
    for names in groups:
        np.add.at(weight, names[rng.integers(0, len(names), len(names))], 1)
    return weight
