"""IDF1 and HOTA, of moments pooled over all cameras.

IDF1: Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking", 2016. HOTA: Luiten
et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking", 2021. Both equal TrackEval's, which the
tests hold to 1e-6.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import scipy  # whose parts it imports when they are used

from resight.video.scoring.moments import Compared, Matrix

ALPHAS = np.arange(0.05, 0.99, 0.05)  # of HOTA: the overlaps from which a box is found
EPSILON = np.finfo(np.float64).eps


@dataclass(frozen=True)
class Identity:
    """idf1, precision, recall: of boxes under a right identity, in [0, 1], where each person has one identity at the
    most and each identity one person. right: such boxes. truth, result: boxes in all."""

    idf1: float
    precision: float
    recall: float
    right: int
    truth: int
    result: int


@dataclass(frozen=True)
class Hota:
    """hota: the mean over overlaps from .05 to .95 of the geometric mean of det_a (are the boxes found?) and ass_a (is
    each person one identity?); loc_a: how well found boxes lie. All in [0, 1]."""

    hota: float
    det_a: float
    ass_a: float
    loc_a: float


@dataclass(frozen=True)
class Scores:
    """All figures of one comparison."""

    identity: Identity
    hota: Hota

    def to_dict(self) -> dict[str, float]:
        """Plain values, by name."""
        return {**asdict(self.identity), **asdict(self.hota)}


def scores(compared: Compared) -> Scores:
    """All figures."""
    return Scores(identity(compared), hota(compared))


def together(compared: Compared, overlap: float = 0.5) -> Matrix:
    """(G, T): in how many moments each person's box and each identity's overlap by so much."""
    counts = np.zeros((len(compared.truth_ids), len(compared.result_ids)))
    for moment in compared.moments:
        rows, columns = np.nonzero(moment.similarity >= overlap)
        counts[moment.truth[rows], moment.result[columns]] += 1
    return counts


def identity(compared: Compared, overlap: float = 0.5) -> Identity:
    """IDF1. overlap: from which IoU on a box is found."""
    counts = together(compared, overlap)
    rows, columns = scipy.optimize.linear_sum_assignment(counts, maximize=True)
    right = int(counts[rows, columns].sum())
    truth, result = int(compared.truth_counts.sum()), int(compared.result_counts.sum())
    return Identity(
        2 * right / max(1, truth + result), right / max(1, result), right / max(1, truth), right, truth, result
    )


def hota(compared: Compared) -> Hota:
    """HOTA, over ALPHAS."""
    shape = (len(compared.truth_ids), len(compared.result_ids))
    truth, result = int(compared.truth_counts.sum()), int(compared.result_counts.sum())
    alignment = _alignment(compared, shape)
    found = np.zeros(len(ALPHAS))
    overlaps = np.zeros(len(ALPHAS))
    matched = np.zeros((len(ALPHAS), *shape))
    for moment in compared.moments:
        if not moment.similarity.size:
            continue
        gain = alignment[np.ix_(moment.truth, moment.result)] * moment.similarity
        rows, columns = scipy.optimize.linear_sum_assignment(gain, maximize=True)
        similarity = moment.similarity[rows, columns]
        for place in range(len(ALPHAS)):
            enough = similarity >= ALPHAS[place] - EPSILON
            found[place] += enough.sum()
            overlaps[place] += similarity[enough].sum()
            matched[place, moment.truth[rows[enough]], moment.result[columns[enough]]] += 1
    in_either = compared.truth_counts[:, None] + compared.result_counts[None] - matched
    ass_a = (matched * matched / np.maximum(1, in_either)).sum(axis=(1, 2)) / np.maximum(1, found)
    det_a = found / np.maximum(1, truth + result - found)
    loc_a = np.maximum(1e-10, overlaps) / np.maximum(1e-10, found)
    return Hota(float(np.sqrt(det_a * ass_a).mean()), float(det_a.mean()), float(ass_a.mean()), float(loc_a.mean()))


def _alignment(compared: Compared, shape: tuple[int, int]) -> Matrix:
    """(G, T): how much of their lives each person and each identity lie on each other, over all moments."""
    potential = np.zeros(shape)
    for moment in compared.moments:
        similarity = moment.similarity
        union = similarity.sum(axis=0)[None] + similarity.sum(axis=1)[:, None] - similarity
        share = np.divide(similarity, union, out=np.zeros_like(similarity), where=union > EPSILON)
        potential[np.ix_(moment.truth, moment.result)] += share
    aligned: Matrix = potential / np.maximum(
        EPSILON, compared.truth_counts[:, None] + compared.result_counts[None] - potential
    )
    return aligned
