"""A baseline that needs no training: colour histograms of horizontal strips."""

from __future__ import annotations

import numpy as np

from resight.core.pictures.images import Pixels
from resight.core.records import FloatArray

MEAN = 110.0  # grey level that every channel's mean is brought to


def colour_histogram(pixels: Pixels, strips: int = 6, bins: int = 4) -> FloatArray:
    """Joint RGB histograms of horizontal strips of the middle half, where the person stands, square-rooted
    (Hellinger) and of unit length. The camera's colour cast and exposure are taken out first, each channel
    scaled to the same mean (the grey-world assumption): without that, it finds cameras and not people.

    pixels: (h, w, 3) uint8 with h >= strips. Returns (strips * bins^3,) float32; two of them compare by cosine.
    """
    width = pixels.shape[1]
    gains = MEAN / np.maximum(pixels.mean(axis=(0, 1)), 1.0)  # (3,)
    middle = pixels[:, width // 4 : max(width - width // 4, 1)] * gains
    binned = np.minimum(middle * (bins / 256), bins - 1).astype(np.int64)
    index = (binned[..., 0] * bins + binned[..., 1]) * bins + binned[..., 2]  # (h, w)
    counts = [np.bincount(strip.ravel(), minlength=bins**3) for strip in np.array_split(index, strips)]
    values: FloatArray = np.sqrt(np.concatenate(counts).astype(np.float32))
    values /= np.linalg.norm(values)
    return values
