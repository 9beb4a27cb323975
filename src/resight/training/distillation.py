"""What trained models think of the training pictures, for another to learn (Hinton et al., 2015).

A teacher is anything that embeds; several are an ensemble, which thinks the mean of their cosines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from resight.core.distances import unit_rows
from resight.core.errors import ConfigError
from resight.core.records import EmbeddedCrops, FloatArray, IntArray
from resight.data.crops import Crop

Teacher = Callable[[Sequence[Crop]], EmbeddedCrops]


class Teachers:
    """How alike the training pictures are to teachers, each under the name that the run's configuration keeps.

    Raises ConfigError where one has not embedded every picture.
    """

    def __init__(self, teachers: Mapping[str, Teacher], crops: Sequence[Crop]) -> None:
        self.names = sorted(teachers)
        self._embeddings: list[FloatArray] = []  # of each: (n, dim) at unit length
        for name in self.names:
            embedded = teachers[name](crops)
            row_of = {crop: row for row, crop in enumerate(embedded.names)}
            missing = [crop.name for crop in crops if crop.name not in row_of]
            if missing:
                raise ConfigError(
                    f"the teacher {name} has not embedded {len(missing)} training pictures, {missing[0]} the first"
                )
            self._embeddings.append(unit_rows(embedded.embeddings[[row_of[crop.name] for crop in crops]]))

    def cosines(self, rows: IntArray) -> FloatArray:
        """Of every two of those pictures, the mean over the teachers: (b, b) float32."""
        return np.asarray(np.mean([one[rows] @ one[rows].T for one in self._embeddings], axis=0), np.float32)
