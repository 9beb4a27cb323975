"""The query and gallery of a data set, embedded."""

from __future__ import annotations

from dataclasses import dataclass

from resight.core.records import EmbeddedCrops
from resight.data.crops import Problem


@dataclass(frozen=True, eq=False)
class QueryGallery:
    """Query and gallery, embedded; problems: the pictures left out."""

    query: EmbeddedCrops
    gallery: EmbeddedCrops
    problems: tuple[Problem, ...] = ()
