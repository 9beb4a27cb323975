"""SliceNet1 slices the image into horizontal strips, SliceNet2 the feature map (the reference paper).

In training each strip passes by itself, so that batch normalisation sees one strip's statistics at a
time. So the paper's own weights were trained: their count of batches is K times that of the steps.
"""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from resight.models.network import Architecture, Network
from resight.models.networks.bignet import TRUNK_CHANNELS, TRUNK_STRIDE, BigNet, Dense, Trunk


class SliceNet1(Network):
    """K strips of the image, each through one shared BigNet of dim / K values of unit length.

    (n, 3, height, width) float32 to (n, dim) float32; the whole is of unit length too.
    """

    stride = TRUNK_STRIDE
    slices_images = True

    def __init__(self, height: int, width: int, dim: int = 128, slices: int = 4) -> None:
        super().__init__()
        self.slices = slices
        self.bignet = BigNet(height // slices, width, dim // slices)

    @classmethod
    def build(cls, architecture: Architecture, height: int, width: int) -> Self:
        """With fresh weights."""
        return cls(height, width, architecture.dim, architecture.slices)

    def forward(self, images: Tensor) -> Tensor:
        strips = images.chunk(self.slices, dim=2)  # K of (n, 3, height/K, width)
        parts = [self.bignet(strip) for strip in strips]  # K of (n, dim/K)
        return torch.cat(parts, dim=1) / math.sqrt(self.slices)


class SliceNet2(Network):
    """The feature map cut into K strips, each through one shared dense layer of dim / K values.

    (n, 3, height, width) float32 to (n, dim) float32 of unit length.
    """

    stride = TRUNK_STRIDE
    slices_images = True

    def __init__(self, height: int, width: int, dim: int = 128, slices: int = 4) -> None:
        super().__init__()
        self.slices = slices
        self.trunk = Trunk()
        cells = (height // TRUNK_STRIDE // slices) * (width // TRUNK_STRIDE)
        self.dense10 = Dense(TRUNK_CHANNELS * cells, dim // slices)

    @classmethod
    def build(cls, architecture: Architecture, height: int, width: int) -> Self:
        """With fresh weights."""
        return cls(height, width, architecture.dim, architecture.slices)

    def forward(self, images: Tensor) -> Tensor:
        strips = self.trunk(images).chunk(self.slices, dim=2)  # K of (n, 128, height/8/K, width/8)
        parts = [self.dense10(strip) for strip in strips]  # K of (n, dim/K)
        return functional.normalize(torch.cat(parts, dim=1).float(), dim=1)
