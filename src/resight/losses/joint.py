"""Several losses on several parts of one embedding, added up.

A loss is a file of this room and a line here, under the name of the recipe's field that weighs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from resight.losses.aligned import AlignedTriplet
from resight.losses.circle import CircleLoss
from resight.losses.cosine_softmax import CosineSoftmax
from resight.losses.imitation import ImitationLoss
from resight.losses.relation import RelationLoss
from resight.losses.triplet import BatchHardTriplet

# Of each part of the embedding, (n, d), and the pictures' labels, (n,).
OF_LABELS: dict[str, Callable[[], nn.Module]] = {
    "triplet": BatchHardTriplet,
    "circle": CircleLoss,
}
# Of the whole embedding, (n, dim), and what teachers say it should be, (n, target_dim); both sizes are given.
OF_TARGETS: dict[str, Callable[[int, int], nn.Module]] = {
    "imitation": ImitationLoss,
    "distillation": lambda dim, target_dim: RelationLoss(),
}


class JointLoss(nn.Module):
    """Cosine softmax and, weighted, others on each part of the embedding, brought to unit length; what teachers say, on
    the whole.

    parts: (start, stop) of each. num_classes: 0 where no picture has a label. weights: of OF_LABELS and OF_TARGETS by
    name; 0 or absent leaves one out. identity: what all losses of labels count, the softmax included.
    aligned_strips: of so many strips the last part consists, whose triplets are of aligned distances (AlignedReID++);
    0: of plain ones. target_dim: values of a target; 0: there are none.
    """

    def __init__(
        self,
        parts: Sequence[tuple[int, int]],
        num_classes: int,
        weights: Mapping[str, float] | None = None,
        *,
        kappa: float = 1.0,
        label_smoothing: float = 0.0,
        softplus: bool = False,
        margin: float = 0.0,
        identity: float = 1.0,
        aligned_strips: int = 0,
        target_dim: int = 0,
    ) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self.weights = {name: weight for name, weight in (weights or {}).items() if weight}
        self.identity = identity
        self.softmax = nn.ModuleList(
            CosineSoftmax(stop - start, num_classes, kappa, label_smoothing, softplus, margin)
            for start, stop in self.parts
            if num_classes
        )
        self.of_labels = nn.ModuleDict({name: make() for name, make in OF_LABELS.items() if name in self.weights})
        self.aligned = AlignedTriplet(aligned_strips) if aligned_strips else None
        dim = sum(stop - start for start, stop in self.parts)
        self.of_targets = nn.ModuleDict(
            {name: make(dim, target_dim) for name, make in OF_TARGETS.items() if name in self.weights and target_dim}
        )

    @property
    def kappa(self) -> float:
        """The mean of the parts' scales; 0 where no picture has a label."""
        return fmean([cast(CosineSoftmax, part).kappa.item() for part in self.softmax] or [0.0])

    def part(self, embeddings: Tensor, place: int) -> Tensor:
        """One part of the embeddings, at unit length: (n, stop - start)."""
        start, stop = self.parts[place]
        part = embeddings[:, start:stop]
        return functional.normalize(part, dim=1) if len(self.parts) > 1 else part

    def logits(self, part: Tensor, place: int) -> Tensor:
        """What that part's classifier thinks: (n, num_classes)."""
        return cast(CosineSoftmax, self.softmax[place]).logits(part)

    def forward(self, embeddings: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
        """embeddings (n, dim), labels (m,) int64 of the first m of them, targets (n, target_dim); the sum, a scalar."""
        parts = [self.part(embeddings, place) for place in range(len(self.parts))]
        total = embeddings.new_zeros(())
        if self.identity and len(labels) and self.softmax:
            total = total + self.identity * self._of_labels([part[: len(labels)] for part in parts], labels)
        if targets is not None:
            whole = functional.normalize(torch.cat(parts, dim=1), dim=1)
            for name, loss in self.of_targets.items():
                total = total + self.weights[name] * loss(whole, targets)
        return total

    def _of_labels(self, parts: Sequence[Tensor], labels: Tensor) -> Tensor:
        total = labels.new_zeros((), dtype=parts[0].dtype)
        for part, softmax in zip(parts, self.softmax, strict=True):
            total = total + softmax(part, labels)
            for name, loss in self.of_labels.items():
                if name == "triplet" and self.aligned is not None and part is parts[-1]:
                    total = total + self.weights[name] * self.aligned(part, parts[0], labels)
                else:
                    total = total + self.weights[name] * loss(part, labels)
        return total
