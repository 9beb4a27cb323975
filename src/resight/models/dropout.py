"""Dropout whose random numbers cost little on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 1 << 16


class Dropout(nn.Module):
    """Zeroes each value with probability p in training, and scales the rest so that the mean stays.

    PyTorch's own draws one number a value from a serial generator, a fifth of BigNet's step on two cores. Here
    one 64-bit draw serves four values, so p is rounded to a multiple of 2^-16, and the scale is that of the
    rounded p. On a GPU, or compiled, PyTorch's own is used, which is fused there.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.kept_levels = round((1 - p) * LEVELS)
        self.p = 1 - self.kept_levels / LEVELS

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        if torch.compiler.is_compiling() or x.device.type != "cpu" or not _is_dense(x):
            return functional.dropout(x, self.p)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        levels = draws.view(torch.int16)[: x.numel()].as_strided(x.shape, x.stride())  # laid out as x is
        kept = levels < self.kept_levels - LEVELS // 2
        return x * kept.to(x.dtype).mul_(LEVELS / self.kept_levels)


def _is_dense(x: Tensor) -> bool:
    return x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last))
