"""Distances between embeddings. Lower is closer; a similarity is never one of these, negated."""

from __future__ import annotations

import numpy as np

from resight.core.errors import EmbeddingError
from resight.core.records import FloatArray


def cosine_distmat(query: FloatArray, gallery: FloatArray) -> FloatArray:
    """1 - cosine of the angle, in [0, 2]: (q, dim) and (g, dim) to (q, g) float32.

    Raises EmbeddingError where the dims differ or an embedding is all zeros.
    """
    _check_dims(query, gallery)
    distmat: FloatArray = 1 - unit_rows(query) @ unit_rows(gallery).T
    np.clip(distmat, 0, 2, out=distmat)
    return distmat


def euclidean_distmat(query: FloatArray, gallery: FloatArray) -> FloatArray:
    """Euclidean distance, not squared: (q, dim) and (g, dim) to (q, g) float32.

    |q|^2 + |g|^2 - 2 q.g in float64, since the difference of large squares cancels in float32.
    """
    _check_dims(query, gallery)
    q, g = query.astype(np.float64), gallery.astype(np.float64)
    squared = (q**2).sum(1)[:, None] + (g**2).sum(1)[None, :] - 2 * (q @ g.T)
    distmat: FloatArray = np.sqrt(np.maximum(squared, 0)).astype(np.float32)
    return distmat


def unit_rows(embeddings: FloatArray) -> FloatArray:
    """Each row at unit length. Raises EmbeddingError where a row is all zeros."""
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    zero = np.flatnonzero(norms[:, 0] == 0)
    if zero.size:
        raise EmbeddingError(f"embedding {zero[0]} is all zeros, so it has no direction ({zero.size} such)")
    unit: FloatArray = np.divide(embeddings, norms, dtype=np.float32)
    return unit


def _check_dims(query: FloatArray, gallery: FloatArray) -> None:
    if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
        raise EmbeddingError(
            f"embeddings of shapes {query.shape} and {gallery.shape} cannot be compared: they must be "
            "(q, dim) and (g, dim). Were they made by two models?"
        )
