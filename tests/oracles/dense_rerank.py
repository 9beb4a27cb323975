"""The re-ranking formula once more, over the full matrix and one row at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


def rerank(query: Matrix, gallery: Matrix, k1: int, k2: int, weight: float) -> Matrix:
    """(q, g) of (1 - weight) J + weight d."""
    everything = np.concatenate((query, gallery)).astype(np.float64)
    everything /= np.linalg.norm(everything, axis=1, keepdims=True)
    squared = ((everything[:, None] - everything[None, :]) ** 2).sum(axis=2)
    d = squared / squared.max(axis=1, keepdims=True)
    ranked = np.argsort(d, axis=1, kind="stable")
    n = len(d)

    def reciprocal(i: int, k: int) -> set[int]:
        return {int(j) for j in ranked[i, : k + 1] if i in ranked[j, : k + 1]}

    v = np.zeros((n, n))
    for i in range(n):
        base = reciprocal(i, k1)
        members = set(base)
        for candidate in base:
            half = reciprocal(candidate, round(k1 / 2))
            if len(half & base) > 2 / 3 * len(half):
                members |= half
        for j in members:
            v[i, j] = np.exp(-d[i, j])
        v[i] /= v[i].sum()
    if k2 > 1:
        v = np.stack([v[ranked[i, :k2]].mean(axis=0) for i in range(n)])
    jaccard = np.ones((n, n))
    for i in range(len(query)):
        for j in range(n):
            common = np.minimum(v[i], v[j]).sum()
            jaccard[i, j] = 1 - common / (2 - common)
    final: Matrix = (1 - weight) * jaccard + weight * d
    return final[: len(query), len(query) :]
