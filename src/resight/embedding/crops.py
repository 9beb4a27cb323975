"""Crops of a data set to embeddings by a bundle, for evaluation and calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from resight.core.images import Pixels
from resight.core.progress import Progress, silent
from resight.core.records import EmbeddedCrops, FloatArray
from resight.data.crops import Crop, Problem, camids_of, pids_of
from resight.data.decoding import iter_decoded
from resight.embedding.embedder import Embedder
from resight.embedding.pictures import ahead


def embed_crops(
    model: Embedder,
    crops: Sequence[Crop],
    *,
    strict: bool = False,
    progress: Progress = silent,
    what: str = "embedding",
    edit: Callable[[Pixels], Pixels] | None = None,
) -> tuple[EmbeddedCrops, tuple[Problem, ...]]:
    """The crops that can be decoded, embedded in order, and those that cannot.

    edit: what is done to pictures (n, height, width, 3) of the network's size before it sees them.
    """
    size = model.manifest.preprocessing
    kept: list[Crop] = []
    problems: list[Problem] = []
    embeddings: list[FloatArray] = [np.zeros((0, model.dim), np.float32)]
    content_hashes: list[npt.NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    decoded = iter_decoded(crops, size.height, size.width, strict=strict, resize=size.resize)
    with progress(what, len(crops)) as advance:
        for part in ahead(decoded):
            kept.extend(part.crops)
            problems.extend(part.problems)
            content_hashes.append(part.content_hashes)
            embeddings.append(model.embed_pixels(part.pixels if edit is None else edit(part.pixels)))
            advance(len(part.crops) + len(part.problems))
    names = tuple(crop.name for crop in kept)
    found = EmbeddedCrops(
        np.concatenate(embeddings), pids_of(kept), camids_of(kept), np.concatenate(content_hashes), names
    )
    return found, tuple(problems)
