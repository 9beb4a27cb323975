"""The exponential average of a network's weights over its training, which generalises better than the last ones."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class WeightAverage:
    """average = decay * average + (1 - decay) * weights, after each step; statistics of normalisation as well.

    Early on the decay is smaller, (1 + t) / (10 + t), or the first weights would weigh on. decay 0: the
    network itself.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network) if decay else network
        self._from, self._to = _averaged(network), _averaged(self.network)
        self._counters = _counters(self.network), _counters(network)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After 0-based `step`."""
        if not self.decay:
            return
        torch._foreach_lerp_(self._to, self._from, 1 - min(self.decay, (1 + step) / (10 + step)))
        if self._counters[0]:
            torch._foreach_copy_(*self._counters)


def _averaged(network: nn.Module) -> list[Tensor]:
    tensors = [*network.parameters(), *network.buffers()]
    return [tensor.detach() for tensor in tensors if tensor.is_floating_point()]


def _counters(network: nn.Module) -> list[Tensor]:
    return [buffer for buffer in network.buffers() if not buffer.is_floating_point()]
