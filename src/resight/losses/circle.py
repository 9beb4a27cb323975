"""The circle loss of all pairs of a batch (Sun et al., CVPR 2020, eq. 6 to 8)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class CircleLoss(nn.Module):
    """log(1 + sum over pairs of two, exp(g a_n (s_n - m)) * sum over pairs of one, exp(-g a_p (s_p - 1 + m))).

    s: cosines. a_n = max(0, s_n + m) and a_p = max(0, 1 + m - s_p), held constant, weigh each pair by how far it is
    from where it should be. For each picture by itself, and the mean over those with pairs of both kinds; 0 without
    any. margin m, scale g: the paper's for person re-identification are 0.25 and 128. Divided by g, so that the
    slope does not grow with it.
    """

    def __init__(self, margin: float = 0.25, scale: float = 128.0) -> None:
        super().__init__()
        self.margin = margin
        self.scale = scale

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """embeddings (n, dim) of unit length, labels (n,) int64; the mean loss."""
        cosines = embeddings @ embeddings.T  # (n, n)
        same = labels[:, None] == labels[None, :]
        others = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        m = self.margin
        near = -self.scale * (1 + m - cosines.detach()).clamp_min(0) * (cosines - (1 - m))
        far = self.scale * (cosines.detach() + m).clamp_min(0) * (cosines - m)
        takes_part = others.any(dim=1) & ~same.all(dim=1)
        lowest = torch.finfo(cosines.dtype).min  # not -inf: a row without pairs would have no slope, but NaN
        total = near.masked_fill(~others, lowest).logsumexp(dim=1) + far.masked_fill(same, lowest).logsumexp(dim=1)
        losses = torch.where(takes_part, functional.softplus(torch.where(takes_part, total, 0.0)), 0.0)
        return losses.sum() / takes_part.sum().clamp_min(1) / self.scale
