"""Several losses on several parts of one embedding, added up."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from resight.losses.aligned import AlignedTriplet
from resight.losses.centre import CentreLoss
from resight.losses.circle import CircleLoss
from resight.losses.cosine_softmax import CosineSoftmax
from resight.losses.relation import RelationLoss
from resight.losses.triplet import BatchHardTriplet


class JointLoss(nn.Module):
    """Cosine softmax and, weighted, three others on each part of the embedding, brought to unit length.

    parts: (start, stop) of each. triplet, circle, centre: the weights of those losses; 0 leaves one out.
    aligned_strips: of so many strips the last part consists, whose triplets are of aligned distances (AlignedReID++);
    0: of plain ones. distillation: the weight of what teachers think, on the whole embedding.
    """

    def __init__(
        self,
        parts: Sequence[tuple[int, int]],
        num_classes: int,
        *,
        kappa: float = 1.0,
        label_smoothing: float = 0.0,
        softplus: bool = False,
        margin: float = 0.0,
        triplet: float = 0.0,
        circle: float = 0.0,
        centre: float = 0.0,
        aligned_strips: int = 0,
        distillation: float = 0.0,
    ) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self.softmax = nn.ModuleList(
            CosineSoftmax(stop - start, num_classes, kappa, label_smoothing, softplus, margin)
            for start, stop in self.parts
        )
        self.distillation = distillation
        self.relation = RelationLoss()
        self.triplet_weight = triplet
        self.triplet = BatchHardTriplet()
        self.aligned = AlignedTriplet(aligned_strips) if aligned_strips else None
        self.circle_weight = circle
        self.circle = CircleLoss()
        self.centre_weight = centre
        self.centre = nn.ModuleList(CentreLoss(stop - start, num_classes) for start, stop in self.parts if centre)

    @property
    def kappa(self) -> float:
        """The mean of the parts' scales."""
        return fmean(part.kappa.item() for part in self.modules() if isinstance(part, CosineSoftmax))

    def part(self, embeddings: Tensor, place: int) -> Tensor:
        """One part of the embeddings, at unit length: (n, stop - start)."""
        start, stop = self.parts[place]
        part = embeddings[:, start:stop]
        return functional.normalize(part, dim=1) if len(self.parts) > 1 else part

    def logits(self, part: Tensor, place: int) -> Tensor:
        """What that part's classifier thinks: (n, num_classes)."""
        return cast(CosineSoftmax, self.softmax[place]).logits(part)

    def forward(self, embeddings: Tensor, labels: Tensor, taught: Tensor | None = None) -> Tensor:
        """embeddings (n, dim), labels (n,) int64, taught (n, n): cosines by teachers; the sum, a scalar."""
        parts = [self.part(embeddings, place) for place in range(len(self.parts))]
        total = embeddings.new_zeros(())
        for part, softmax in zip(parts, self.softmax, strict=True):
            total = total + softmax(part, labels)
            if self.triplet_weight and (self.aligned is None or part is not parts[-1]):
                total = total + self.triplet_weight * self.triplet(part, labels)
            if self.circle_weight:
                total = total + self.circle_weight * self.circle(part, labels)
        for part, centre in zip(parts, self.centre, strict=False):  # none, or one for each part
            total = total + self.centre_weight * centre(part, labels)
        if self.triplet_weight and self.aligned is not None:
            total = total + self.triplet_weight * self.aligned(parts[-1], parts[0], labels)
        if taught is not None:
            whole = functional.normalize(torch.cat(parts, dim=1), dim=1)
            total = total + self.distillation * self.relation(whole, taught)
        return total
