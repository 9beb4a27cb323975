"""Models to learn from: whatever embeds pictures, a run or a bundle, ours or made elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import onnxruntime
import torch

from resight.core.pictures.images import Pixels
from resight.core.pictures.preprocessing import Preprocessing
from resight.core.records import FloatArray
from resight.embedding.loading import is_run, load
from resight.models.saved import Origin


@dataclass(frozen=True, eq=False)
class Teacher:
    """embed: (n, height, width, 3) uint8 RGB, of the size and by the resize rule of `preprocessing`, to (n, dim)."""

    origin: Origin
    preprocessing: Preprocessing
    dim: int
    embed: Callable[[Pixels], FloatArray]


def open_teacher(path: Path, device: str = "auto") -> Teacher:
    """A run's directory, a bundle's file, or a packaged model's name. Raises WeightsError where it cannot be used."""
    # OpenVINO is the faster one of the two runtimes where both are there (docs/results.md, Embedding).
    faster = find_spec("openvino") and not device.startswith("cuda") and not is_run(path)
    if not is_run(path) and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        device = "cpu"
    model = load(path, device=device, runtime="openvino" if faster else "onnxruntime", threads=torch.get_num_threads())
    origin = Origin(model.identity, model.card.trained_on, model.card.rights)
    return Teacher(origin, model.preprocessing, model.dim, model.embed_pixels)
