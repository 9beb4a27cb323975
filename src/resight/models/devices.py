"""Where a network runs."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from resight.core.errors import ConfigError, unknown_name

Module = TypeVar("Module", bound=nn.Module)


def choose_device(device: str, local_rank: int | None = None) -> torch.device:
    """The device that a name means: auto, cpu, cuda or cuda:N. Raises ConfigError where it is not there."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise unknown_name("device", device, ("auto", "cpu", "cuda", "cuda:N")) from None
    if chosen.type == "cuda":
        if not torch.cuda.is_available():
            raise ConfigError("this PyTorch sees no CUDA device; use --device cpu")
        if chosen.index is None:
            chosen = torch.device("cuda", local_rank or 0)
        torch.cuda.set_device(chosen)
    return chosen


def channels_last(module: Module, device: torch.device) -> Module:
    """The module on the device, its convolutions' weights in the order that CPUs and GPUs convolve fastest."""
    return module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
