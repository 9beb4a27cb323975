"""The training pictures as uint8 batches: held in memory where they fit, streamed from their files where not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resight.core.errors import DatasetError
from resight.core.pictures.cells import shows_nothing
from resight.core.pictures.images import decode_image, resize_image
from resight.core.progress import Progress, silent
from resight.core.records import IntArray
from resight.core.words import counted
from resight.data.crops import UNKNOWN_PID, Crop, Problem, labels_of
from resight.data.decoding import iter_decoded

MAX_MEMORY_MB = 4096  # above this the training set is streamed
PREFETCH = 4  # batches
SAMPLED = 512


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """Every training picture that can be read, and what one pass over them tells.

    pixels: (n, h, w, 3) uint8, or None where they are streamed. labels: (n,) class indices, -1 of unlabelled
    ones. mean, std: of all pixels, per channel, in [0, 1]. digest: the fingerprint of the pictures and their labels.
    blank: the names of those that are the same all over; they are trained on like others. resize: one of RESIZE_RULES.
    """

    crops: tuple[Crop, ...]
    labels: IntArray
    pixels: npt.NDArray[np.uint8] | None
    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    problems: tuple[Problem, ...]
    digest: str
    blank: tuple[str, ...]
    resize: str = "bilinear-antialias"

    def __len__(self) -> int:
        return len(self.crops)

    @property
    def num_classes(self) -> int:
        return int(self.labels.max()) + 1

    def sample(self) -> npt.NDArray[np.uint8]:
        """Pictures from all of them, at equal steps: (m, h, w, 3) uint8, m at most SAMPLED."""
        step = -(-len(self) // SAMPLED)
        return self.take(np.arange(0, len(self), step))

    def take(self, rows: IntArray) -> npt.NDArray[np.uint8]:
        """Those pictures, (b, h, w, 3) uint8."""
        return next(self.batches([rows]))

    def batches(self, indices: Iterable[IntArray]) -> Iterator[npt.NDArray[np.uint8]]:
        """The pictures of each batch of rows, (b, h, w, 3) uint8, in order."""
        if self.pixels is not None:
            for rows in indices:
                yield self.pixels[rows]
        else:
            yield from self._streamed(indices)

    def _streamed(self, indices: Iterable[IntArray]) -> Iterator[npt.NDArray[np.uint8]]:
        def load(row: int) -> npt.NDArray[np.uint8]:
            crop = self.crops[row]
            return resize_image(decode_image(crop.read(), crop.name), self.height, self.width, self.resize)

        with ThreadPoolExecutor(thread_name_prefix="decode") as pool:
            waiting = []
            for rows in indices:
                waiting.append([pool.submit(load, int(row)) for row in rows])
                if len(waiting) > PREFETCH:
                    yield np.stack([future.result() for future in waiting.pop(0)])
            for futures in waiting:
                yield np.stack([future.result() for future in futures])


def load_training_images(
    crops: Sequence[Crop],
    height: int,
    width: int,
    *,
    strict: bool = False,
    max_memory_mb: int = MAX_MEMORY_MB,
    progress: Progress = silent,
    resize: str = "bilinear-antialias",
) -> TrainingImages:
    """Reads every picture once. One that cannot be decoded is left out and named in `problems`, unless strict. resize:
    one of RESIZE_RULES.

    Raises DatasetError where fewer than two identities remain, or, of unlabelled pictures alone, fewer than two.
    """
    in_memory = len(crops) * height * width * 3 <= max_memory_mb * 1_000_000
    kept: list[Crop] = []
    problems: list[Problem] = []
    pixels = np.empty((len(crops), height, width, 3), np.uint8) if in_memory else None
    blank: list[str] = []
    total, squares, count = np.zeros(3), np.zeros(3), 0
    digest = hashlib.blake2b(digest_size=16)
    with progress("reading the training pictures", len(crops)) as advance:
        for part in iter_decoded(crops, height, width, strict=strict, resize=resize):
            if pixels is not None:
                pixels[len(kept) : len(kept) + len(part.crops)] = part.pixels
            kept.extend(part.crops)
            problems.extend(part.problems)
            blank.extend(part.crops[row].name for row in np.flatnonzero(shows_nothing(part.pixels)))
            digest.update(part.digest.encode())
            values = part.pixels.reshape(-1, 3).astype(np.float64) / 255
            total, squares, count = total + values.sum(0), squares + (values**2).sum(0), count + len(values)
            advance(len(part.crops) + len(part.problems))
    people = {crop.pid for crop in kept if crop.pid != UNKNOWN_PID}
    first = "".join(f"; {problem.name}: {problem.reason}" for problem in problems[:3])
    if len(kept) < 2 and crops and all(crop.pid == UNKNOWN_PID for crop in crops):
        raise DatasetError(
            f"it takes two pictures at the least to learn from; of {counted(len(crops), 'picture')} {len(kept)} can be "
            f"read{first}"
        )
    if len(people) == 1 or len(kept) < 2:
        raise DatasetError(
            f"training takes pictures of two persons at the least; of {len(crops)} training pictures "
            f"{len(kept)} can be read, of {len(people)} person(s){first}"
        )
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1e-6))
    return TrainingImages(
        tuple(kept),
        labels_of(kept),
        None if pixels is None else pixels[: len(kept)],
        height,
        width,
        (float(mean[0]), float(mean[1]), float(mean[2])),
        (float(std[0]), float(std[1]), float(std[2])),
        tuple(problems),
        digest.hexdigest(),
        tuple(blank),
        resize,
    )
