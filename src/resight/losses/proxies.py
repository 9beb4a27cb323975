"""The loss of camera-aware proxies (Wang et al., AAAI 2021): a memory of one mean embedding a cluster and camera.

Within a camera a picture is to be nearest to its own proxy (their eq. 2). Across cameras it is to be near to all
proxies of its cluster, and far from those of other clusters that lie nearest to it (eq. 6). Both by softmaxes of
cosines over a temperature. Clusters of one camera take part in the first alone, and as the others in the second.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ProxyLoss(nn.Module):
    """memory: (p, dim) float32 of unit length, to begin with. clusters, cameras: (p,) int64, of each proxy. across: the
    weight of the second part. negatives: the nearest proxies of other clusters that it counts. momentum: what of a
    proxy stays when pictures of it were seen."""

    memory: Tensor
    clusters: Tensor
    cameras: Tensor

    def __init__(
        self,
        memory: Tensor,
        clusters: Tensor,
        cameras: Tensor,
        *,
        temperature: float = 0.07,
        across: float = 0.5,
        negatives: int = 50,
        momentum: float = 0.2,
    ) -> None:
        super().__init__()
        self.register_buffer("memory", memory)
        self.register_buffer("clusters", clusters)
        self.register_buffer("cameras", cameras)
        self.temperature, self.across, self.negatives, self.momentum = temperature, across, negatives, momentum

    def forward(self, embeddings: Tensor, proxies: Tensor) -> Tensor:
        """embeddings: (n, dim) of unit length; proxies: (n,) int64, the row of each in the memory; the mean loss."""
        scores = embeddings @ self.memory.T / self.temperature  # (n, p)
        elsewhere = self.cameras[None] != self.cameras[proxies][:, None]
        loss = functional.cross_entropy(scores.masked_fill(elsewhere, -torch.inf), proxies)
        if not self.across:
            return loss
        own = self.clusters[None] == self.clusters[proxies][:, None]  # (n, p)
        count = own.sum(dim=1)
        hardest = scores.masked_fill(own, -torch.inf).topk(min(self.negatives, len(self.memory)), dim=1).values
        rivals = torch.cat([scores.masked_fill(~own, -torch.inf), hardest], dim=1)
        missed = rivals.logsumexp(dim=1) - scores.masked_fill(~own, 0).sum(dim=1) / count
        return loss + self.across * (missed * (count > 1)).mean()

    @torch.no_grad()
    def update(self, embeddings: Tensor, proxies: Tensor) -> None:
        """Moves each proxy towards the mean of its pictures in the batch. As `forward` takes them."""
        rows, place = torch.unique(proxies, return_inverse=True)
        total = torch.zeros(len(rows), embeddings.shape[1], device=embeddings.device).index_add_(0, place, embeddings)
        seen = functional.normalize(total, dim=1)
        self.memory[rows] = functional.normalize(self.momentum * self.memory[rows] + (1 - self.momentum) * seen, dim=1)
