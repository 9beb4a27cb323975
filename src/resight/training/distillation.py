"""What trained models think of the training pictures, for another to learn (Hinton et al., 2015).

A teacher is anything that embeds; several are an ensemble, which thinks the mean of their cosines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from resight.core.distances import unit_rows
from resight.core.errors import ConfigError
from resight.core.records import EmbeddedCrops, FloatArray, IntArray
from resight.data.crops import Crop
from resight.models.saved import Origin


@dataclass(frozen=True, eq=False)
class Teacher:
    """embed: crops to their embeddings, those that can be decoded."""

    origin: Origin
    embed: Callable[[Sequence[Crop]], EmbeddedCrops]


class Teachers:
    """How alike the training pictures are to teachers. Raises ConfigError where one has not embedded every picture."""

    def __init__(self, teachers: Sequence[Teacher], crops: Sequence[Crop]) -> None:
        self.origins = [teacher.origin for teacher in teachers]
        self._embeddings: list[FloatArray] = []  # of each: (n, dim) at unit length
        for teacher in teachers:
            embedded = teacher.embed(crops)
            row_of = {name: row for row, name in enumerate(embedded.names)}
            missing = [crop.name for crop in crops if crop.name not in row_of]
            if missing:
                raise ConfigError(
                    f"the teacher {teacher.origin.identity} has not embedded {len(missing)} training pictures, "
                    f"{missing[0]} the first"
                )
            self._embeddings.append(unit_rows(embedded.embeddings[[row_of[crop.name] for crop in crops]]))

    def cosines(self, rows: IntArray) -> FloatArray:
        """Of every two of those pictures, the mean over the teachers: (b, b) float32."""
        return np.asarray(np.mean([one[rows] @ one[rows].T for one in self._embeddings], axis=0), np.float32)
