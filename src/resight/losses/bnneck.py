"""Classifiers behind a batch norm, triplets before it (Luo et al., "Bag of Tricks", CVPRW 2019, section 3.4)."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from resight.losses.triplet import BatchHardTriplet

CLASSIFIER_STD = 1e-3


class BNNeckLoss(nn.Module):
    """Of each branch: cross entropy of a linear classifier on its batch norm, and soft-margin triplets of the branch
    itself, at the length that it has.

    The first branch counts one half, and the mean of the others the other half (TransReID, eq. 6); one branch alone
    counts whole. The batch norms' shifts stay 0. label_smoothing: as CosineSoftmax has it. triplet: what the triplets
    count against the classifiers.
    """

    def __init__(
        self, width: int, branches: int, num_classes: int, *, triplet: float = 1.0, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.necks = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(branches))
        self.classifiers = nn.ModuleList(nn.Linear(width, num_classes, bias=False) for _ in range(branches))
        for neck, classifier in zip(self.necks, self.classifiers, strict=True):
            cast(nn.BatchNorm1d, neck).bias.requires_grad_(False)
            nn.init.normal_(cast(nn.Linear, classifier).weight, std=CLASSIFIER_STD)
        self.triplet_weight = triplet
        self.label_smoothing = label_smoothing
        self.triplet = BatchHardTriplet(unit_length=False)

    def forward(self, branches: Tensor, labels: Tensor) -> Tensor:
        """branches (n, branches, width), labels (n,) int64 in 0..num_classes-1; the mean loss."""
        first, *others = [self._of_branch(branches[:, k], labels, k) for k in range(branches.shape[1])]
        return 0.5 * first + 0.5 * sum(others[1:], others[0]) / len(others) if others else first

    def _of_branch(self, features: Tensor, labels: Tensor, k: int) -> Tensor:
        logits = self.classifiers[k](self.necks[k](features))  # (n, num_classes)
        loss = functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        return loss + self.triplet_weight * self.triplet(features, labels) if self.triplet_weight else loss
