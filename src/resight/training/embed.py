"""Embeds crops with a trained network in PyTorch, and scores the embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from resight.core.images import Pixels
from resight.core.progress import Progress, silent
from resight.core.records import EmbeddedCrops, FloatArray
from resight.data.crops import Crop, Dataset, Problem, camids_of, pids_of
from resight.data.decoding import DecodedCrops, iter_decoded
from resight.data.embed import Embedded, embed_splits
from resight.models.saved import Model
from resight.training.execution import channels_last, choose_device

BATCH = 64


def embed_dataset(
    model: Model, dataset: Dataset, *, device: str = "auto", strict: bool = False, progress: Progress = silent
) -> Embedded:
    """Query and gallery of a data set. Raises DatasetError where either is empty."""

    def embed(crops: Sequence[Crop], what: str) -> tuple[EmbeddedCrops, tuple[Problem, ...]]:
        return embed_crops(model, crops, device=device, strict=strict, progress=progress, what=what)

    return embed_splits(embed, dataset)


def embed_crops(
    model: Model,
    crops: Sequence[Crop],
    *,
    device: str = "auto",
    strict: bool = False,
    progress: Progress = silent,
    what: str = "embedding",
    edit: Callable[[Pixels], Pixels] | None = None,
) -> tuple[EmbeddedCrops, tuple[Problem, ...]]:
    """The crops that can be decoded, embedded in order, and those that cannot.

    edit: what is done to pictures (n, height, width, 3) of the network's size before it sees them.
    """
    chosen = choose_device(device)
    network = channels_last(model.network, chosen).eval()
    size = model.card.preprocessing
    parts: list[DecodedCrops] = []
    embeddings: list[FloatArray] = []
    with progress(what, len(crops)) as advance:
        for part in iter_decoded(crops, size.height, size.width, strict=strict):
            parts.append(DecodedCrops(part.crops, part.pixels[:0], part.content_hashes, part.problems, part.digest))
            pixels = part.pixels if edit is None else edit(part.pixels)
            embeddings.append(embed_pixels(network, model, pixels, chosen))
            advance(len(part.crops) + len(part.problems))
    kept = [crop for part in parts for crop in part.crops]
    embedded = EmbeddedCrops(
        np.concatenate(embeddings) if kept else np.zeros((0, model.card.architecture.dim), np.float32),
        pids_of(kept),
        camids_of(kept),
        np.concatenate([part.content_hashes for part in parts]) if parts else np.zeros(0, np.uint64),
        tuple(crop.name for crop in kept),
    )
    return embedded, tuple(problem for part in parts for problem in part.problems)


def embed_pixels(
    network: torch.nn.Module,
    model: Model,
    pixels: Pixels,
    device: torch.device,
) -> FloatArray:
    """(n, height, width, 3) uint8 to (n, dim) float32 of unit length."""
    rows = []
    with torch.inference_mode():
        for start in range(0, len(pixels), BATCH):
            images = torch.from_numpy(model.card.preprocessing.normalise(pixels[start : start + BATCH]))
            images = images.to(device, memory_format=torch.channels_last)
            rows.append(network(images).float().cpu().numpy())
    return np.concatenate(rows) if rows else np.zeros((0, model.card.architecture.dim), np.float32)
