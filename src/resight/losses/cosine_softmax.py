"""The cosine-softmax classifier (Wojke and Bewley, "Deep Cosine Metric Learning", WACV 2018, eq. 5)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class CosineSoftmax(nn.Module):
    """Cross entropy over logits = kappa * (w_k . r), class weights w_k of unit length, kappa learnable.

    weight: (num_classes, dim), used at unit length. kappa: scalar; with softplus, kappa = log(1 + exp(scale)) of a
    learnable scale, as its authors have it, which never falls below 0. label_smoothing: the share of the target
    that is spread over all classes (Szegedy et al., CVPR 2016). margin: in the loss the right class's cosine counts
    for so much less (Wang et al., "CosFace", CVPR 2018, eq. 4).
    """

    def __init__(
        self,
        dim: int,
        num_classes: int,
        kappa: float = 1.0,
        label_smoothing: float = 0.0,
        softplus: bool = False,
        margin: float = 0.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_classes, dim))
        self.softplus = softplus
        self.scale = nn.Parameter(torch.tensor(kappa + math.log(-math.expm1(-kappa)) if softplus else kappa))
        self.label_smoothing = label_smoothing
        self.margin = margin
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # nn.Linear's default

    @property
    def kappa(self) -> Tensor:
        """Scalar."""
        return functional.softplus(self.scale) if self.softplus else self.scale

    def logits(self, embeddings: Tensor) -> Tensor:
        """(n, dim) of unit length to (n, num_classes)."""
        return self.kappa * (embeddings @ functional.normalize(self.weight, dim=1).T)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """embeddings (n, dim) of unit length, labels (n,) int64 in 0..num_classes-1; the mean loss."""
        logits = self.logits(embeddings)
        if self.margin:
            logits = logits - self.kappa * self.margin * functional.one_hot(labels, logits.shape[1])
        return functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
