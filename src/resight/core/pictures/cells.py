"""A picture as the mean colours of a few cells: what the light in it does, without its details."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

GRID = (17, 9)  # rows, columns
BLANK_LEVELS = 3.0  # a picture whose cells differ by less, of 255, shows nothing
NOTHING = "shows nothing: its light is the same all over (a covered lens, a frame that was not filled)"


def mean_of_cells(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """(n, h, w, 3) to (n, 17, 9, 3): the mean colour of each cell, by two matrix products."""
    num, height, width, _ = pixels.shape
    rows, columns = GRID
    lines = cell_weights(height, rows) @ pixels.astype(np.float32).reshape(num, height, width * 3)  # (n, 17, w * 3)
    cells = cell_weights(width, columns) @ lines.reshape(num, rows, width, 3)  # (n, 17, 9, 3)
    return np.rint(cells).astype(np.int16)


@lru_cache(maxsize=256)
def cell_weights(length: int, cells: int) -> npt.NDArray[np.float32]:
    """(cells, length): how much each pixel adds to the mean over a cell; those on an edge add to both."""
    edges = np.linspace(0, length, cells + 1)
    pixel = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    weights: npt.NDArray[np.float32] = (np.clip(overlap, 0, None) * cells / length).astype(np.float32)
    return weights


def is_blank(light: npt.NDArray[np.int16]) -> npt.NDArray[np.bool_]:
    """(n, 17, 9), the sum of the three colours of each cell, to (n,): whether it is the same all over."""
    blank: npt.NDArray[np.bool_] = np.ptp(light, axis=(1, 2)) < 3 * BLANK_LEVELS
    return blank


def shows_nothing(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """(n, h, w, 3) uint8 RGB to (n,) bool: whether a picture is of one light all over, as of a covered lens.

    It is measured in cells, so that noise does not count.
    """
    return is_blank(mean_of_cells(pixels).sum(axis=3))
