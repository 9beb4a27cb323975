"""Does the bundle give what the trained network gave? From the files on: decoding and resizing are part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from resight.core.errors import DataError
from resight.core.pictures.images import Pixels, decode_by_pillow, decode_image, resize_image
from resight.core.pictures.preprocessing import Preprocessing
from resight.core.progress import Progress, silent
from resight.core.records import EmbeddedCrops, FloatArray
from resight.data.crops import Crop, Dataset
from resight.embedding.bundle import Bundle
from resight.embedding.loading import of_bundle
from resight.embedding.model import Model
from resight.evaluation.compare import Comparison, compare
from resight.models.saved import TrainedNetwork

BATCH = 64
FP32_LIMIT = 1e-4  # of the largest difference of any value of an embedding
INT8_COSINE = 0.95  # the least mean cosine, where no evaluation data are given
MAX_LOSS = 0.005  # of mAP


@dataclass(frozen=True, eq=False)
class Parity:
    """max_difference, mean_difference: of the embeddings' values, over all pictures. mean_cosine: of each picture's two
    embeddings. decoder_difference: the largest of any pixel, 0 to 255, between Pillow and what the embedder decodes
    by. comparison: rank-1 and mAP of both, where there were data for it. failures: why it must not be written."""

    precision: str
    num_pictures: int
    max_difference: float
    mean_difference: float
    mean_cosine: float
    decoder_difference: int
    comparison: Comparison | None
    failures: tuple[str, ...]


def measure_parity(
    model: TrainedNetwork,
    bundle: Bundle,
    crops: Sequence[Crop],
    dataset: Dataset | None = None,
    *,
    max_loss: float = MAX_LOSS,
    progress: Progress = silent,
) -> Parity:
    """The trained network in PyTorch, its pictures decoded by Pillow, against the bundle from the same files.

    crops: pictures to compare embeddings on. dataset: whose query and gallery rank-1 and mAP are counted on. max_loss:
    of mAP, for int8. Raises DataError where not one picture can be read.
    """
    exported = of_bundle(bundle)
    ours, _ = exported.embed_crops(crops, progress=progress, what="embedding by the bundle")
    if not len(ours):
        raise DataError("parity takes pictures, and not one of those given can be read")
    kept = {name: crop for crop in crops for name in (crop.name,)}
    readable = [kept[name] for name in ours.names]
    theirs = embed_by_pillow(model, readable, progress)
    difference = np.abs(ours.embeddings - theirs)
    cosine = float((ours.embeddings * theirs).sum(axis=1).mean())
    precision = bundle.manifest.network.precision
    failures = []
    if precision == "fp32" and difference.max() > FP32_LIMIT:
        failures.append(
            f"the embeddings differ by {difference.max():.2g} (at most {FP32_LIMIT:g}), first in "
            f"{ours.names[int(difference.max(axis=1).argmax())]}"
        )
    comparison = _compare(model, exported, dataset, progress) if dataset is not None else None
    if comparison is not None:
        loss = -comparison.differences["mean_ap"].mean
        if loss > max_loss:
            interval = comparison.differences["mean_ap"].interval
            failures.append(
                f"the bundle loses {100 * loss:.2f} points of mAP (at most {100 * max_loss:.2f}; difference "
                f"[{100 * interval.low:.2f}, {100 * interval.high:.2f}])"
            )
    elif precision == "int8" and cosine < INT8_COSINE:
        failures.append(f"the embeddings' mean cosine with the trained network's is {cosine:.3f} (least {INT8_COSINE})")
    return Parity(
        precision,
        len(ours),
        float(difference.max()),
        float(difference.mean()),
        cosine,
        max(_decoder_difference(crop) for crop in readable),
        comparison,
        tuple(failures),
    )


def embed_by_pillow(model: TrainedNetwork, crops: Sequence[Crop], progress: Progress = silent) -> FloatArray:
    """(n, dim) float32 by PyTorch on the CPU, the pictures decoded and resized by Pillow alone."""
    size = model.config.preprocessing
    rows = []
    with progress("embedding by PyTorch", len(crops)) as advance, torch.inference_mode():
        for start in range(0, len(crops), BATCH):
            part = crops[start : start + BATCH]
            pixels = np.stack([_resized(crop, size) for crop in part])
            rows.append(model.network(torch.from_numpy(size.normalise(pixels))).float().numpy())
            advance(len(part))
    return np.concatenate(rows)


def drawn_pictures(dataset: Dataset, most: int) -> list[Crop]:
    """Up to `most` crops of all its splits, evenly taken, so that every person and camera has a chance."""
    crops = [*dataset.query, *dataset.gallery, *dataset.train]
    return crops[:: max(1, -(-len(crops) // most))]


def _compare(model: TrainedNetwork, exported: Model, dataset: Dataset, progress: Progress) -> Comparison:
    by_bundle = exported.embed_dataset(dataset, progress=progress)
    by_torch = []
    for crops, side in ((dataset.query, by_bundle.query), (dataset.gallery, by_bundle.gallery)):
        named = {crop.name: crop for crop in crops}
        embeddings = embed_by_pillow(model, [named[name] for name in side.names], progress)
        by_torch.append(EmbeddedCrops(embeddings, side.pids, side.camids, side.content_hashes, side.names))
    return compare((by_torch[0], by_torch[1]), (by_bundle.query, by_bundle.gallery))


def _resized(crop: Crop, size: Preprocessing) -> Pixels:
    return resize_image(decode_by_pillow(crop.read(), crop.name), size.height, size.width, size.resize)


def _decoder_difference(crop: Crop) -> int:
    one, other = decode_by_pillow(crop.read(), crop.name), decode_image(crop.read(), crop.name)
    return int(np.abs(one.astype(np.int16) - other).max())
