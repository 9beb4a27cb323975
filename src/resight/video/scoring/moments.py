"""Truth and result of one site, moment by moment: which boxes there are, and how they overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy  # whose parts it imports when they are used

from resight.core.records import FloatArray, IntArray
from resight.video.boxes import ious

LEAST_IOU = 0.5
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Seen:
    """Boxes with identities: n of them. moments: (n,) int64, which frame of which camera. ids: (n,) int64. boxes:
    (n, 4)."""

    moments: IntArray
    ids: IntArray
    boxes: FloatArray

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: npt.NDArray[np.bool_]) -> Seen:
        return Seen(self.moments[rows], self.ids[rows], self.boxes[rows])


@dataclass(frozen=True, eq=False)
class Moment:
    """truth, result: rows of identities (0..G-1 and 0..T-1). similarity: (g, t), the boxes' IoU."""

    truth: IntArray
    result: IntArray
    similarity: Matrix


@dataclass(frozen=True, eq=False)
class Compared:
    """All moments, and how many boxes each identity has. truth_ids, result_ids: what rows of identities stand for."""

    moments: Sequence[Moment]
    truth_ids: IntArray
    result_ids: IntArray
    truth_counts: IntArray
    result_counts: IntArray


def compare(truth: Seen, result: Seen) -> Compared:
    """Lays both beside each other. Cameras are pooled: a moment is a frame of one of them, an identity is of all."""
    truth_ids, truth_rows, truth_counts = np.unique(truth.ids, return_inverse=True, return_counts=True)
    result_ids, result_rows, result_counts = np.unique(result.ids, return_inverse=True, return_counts=True)
    moments = [
        Moment(truth_rows[one], result_rows[other], ious(truth.boxes[one], result.boxes[other]))
        for one, other in _together(truth.moments, result.moments)
    ]
    return Compared(moments, truth_ids, result_ids, truth_counts.astype(np.int64), result_counts.astype(np.int64))


def lies_on(truth: Seen, distractors: npt.NDArray[np.bool_], result: Seen) -> npt.NDArray[np.bool_]:
    """(t,): which boxes of the result belong to a distractor: matched one to one with all boxes of the truth, by an IoU
    of LEAST_IOU (the preprocessing of MOTChallenge, as of TrackEval 1.3). distractors: (g,) of the truth."""
    found = np.zeros(len(result), np.bool_)
    if not distractors.any():
        return found
    for one, other in _together(truth.moments, result.moments):
        if len(other) and distractors[one].any():
            overlap = ious(truth.boxes[one], result.boxes[other])
            overlap[overlap < LEAST_IOU - np.finfo(np.float64).eps] = 0
            rows, columns = scipy.optimize.linear_sum_assignment(overlap, maximize=True)
            found[other[columns]] = distractors[one[rows]] & (overlap[rows, columns] > 0)
    return found


def _together(first: IntArray, second: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """The rows of both, for each moment of either."""
    moments = np.union1d(first, second)
    orders = [np.argsort(one, kind="stable") for one in (first, second)]
    edges = [
        np.searchsorted(one[order], np.append(moments, np.iinfo(np.int64).max))
        for one, order in zip((first, second), orders, strict=True)
    ]
    for place in range(len(moments)):
        yield tuple(  # type: ignore[misc]
            order[edge[place] : edge[place + 1]] for order, edge in zip(orders, edges, strict=True)
        )
