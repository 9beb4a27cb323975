"""What any embedder of crops does with a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from resight.core.errors import DatasetError
from resight.core.records import EmbeddedCrops
from resight.data.crops import Crop, Dataset, Problem

# Crops, and what to call the work; returns those that can be decoded, embedded in order, and the others.
EmbedCrops = Callable[[Sequence[Crop], str], tuple[EmbeddedCrops, tuple[Problem, ...]]]


@dataclass(frozen=True, eq=False)
class Embedded:
    """Query and gallery, embedded; problems: the pictures left out."""

    query: EmbeddedCrops
    gallery: EmbeddedCrops
    problems: tuple[Problem, ...]


def embed_splits(embed: EmbedCrops, dataset: Dataset) -> Embedded:
    """Query and gallery of a data set. Raises DatasetError where either is empty."""
    for name, crops in (("query", dataset.query), ("gallery", dataset.gallery)):
        if not crops:
            raise DatasetError(f"{dataset.name} has no {name} pictures, so there is nothing to evaluate")
    query, query_problems = embed(dataset.query, "embedding the query")
    gallery, gallery_problems = embed(dataset.gallery, "embedding the gallery")
    return Embedded(query, gallery, query_problems + gallery_problems)
