"""LA-Transformer (Sharma et al., 2021): the patch tokens of each row of the picture are averaged, with the global one.

Section 3.2: m_i = (g + lambda l_i) / (1 + lambda), g the class token, l_i the mean of row i, lambda 8; a classifier of
its own for each m_i. The embedding is of the l_i alone, each at unit length, as its authors test it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from torch import Tensor
from torch.nn import functional

from resight.core.errors import ConfigError
from resight.models.network import Architecture, Network, read_options
from resight.models.vit import VisionTransformer, VitForm, imagenet_weights


@dataclass(frozen=True)
class LAForm(VitForm):
    """rows: local features, from top to bottom. local_weight: what a row's mean weighs against the global token in
    training (the paper's lambda)."""

    rows: int = 14
    local_weight: float = 8.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (1 <= self.rows <= 64 and 0 <= self.local_weight <= 1000):
            raise ConfigError("rows is between 1 and 64, local_weight between 0 and 1000")


class LATransformer(Network):
    """(n, 3, height, width) float32 to (n, rows * width) of unit length: a part for each row, all equally long."""

    stride = 16
    slices_images = True

    def __init__(self, form: LAForm, height: int, width: int) -> None:
        super().__init__()
        self.form = form
        self.base = VisionTransformer(form, height, width)

    @classmethod
    def build(cls, architecture: Architecture, height: int, width: int) -> Self:
        """With fresh weights."""
        return cls(read_options(LAForm, architecture), height, width)

    @classmethod
    def check(cls, architecture: Architecture, height: int, width: int) -> None:
        """As Network's: the rows of patches divide into those of the embedding."""
        form = read_options(LAForm, architecture)
        rows, _ = form.grid(height, width)
        if rows % form.rows:
            raise ConfigError(f"{rows} rows of patches do not divide into {form.rows}; choose another height")
        if architecture.slices != form.rows:
            raise ConfigError(f"an la-transformer of {form.rows} rows has as many slices, not {architecture.slices}")
        architecture.check_dim(form.rows * form.width)

    def tokens(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The class token (n, width), and the mean of each row's patches (n, rows, width)."""
        x = self.base(images)  # (n, 1 + patches, width)
        runs = x[:, 1:].reshape(-1, self.form.rows, (x.shape[1] - 1) // self.form.rows, x.shape[2])
        return x[:, 0], runs.mean(dim=2)

    def branches(self, images: Tensor) -> Tensor:
        """(g + lambda l_i) / (1 + lambda): (n, rows, width)."""
        whole, rows = self.tokens(images)
        return (whole[:, None] + self.form.local_weight * rows) / (1 + self.form.local_weight)

    def begin_with(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As Network's: a ViT or DeiT trained on ImageNet."""
        return {f"base.{name}": tensor for name, tensor in imagenet_weights(weights, self.base.grid).items()}

    def forward(self, images: Tensor) -> Tensor:
        _, rows = self.tokens(images)
        parts = functional.normalize(rows.float(), dim=2).flatten(1)
        return parts / math.sqrt(self.form.rows)
