"""The query and gallery of a data set, embedded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resight.core.records import EmbeddedCrops
from resight.data.crops import Problem


@dataclass(frozen=True, eq=False)
class QueryGallery:
    """Query and gallery, embedded; problems: the pictures left out. blank: the names of those that show nothing.
    model: the identity of the model that embedded them, empty where not known."""

    query: EmbeddedCrops
    gallery: EmbeddedCrops
    problems: tuple[Problem, ...] = ()
    blank: tuple[str, ...] = ()
    model: str = ""


def in_order(parts: Sequence[EmbeddedCrops], names: Sequence[str]) -> EmbeddedCrops:
    """Several embedded parts of one set as one, in the order of these names; those of no part are left out."""
    found = [name for part in parts for name in part.names]
    place = {name: row for row, name in enumerate(names)}
    order = np.argsort([place[name] for name in found], kind="stable")
    joined = [
        np.concatenate([getattr(part, field) for part in parts])[order]
        for field in ("embeddings", "pids", "camids", "content_hashes")
    ]
    known = any(part.cameras for part in parts)
    cameras = [camera for part in parts for camera in part.camera_names] if known else []
    named = [tuple(each[row] for row in order) if each else () for each in (found, cameras)]
    return EmbeddedCrops(joined[0], joined[1], joined[2], joined[3], *named)
