"""What networks of a global and a local branch have in common: from a feature map to an embedding of parts."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from resight.models.pooling import POOLINGS


class StripEmbedding(nn.Module):
    """(n, 3, height, width) float32, normalised, to embeddings (n, dim) float32 of unit length.

    The first dim / 2 values are the global embedding, the others those of the K strips, top to bottom, each by a dense
    layer of its own; each half has the length 1 / sqrt(2). A subclass gives the feature map.
    """

    def __init__(self, channels: int, dim: int, slices: int, pooling: str) -> None:
        super().__init__()
        self.slices = slices
        self.pool = POOLINGS[pooling]()
        self.global_dense = _dense(channels, dim // 2)
        self.strip_dense = nn.ModuleList(_dense(channels, dim // 2 // slices) for _ in range(slices))

    def features(self, images: Tensor) -> Tensor:
        """(n, channels, h, w), h a multiple of K."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        x = self.features(images)
        whole = functional.normalize(self.global_dense(self.pool(x)).float(), dim=1)  # (n, dim/2)
        strips = x.chunk(self.slices, dim=2)  # K of (n, channels, h/K, w)
        parts = [dense(self.pool(strip)) for dense, strip in zip(self.strip_dense, strips, strict=True)]
        local = functional.normalize(torch.cat(parts, dim=1).float(), dim=1)  # (n, dim/2)
        return torch.cat([whole, local], dim=1) * math.sqrt(0.5)


def _dense(channels: int, dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, dim, bias=False), nn.BatchNorm1d(dim))
