"""Several losses on several parts of one embedding, added up."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from torch import Tensor, nn
from torch.nn import functional

from resight.losses.cosine_softmax import CosineSoftmax
from resight.losses.triplet import BatchHardTriplet


class JointLoss(nn.Module):
    """Cosine softmax and, weighted, batch-hard triplet on each part of the embedding, brought to unit length.

    parts: (start, stop) of each. triplet: the weight of the triplet loss; 0 leaves it out.
    """

    def __init__(
        self,
        parts: Sequence[tuple[int, int]],
        num_classes: int,
        *,
        kappa: float = 1.0,
        label_smoothing: float = 0.0,
        triplet: float = 0.0,
    ) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self.softmax = nn.ModuleList(
            CosineSoftmax(stop - start, num_classes, kappa, label_smoothing) for start, stop in self.parts
        )
        self.triplet_weight = triplet
        self.triplet = BatchHardTriplet()

    @property
    def kappa(self) -> float:
        """The mean of the parts' scales."""
        return fmean(parameter.item() for name, parameter in self.named_parameters() if name.endswith("kappa"))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """embeddings (n, dim), labels (n,) int64; the sum over the parts, a scalar."""
        total = embeddings.new_zeros(())
        for (start, stop), softmax in zip(self.parts, self.softmax, strict=True):
            part = embeddings[:, start:stop]
            if len(self.parts) > 1:
                part = functional.normalize(part, dim=1)
            total = total + softmax(part, labels)
            if self.triplet_weight:
                total = total + self.triplet_weight * self.triplet(part, labels)
        return total
