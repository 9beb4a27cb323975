"""From a feature map to a vector: (n, c, h, w) to (n, c)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Average(nn.Module):
    """The mean of all cells."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class Maximum(nn.Module):
    """The largest of all cells."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax(dim=(2, 3))


class AverageMaximum(nn.Module):
    """The mean plus the largest."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3)) + x.amax(dim=(2, 3))


class GeneralisedMean(nn.Module):
    """The p-th root of the mean of p-th powers, p learnable from 3 (GeM; Radenovic et al., TPAMI 2019, eq. 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x.clamp_min(1e-6).pow(self.p).mean(dim=(2, 3)).pow(1 / self.p)
        return out


POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "avg": Average,
    "max": Maximum,
    "avg-max": AverageMaximum,
    "gem": GeneralisedMean,
}
