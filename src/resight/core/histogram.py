"""The baseline that needs no training: what a person wears, as colours by height."""

from __future__ import annotations

import numpy as np

from resight.core.images import Pixels
from resight.core.records import FloatArray


def colour_histogram(pixels: Pixels, strips: int = 6, bins: int = 4) -> FloatArray:
    """Joint RGB histograms of horizontal strips of the middle half, where the person stands, square-rooted
    (Hellinger) and of unit length.

    pixels: (h, w, 3) uint8 with h >= strips. Returns (strips * bins^3,) float32; two of them compare by cosine.
    """
    width = pixels.shape[1]
    middle = pixels[:, width // 4 : max(width - width // 4, 1)]
    binned = middle.astype(np.int64) * bins // 256
    index = (binned[..., 0] * bins + binned[..., 1]) * bins + binned[..., 2]  # (h, w)
    counts = [np.bincount(strip.ravel(), minlength=bins**3) for strip in np.array_split(index, strips)]
    values: FloatArray = np.sqrt(np.concatenate(counts).astype(np.float32))
    values /= np.linalg.norm(values)
    return values
