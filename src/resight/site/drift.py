"""Whether cameras still look as they did when a site transform was fitted: seasons, night and new lamps move means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from resight.core.distances import unit_rows
from resight.core.records import FloatArray
from resight.evaluation.centring import SHRINKAGE
from resight.site.doubts import OF_A_PERSON
from resight.site.transform import SiteTransform

LEAST_PICTURES = 30  # of a camera, to say anything of its mean
SURE = 3.0  # times what chance does to a mean
FAR = 0.5  # of the median distance between two cameras: less does no harm yet
State = Literal["as it was", "moved", "no mean", "too few"]


@dataclass(frozen=True)
class Drift:
    """A camera's recent pictures against its mean. moved: how far their mean is from the fitted one, None where there
    is none. by_chance: how far as many pictures of other people would be. state: `as it was`; `moved`: fit anew; `no
    mean`: the camera was not there, or too few of its pictures, when the transform was fitted; `too few` recent
    pictures."""

    camera: str
    pictures: int
    moved: float | None
    by_chance: float | None
    state: State


def drift_of(
    site: SiteTransform,
    embeddings: npt.ArrayLike,
    cameras: Sequence[str],
    tracks: Sequence[str | None] | None = None,
) -> tuple[Drift, ...]:
    """The drift of each camera, by name. embeddings: (n, dim), raw and recent; cameras, tracks: as for `fit_site`.

    Raises EmbeddingError where an embedding is all zeros.
    """
    rows = unit_rows(np.asarray(embeddings, np.float32))
    names = np.asarray(cameras, np.str_)
    between = _usual_distance(site.means)
    found = []
    for name in sorted(set(names.tolist())):
        own = np.flatnonzero(names == name)
        known = site.own_name(name)
        if known is None:
            found.append(Drift(name, len(own), None, None, "no mean"))
            continue
        if len(own) < LEAST_PICTURES:
            found.append(Drift(name, len(own), None, None, "too few"))
            continue
        facts = site.facts.cameras[known]
        fitted = site.means[site.cameras.index(known)] * np.float32(1 + SHRINKAGE / facts.pictures)
        moved = float(np.linalg.norm(rows[own].mean(axis=0) - fitted))
        seen = {tracks[row] for row in own.tolist() if tracks[row] is not None} if tracks is not None else set()
        alone = len(own) if tracks is None else sum(tracks[row] is None for row in own.tolist())
        independent = max(1.0, len(seen) + alone / OF_A_PERSON)
        before = facts.tracklets or facts.pictures / OF_A_PERSON
        by_chance = facts.spread * float(np.sqrt(1 / independent + 1 / before))
        far = moved > SURE * by_chance and moved > FAR * between
        found.append(Drift(name, len(own), moved, by_chance, "moved" if far else "as it was"))
    return tuple(found)


def _usual_distance(means: FloatArray) -> float:
    """The median distance between two cameras' means."""
    first, second = np.triu_indices(len(means), 1)
    return float(np.median(np.linalg.norm(means[first] - means[second], axis=1)))
