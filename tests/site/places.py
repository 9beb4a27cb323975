"""Places that are drawn as numbers: people, and cameras that add something to each picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from resight.core.distances import unit_rows
from resight.core.records import EmbeddedCrops, FloatArray, IntArray

DIM = 24


@dataclass(frozen=True, eq=False)
class Place:
    """n pictures: embeddings (n, dim), who is in them, their cameras and tracks."""

    embeddings: FloatArray
    pids: IntArray
    cameras: list[str]
    tracks: list[str]

    def crops(self) -> EmbeddedCrops:
        camids = np.unique(self.cameras, return_inverse=True)[1] + 1
        rows = np.arange(len(self.pids))
        return EmbeddedCrops(self.embeddings, self.pids, camids, rows.astype(np.uint64), tuple(map(str, rows)))


def place(
    people: int = 60, cameras: int = 3, pictures: int = 4, cast: float = 1.5, seed: int = 0, casts_of: int = 0
) -> Place:
    """Every person once past each camera, in one tracklet. Two people differ little along eight directions, along which
    pictures of one person differ much. casts_of: the seed of what the cameras add, the same for places of one site."""
    rng = np.random.default_rng(seed)
    spread = np.where(np.arange(DIM) < 8, 0.2, 1.0)  # of people
    noise = np.where(np.arange(DIM) < 8, 1.0, 0.3)  # of pictures
    casts = cast * np.random.default_rng(1000 + casts_of).normal(size=(cameras, DIM))
    looks = rng.normal(size=(people, DIM)) * spread
    rows, pids, names, tracks = [], [], list[str](), list[str]()
    for camera in range(cameras):
        for person in range(people):
            rows.append(looks[person] + casts[camera] + noise * rng.normal(size=(pictures, DIM)))
            pids += [person + 1] * pictures
            names += [f"c{camera}"] * pictures
            tracks += [f"{person}"] * pictures
    return Place(unit_rows(np.concatenate(rows).astype(np.float32)), np.array(pids), names, tracks)
