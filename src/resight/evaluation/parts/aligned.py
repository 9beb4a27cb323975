"""Distances of AlignedReID++ (Luo et al., Pattern Recognition 94, 2019): the whole, and strips on a shortest path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from resight.core.distances import unit_rows
from resight.core.records import FloatArray
from resight.core.visibility import Parts

BLOCK_BYTES = 32 << 20  # of one (rows, g) array; some 2 K + 2 of them are alive at a time


@dataclass(frozen=True)
class Aligned:
    """A way to compare embeddings: the Euclidean distance of the wholes plus the distance of the aligned strips. parts:
    where they lie in the embedding."""

    parts: Parts

    def __str__(self) -> str:
        return "aligned strips"

    def blocks(self, query: FloatArray, gallery: FloatArray) -> Iterator[tuple[int, FloatArray]]:
        """(first query row, (rows, g) float32 distances), block by block. Raises EmbeddingError where a part is all
        zeros."""
        rows = max(1, BLOCK_BYTES // (4 * max(1, len(gallery))))
        for start in range(0, len(query), rows):
            yield start, aligned_distances(query[start : start + rows], gallery, self.parts)


def aligned_distances(query: FloatArray, gallery: FloatArray, parts: Parts) -> FloatArray:
    """(q, dim), (g, dim) float32 to (q, g). The distance of two strips is tanh(x / 2), x their Euclidean distance at
    unit length. Raises EmbeddingError where a part is all zeros."""
    theirs = [unit_rows(gallery[:, start:stop]) for start, stop in parts.strips]
    own = [unit_rows(query[:, start:stop]) for start, stop in parts.strips]
    above: list[FloatArray] = []
    for i, strip in enumerate(own):
        current: list[FloatArray] = []
        for j, other in enumerate(theirs):
            here = np.tanh(_euclidean(strip, other) / 2)
            if i and j:
                here += np.minimum(above[j], current[j - 1])
            elif i or j:
                here += above[j] if i else current[j - 1]
            current.append(here)
        above = current
    total = above[-1]
    if parts.whole is not None:
        start, stop = parts.whole
        total += _euclidean(unit_rows(query[:, start:stop]), unit_rows(gallery[:, start:stop]))
    return total


def _euclidean(first: FloatArray, second: FloatArray) -> FloatArray:
    """Of unit vectors: (n, d), (m, d) to (n, m)."""
    out: FloatArray = np.sqrt(np.maximum(2 - 2 * (first @ second.T), 0))
    return out
