"""Overlaps of boxes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def areas(boxes: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(n,) of boxes (n, 4)."""
    sides = np.asarray(boxes, np.float64)
    found: npt.NDArray[np.float64] = (sides[:, 2] - sides[:, 0]) * (sides[:, 3] - sides[:, 1])
    return found


def intersections(first: npt.ArrayLike, second: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(n, m): the area that each box of first (n, 4) shares with each of second (m, 4)."""
    one, other = np.asarray(first, np.float64)[:, None], np.asarray(second, np.float64)[None]
    wide = np.minimum(one[..., 2], other[..., 2]) - np.maximum(one[..., 0], other[..., 0])
    high = np.minimum(one[..., 3], other[..., 3]) - np.maximum(one[..., 1], other[..., 1])
    found: npt.NDArray[np.float64] = wide.clip(0) * high.clip(0)
    return found


def grown_ious(first: npt.ArrayLike, second: npt.ArrayLike, margins: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(n, m): as `ious`, with both boxes of each pair grown by the margins (n, 2) of the first, across and down."""
    one, other = np.asarray(first, np.float64)[:, None], np.asarray(second, np.float64)[None]
    more = 2 * np.asarray(margins, np.float64)[:, None]
    shared = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2]) + more
    area = (shared.clip(0)).prod(axis=-1)
    sizes = [(side[..., 2:] - side[..., :2] + more).prod(axis=-1) for side in (one, other)]
    found: npt.NDArray[np.float64] = area / np.maximum(sizes[0] + sizes[1] - area, np.finfo(np.float64).eps)
    return found


def ious(first: npt.ArrayLike, second: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(n, m): intersection over union of each box of first (n, 4) and each of second (m, 4)."""
    shared = intersections(first, second)
    union = areas(first)[:, None] + areas(second)[None] - shared
    found: npt.NDArray[np.float64] = shared / np.maximum(union, np.finfo(np.float64).eps)
    return found


def suppressed(boxes: npt.NDArray[np.float32], scores: npt.NDArray[np.float32], most: float) -> npt.NDArray[np.int64]:
    """The rows that stay when, of two boxes that overlap by more than `most`, the surer one stays; surest first."""
    order = np.argsort(-scores, kind="stable")
    overlap = ious(boxes[order], boxes[order]) > most
    kept: list[int] = []
    for row in range(len(order)):
        if not overlap[row, kept].any():
            kept.append(row)
    found: npt.NDArray[np.int64] = order[kept].astype(np.int64)
    return found
