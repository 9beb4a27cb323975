"""Models to learn from: whatever embeds pictures, a run or a bundle, ours or made elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from resight.core.images import Pixels
from resight.core.preprocessing import Preprocessing
from resight.core.records import FloatArray
from resight.embedding.embedder import load
from resight.models.saved import Origin, load_model
from resight.training.embed import embed_pixels
from resight.training.execution import channels_last, choose_device


@dataclass(frozen=True, eq=False)
class Teacher:
    """embed: (n, height, width, 3) uint8 RGB, of the size and by the resize rule of `preprocessing`, to (n, dim)."""

    origin: Origin
    preprocessing: Preprocessing
    dim: int
    embed: Callable[[Pixels], FloatArray]


def open_teacher(path: Path, device: str = "auto") -> Teacher:
    """A run's directory, a bundle's file, or a packaged model's name. Raises WeightsError where it cannot be used."""
    if not path.is_dir():
        # OpenVINO is the faster one of the two where both are there (docs/results.md, Embedding).
        runtime = "openvino" if find_spec("openvino") and not device.startswith("cuda") else "onnxruntime"
        on = "cuda" if device.startswith("cuda") else device
        bundle = load(path, device=on, runtime=runtime, threads=torch.get_num_threads())
        told = bundle.manifest
        origin = Origin(bundle.identity, told.trained_on, told.rights)
        return Teacher(origin, told.preprocessing, bundle.dim, bundle.embed_pixels)
    model, chosen = load_model(path), choose_device(device)
    network, card = channels_last(model.network, chosen).eval(), model.card
    origin = Origin(str(card.weights_sha256), card.trained_on, card.rights)
    return Teacher(
        origin,
        card.preprocessing,
        card.architecture.dim,
        lambda pixels: embed_pixels(network, model, pixels, chosen),
    )
