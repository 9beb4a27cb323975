"""Query expansion and database augmentation: each embedding is averaged with its nearest before it is compared."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from resight.core.distances import distance_blocks, unit_rows
from resight.core.errors import ConfigError
from resight.core.records import EmbeddedCrops, FloatArray


@dataclass(frozen=True)
class Expansion:
    """query: each query is averaged with so many of its nearest gallery rows; database: each gallery row with so many
    of its nearest, of which itself is one; 0: not at all. alpha: neighbours weigh by their similarity to this power.

    Raises ConfigError where neither is above 0, or a number is below 0.
    """

    query: int = 0
    database: int = 0
    alpha: float = 0.0

    def __post_init__(self) -> None:
        if min(self.query, self.database) < 0 or self.alpha < 0 or not (self.query or self.database):
            raise ConfigError("an expansion takes at least 1 neighbour, and an alpha of at least 0")

    def __str__(self) -> str:
        kind = f"alpha={self.alpha:g}" if self.alpha else "average"
        parts = [f"query expansion ({self.query}, {kind})"] if self.query else []
        parts += [f"database augmentation ({self.database}, {kind})"] if self.database else []
        return ", ".join(parts)

    def apply(self, query: EmbeddedCrops, gallery: EmbeddedCrops) -> tuple[EmbeddedCrops, EmbeddedCrops]:
        """Query and gallery, expanded: the gallery among itself first, then the query among that. Raises EmbeddingError
        where embeddings cannot be compared."""
        if self.database:
            rows = expand(gallery.embeddings, gallery.embeddings, self.database, self.alpha, among_itself=True)
            gallery = replace(gallery, embeddings=rows)
        if self.query:
            query = replace(query, embeddings=expand(query.embeddings, gallery.embeddings, self.query, self.alpha))
        return query, gallery


def expand(
    embeddings: FloatArray, among: FloatArray, neighbours: int, alpha: float = 0.0, *, among_itself: bool = False
) -> FloatArray:
    """Each embedding averaged with its nearest `neighbours` in `among`, at unit length: (n, dim) float32.

    alpha 0: average query expansion (Chum et al., ICCV 2007), all with weight 1. Above: alpha query expansion
    (Radenovic et al., TPAMI 2019), each neighbour with its similarity to the power of alpha. among_itself: the
    embeddings are the rows of `among`, so that each is its own nearest, and counts once: database augmentation
    (Arandjelovic and Zisserman, CVPR 2012).

    Raises ConfigError where `neighbours` is below 1 or alpha below 0, EmbeddingError where embeddings cannot be
    compared.
    """
    if neighbours < 1 or alpha < 0:
        raise ConfigError("an expansion takes at least 1 neighbour, and an alpha of at least 0")
    unit_among = unit_rows(among)
    joined = np.zeros_like(unit_among) if among_itself else unit_rows(embeddings)
    for start, block in distance_blocks(embeddings, among):
        for row, line in enumerate(block, start):
            near = np.argpartition(line, min(neighbours, len(line)) - 1)[:neighbours]
            similarity = np.clip(1 - line[near], 0, None)
            joined[row] += similarity**alpha @ unit_among[near] if alpha else unit_among[near].sum(axis=0)
    return unit_rows(joined)
