"""A trained network in PyTorch, run on pixels."""

from __future__ import annotations

import numpy as np
import torch

from resight.core.pictures.images import Pixels
from resight.core.pictures.preprocessing import Preprocessing
from resight.core.records import FloatArray
from resight.models.devices import channels_last, choose_device
from resight.models.saved import TrainedNetwork

BATCH = 64


class TorchNetwork:
    """The network in evaluation mode on a device, run in batches. device: auto, cpu, cuda or cuda:N.

    Raises ConfigError where the device is not there.
    """

    def __init__(self, trained: TrainedNetwork, device: str = "auto") -> None:
        self._device = choose_device(device)
        self._network = channels_last(trained.network, self._device).eval()
        self._dim = trained.config.architecture.dim
        self.name = f"PyTorch {torch.__version__} on {self._device}"

    def __call__(self, pixels: Pixels, preprocessing: Preprocessing) -> FloatArray:
        """(n, height, width, 3) uint8 RGB to (n, dim) float32 of unit length."""
        rows = []
        with torch.inference_mode():
            for start in range(0, len(pixels), BATCH):
                images = torch.from_numpy(preprocessing.normalise(pixels[start : start + BATCH]))
                images = images.to(self._device, memory_format=torch.channels_last)
                rows.append(self._network(images).float().cpu().numpy())
        return np.concatenate(rows) if rows else np.zeros((0, self._dim), np.float32)
