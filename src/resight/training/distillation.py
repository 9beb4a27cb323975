"""What trained models think of the training pictures, as targets for another: distillation (Hinton et al., 2015).

A teacher needs no classifier, only its embeddings: a class is the mean embedding of its pictures. So a teacher may be
any model that embeds, and several are an ensemble: the mean of their cosines.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from resight.core.distances import unit_rows
from resight.core.errors import ConfigError
from resight.core.records import EmbeddedCrops, FloatArray, IntArray
from resight.training.images import TrainingImages


class Teachers:
    """Soft labels of the training pictures.

    embedded: the pictures by each teacher, under the name that the run's configuration keeps. scale: of the
    cosines, before the softmax. Raises ConfigError where a teacher has not embedded every picture.
    """

    def __init__(self, embedded: Mapping[str, EmbeddedCrops], images: TrainingImages, scale: float) -> None:
        self.scale = scale
        self.names = sorted(embedded)
        self._known: list[tuple[FloatArray, FloatArray]] = []  # of each: pictures (n, dim) and classes (C, dim)
        for name in self.names:
            one = embedded[name]
            row_of = {crop: row for row, crop in enumerate(one.names)}
            missing = [crop.name for crop in images.crops if crop.name not in row_of]
            if missing:
                raise ConfigError(
                    f"the teacher {name} has not embedded {len(missing)} training pictures, {missing[0]} the first"
                )
            pictures = unit_rows(one.embeddings[[row_of[crop.name] for crop in images.crops]])
            sums = np.zeros((images.num_classes, pictures.shape[1]), np.float32)
            np.add.at(sums, images.labels, pictures)
            self._known.append((pictures, unit_rows(sums)))

    def targets(self, rows: IntArray) -> FloatArray:
        """How likely each class is, by the teachers together: (b, C) float32, rows of sum 1."""
        cosines = np.mean([pictures[rows] @ classes.T for pictures, classes in self._known], axis=0)
        logits = self.scale * cosines
        likely = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(likely / likely.sum(axis=1, keepdims=True), np.float32)
