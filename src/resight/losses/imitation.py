"""To be where the teachers are: the student's embedding, by way of a linear layer, against theirs.

After Romero et al., "FitNets", ICLR 2015, and Budnik and Avrithis, "Asymmetric metric learning for knowledge transfer",
CVPR 2021: an embedding is told where to be, not only how far from others.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class ImitationLoss(nn.Module):
    """1 - the cosine of a linear map of the embedding and its target. The map is the training's alone."""

    def __init__(self, dim: int, target_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, target_dim)

    def forward(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        """embeddings (n, dim), targets (n, target_dim) of unit length; the mean over the pictures."""
        return (1 - (functional.normalize(self.linear(embeddings), dim=1) * targets).sum(dim=1)).mean()
