"""The batch-hard triplet loss with a soft margin (Hermans, Beyer and Leibe, 2017, eq. 5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class BatchHardTriplet(nn.Module):
    """Mean of log(1 + exp(farthest of the same person - nearest of another)), over the pictures of a batch.

    Distances are Euclidean. A picture without another of its person, or of another person, in the batch takes
    no part; a batch without any that does has the loss 0. unit_length: whether the embeddings are.
    """

    def __init__(self, *, unit_length: bool = True) -> None:
        super().__init__()
        self.unit_length = unit_length

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """embeddings (n, dim), labels (n,) int64; the mean loss."""
        distances = self._distances(embeddings)  # (n, n)
        same = labels[:, None] == labels[None, :]
        others = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        farthest = distances.masked_fill(~others, -torch.inf).amax(dim=1)
        nearest = distances.masked_fill(same, torch.inf).amin(dim=1)
        takes_part = others.any(dim=1) & ~same.all(dim=1)
        # where, not indexing: shapes stay what they are, so that the step compiles.
        gap = torch.where(takes_part, farthest - nearest, 0.0)
        losses = torch.where(takes_part, functional.softplus(gap), 0.0)
        return losses.sum() / takes_part.sum().clamp_min(1)

    def _distances(self, embeddings: Tensor) -> Tensor:
        # |a - b|^2 = 2 - 2ab at unit length; the floor keeps the root's slope finite at a distance of 0.
        products = embeddings @ embeddings.T
        if self.unit_length:
            return (2 - 2 * products).clamp_min(1e-6).sqrt()
        squares = embeddings.square().sum(dim=1)
        return (squares[:, None] + squares[None, :] - 2 * products).clamp_min(1e-12).sqrt()
