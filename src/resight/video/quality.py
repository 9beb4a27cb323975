"""How good a crop is for telling a person again, in [0, 1], and why a tracklet is refused.

A product of what each thing is worth: height in pixels, distance to the edge of the frame, how little other people's
boxes hide, the shape of the box, the detector's score, and sharpness. Each is 1 where it does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from resight.core.pictures.images import Pixels
from resight.core.records import FloatArray
from resight.video.boxes import areas, intersections

Values = npt.NDArray[np.float64]
FULL_HEIGHT_PX = 96.0  # from here on more pixels help little: networks see 128
SLIM, WIDE = 0.2, 0.75  # width by height of people who stand or walk, whole
SHARP = 6.0  # the mean of the Laplacian's size in grey levels, of a crop of SHARPNESS_PX, that counts as sharp
SHARPNESS_PX = (64, 32)


@dataclass(frozen=True)
class Gates:
    """What a tracklet needs. seen: moments. lasting_s: seconds. height_px: of its best crop. quality: of its best
    crop."""

    seen: int = 3
    lasting_s: float = 0.3
    height_px: float = 40.0
    quality: float = 0.1


GATES = Gates()


def of_boxes(boxes: FloatArray, scores: FloatArray, size: tuple[int, int] | None) -> Values:
    """(n,) quality of all boxes of a frame, as far as boxes tell it. size: of the frame, (height, width)."""
    if not len(boxes):
        return np.zeros(0)
    wide, high = (boxes[:, 2:] - boxes[:, :2]).T.astype(np.float64)
    quality: Values = (
        np.sqrt(np.clip(high / FULL_HEIGHT_PX, 0, 1)) * visible(boxes) * np.clip(0.4 + 0.75 * scores, 0, 1)
    )
    shape = wide / np.maximum(high, 1)
    quality *= np.clip(1 - 3 * np.maximum(SLIM - shape, 0) - 1.2 * np.maximum(shape - WIDE, 0), 0.2, 1)
    if size is not None:
        margin = np.minimum(boxes[:, :2], np.array([size[1], size[0]]) - boxes[:, 2:])
        cut = (margin <= 0.01 * high[:, None] + 1).any(axis=1)
        quality *= np.where(cut, 0.5, 1.0)  # likely a part of the person only
    return quality


def visible(boxes: FloatArray) -> Values:
    """(n,) share of each box that no box of somebody nearer hides: whose lower edge lies lower in the picture."""
    shared = intersections(boxes, boxes)
    nearer = boxes[None, :, 3] > boxes[:, None, 3]
    hidden = np.where(nearer, shared, 0.3 * shared)  # of who stands behind a part shows too, which confuses
    np.fill_diagonal(hidden, 0)
    found: Values = np.clip(1 - hidden.sum(axis=1) / np.maximum(areas(boxes), 1), 0, 1)
    return found


def sharpness(pixels: Pixels) -> float:
    """In [0.5, 1]: of a crop (h, w, 3), relative to its size."""
    small = Image.fromarray(pixels).convert("L").resize(SHARPNESS_PX[::-1], Image.Resampling.BILINEAR)
    grey = np.asarray(small, np.float32)
    edges = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(np.clip(0.5 + 0.5 * np.abs(edges).mean() / SHARP, 0.5, 1))
