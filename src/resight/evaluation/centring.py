"""Each camera's mean embedding taken from its pictures' embeddings, so that what they all share no longer counts.

What a camera adds to every picture (its light, its colours, its background) lies, to a first order, in the mean of
them. No identities are needed, only pictures, so it can be had at any site; after camera-based batch normalisation
(Zhuang et al., ECCV 2020), which does the same inside the network.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from resight.core.distances import unit_rows
from resight.core.records import EmbeddedCrops, FloatArray, IntArray

SHRINKAGE = 10  # pictures: a camera's mean counts n / (n + SHRINKAGE), so that few pictures do not erase themselves


def camera_means(embeddings: FloatArray, camids: IntArray) -> dict[int, FloatArray]:
    """(n, dim) of unit length, (n,): what to take from each camera's embeddings, (dim,) each."""
    found: dict[int, FloatArray] = {}
    for camid in np.unique(camids).tolist():
        own = embeddings[camids == camid]
        found[camid] = own.mean(axis=0) * np.float32(len(own) / (len(own) + SHRINKAGE))
    return found


def centre_cameras(query: EmbeddedCrops, gallery: EmbeddedCrops) -> tuple[EmbeddedCrops, EmbeddedCrops]:
    """Both, each embedding less its camera's mean over the two, at unit length again."""
    sides = [replace(side, embeddings=unit_rows(side.embeddings)) for side in (query, gallery)]
    means = camera_means(
        np.concatenate([side.embeddings for side in sides]), np.concatenate([side.camids for side in sides])
    )
    centred = []
    for side in sides:
        embeddings = side.embeddings - np.stack([means[camid] for camid in side.camids.tolist()])
        centred.append(replace(side, embeddings=unit_rows(embeddings)))
    return centred[0], centred[1]
