"""An archive embedded in parts, here or on a cluster of Ray: what comes back is the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from resight.core.records import EmbeddedCrops
from resight.data.crops import Crop, Problem
from resight.embedding.model import Model

Parts = Mapping[int, Sequence[Crop]]  # the crops of each part, by its number


@dataclass(frozen=True, eq=False)
class PartDone:
    """One part, embedded. problems: the pictures left out. blank: names of pictures that show nothing."""

    number: int
    embedded: EmbeddedCrops
    problems: tuple[Problem, ...]
    blank: tuple[str, ...]


def embed_part(model: Model, number: int, crops: Sequence[Crop], *, strict: bool) -> PartDone:
    """Embeds one part. Raises UnreadableImage for the first picture that cannot be read if strict."""
    blank: list[str] = []
    embedded, problems = model.embed_crops(crops, strict=strict, on_blank=blank.append)
    return PartDone(number, embedded, problems, tuple(blank))


def embed_here(model: Model, parts: Parts, *, strict: bool) -> Iterator[PartDone]:
    """Embeds the parts in this process, in order."""
    for number, crops in parts.items():
        yield embed_part(model, number, crops, strict=strict)
