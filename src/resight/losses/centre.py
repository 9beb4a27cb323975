"""The centre loss (Wen et al., ECCV 2016, eq. 2), on the sphere."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class CentreLoss(nn.Module):
    """Half the mean squared distance of each picture to the learnt centre of its person, both of unit length.

    centres: (num_classes, dim), used at unit length. They learn with the network, at its rate: the paper's moving
    centres are a gradient step of their own.
    """

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(num_classes, dim))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """embeddings (n, dim) of unit length, labels (n,) int64 in 0..num_classes-1; the mean loss."""
        # |a - b|^2 / 2 = 1 - ab at unit length
        return (1 - (embeddings * functional.normalize(self.centres[labels], dim=1)).sum(dim=1)).mean()
