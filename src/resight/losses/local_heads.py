"""A classifier of its own for each branch, added up: LA-Transformer's (Sharma et al., 2021, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from resight.losses.bnneck import CLASSIFIER_STD

HIDDEN = 256
DROPOUT = 0.5


class LocalHeadsLoss(nn.Module):
    """Of each branch: a dense layer to 256 values, batch norm, dropout of one half, a linear classifier and its cross
    entropy; the sum over the branches. label_smoothing: as CosineSoftmax has it."""

    def __init__(
        self, width: int, branches: int, num_classes: int, *, hidden: int = HIDDEN, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.heads = nn.ModuleList(_head(width, hidden, num_classes) for _ in range(branches))
        self.label_smoothing = label_smoothing

    def scores(self, branches: Tensor) -> Tensor:
        """(n, branches, width) to what each classifier thinks, (branches, n, num_classes)."""
        return torch.stack([head(branches[:, k]) for k, head in enumerate(self.heads)])

    def forward(self, branches: Tensor, labels: Tensor) -> Tensor:
        """branches (n, branches, width), labels (n,) int64 in 0..num_classes-1; the sum of the mean losses."""
        total = branches.new_zeros(())
        for scores in self.scores(branches):
            total = total + functional.cross_entropy(scores, labels, label_smoothing=self.label_smoothing)
        return total


def _head(width: int, hidden: int, num_classes: int) -> nn.Sequential:
    first, last = nn.Linear(width, hidden), nn.Linear(hidden, num_classes)
    nn.init.kaiming_normal_(first.weight, mode="fan_out")
    nn.init.normal_(last.weight, std=CLASSIFIER_STD)
    for layer in (first, last):
        nn.init.zeros_(layer.bias)
    return nn.Sequential(first, nn.BatchNorm1d(hidden), nn.Dropout(DROPOUT), last)
