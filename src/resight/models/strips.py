"""Networks with a global and a local branch: from a feature map to an embedding of the whole and of strips."""

from __future__ import annotations

import math
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from resight.models.network import Architecture, Network
from resight.models.pooling import POOLINGS

# What a strip is cut from, and what makes it an embedding: the feature map, and a dense layer of its own, or one that
# all strips share; or the picture, and a layer of its own.
STRIPS = ("own", "shared", "image")


class StripEmbedding(Network):
    """(n, 3, height, width) float32, normalised, to embeddings (n, dim) float32 of unit length.

    The first dim / 2 values are the global embedding, the others those of the K strips, top to bottom; each half has
    the length 1 / sqrt(2). A subclass sets `stride` and `channels`, those of its feature map, and implements
    `features`. pooling: one of POOLINGS. strips: one of STRIPS.
    """

    channels: ClassVar[int]
    slices_images = True
    halves = True
    own_layers = ("global_dense.", "strip_dense.", "pool.")

    def __init__(self, dim: int = 256, slices: int = 4, pooling: str = "avg-max", strips: str = "own") -> None:
        super().__init__()
        self.slices = slices
        self.of_image = strips == "image"
        self.pool = POOLINGS[pooling]()
        self.global_dense = _dense(self.channels, dim // 2)
        layers = 1 if strips == "shared" else slices
        self.strip_dense = nn.ModuleList(_dense(self.channels, dim // 2 // slices) for _ in range(layers))

    @classmethod
    def build(cls, architecture: Architecture, height: int, width: int) -> Self:
        """With fresh weights."""
        return cls(architecture.dim, architecture.slices, architecture.pooling, architecture.strips)

    def features(self, images: Tensor) -> Tensor:
        """(n, channels, h, w), h a multiple of K."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        x = self.features(images)
        whole = functional.normalize(self.global_dense(self.pool(x)).float(), dim=1)  # (n, dim/2)
        # K of (n, channels, h/K, w); of the picture, each strip passes alone, as in SliceNet1.
        if self.of_image:
            strips = [self.features(strip) for strip in images.chunk(self.slices, dim=2)]
        else:
            strips = list(x.chunk(self.slices, dim=2))
        parts = [self.strip_dense[k % len(self.strip_dense)](self.pool(strip)) for k, strip in enumerate(strips)]
        local = functional.normalize(torch.cat(parts, dim=1).float(), dim=1)  # (n, dim/2)
        return torch.cat([whole, local], dim=1) * math.sqrt(0.5)


def _dense(channels: int, dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, dim, bias=False), nn.BatchNorm1d(dim))
