"""Centring of cameras: each camera's mean embedding is subtracted from the embeddings of its pictures.

What a camera adds to every picture (its light, its colours, its background) is, to a first order, in their mean. It
takes pictures but no identities, so any site can do it. After camera-based batch normalisation (Zhuang et al., ECCV
2020), which does the same inside the network.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from resight.core.distances import unit_rows
from resight.core.records import EmbeddedCrops, FloatArray, IntArray

SHRINKAGE = 10  # pictures: a camera's mean counts n / (n + SHRINKAGE), so that few pictures do not erase themselves


def camera_means(embeddings: FloatArray, camids: IntArray) -> dict[int, FloatArray]:
    """What to subtract from each camera's embeddings, (dim,) float32 by camid: their mean, shrunk by SHRINKAGE.

    embeddings: (n, dim) float32 of unit length; camids: (n,) int64.
    """
    found: dict[int, FloatArray] = {}
    for camid in np.unique(camids).tolist():
        own = embeddings[camids == camid]
        found[camid] = own.mean(axis=0) * np.float32(len(own) / (len(own) + SHRINKAGE))
    return found


def centre_cameras(query: EmbeddedCrops, gallery: EmbeddedCrops) -> tuple[EmbeddedCrops, EmbeddedCrops]:
    """Query and gallery, with each camera's mean over both subtracted, at unit length again.

    Raises EmbeddingError where an embedding is all zeros.

    Example:

        >>> import numpy as np
        >>> import resight
        >>> from resight import EmbeddedCrops
        >>> from resight.evaluation.centring import centre_cameras
        >>> rng = np.random.default_rng(0)
        >>> people, rows = rng.normal(size=(50, 8)), np.arange(50, dtype=np.uint64)
        >>> def seen_by(camid, cast):  # `cast`: what the camera adds to every picture
        ...     embeddings = (people + cast).astype(np.float32)
        ...     return EmbeddedCrops(embeddings, np.arange(1, 51), np.full(50, camid), rows, tuple(map(str, rows)))
        >>> query, gallery = seen_by(1, 0.0), seen_by(2, 5.0)
        >>> centred = centre_cameras(query, gallery)
        >>> resight.evaluate(*centred).mean_ap > resight.evaluate(query, gallery).mean_ap + 0.1
        True
    """
    sides = [replace(side, embeddings=unit_rows(side.embeddings)) for side in (query, gallery)]
    means = camera_means(
        np.concatenate([side.embeddings for side in sides]), np.concatenate([side.camids for side in sides])
    )
    centred = []
    for side in sides:
        embeddings = side.embeddings - np.stack([means[camid] for camid in side.camids.tolist()])
        centred.append(replace(side, embeddings=unit_rows(embeddings)))
    return centred[0], centred[1]
