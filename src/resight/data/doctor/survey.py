"""One pass over every picture of a data set: its size, hashes and faults, in some hundred bytes a picture.

The pictures themselves are let go as they come, so memory grows with their number only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from resight.core.cores import available_cores
from resight.core.errors import UnreadableImage
from resight.core.pictures.cells import GRID, is_blank, mean_of_cells
from resight.core.pictures.images import Pixels, content_id, decode_image
from resight.core.progress import Progress, silent
from resight.core.records import IntArray
from resight.data.crops import SPLITS, Crop, Dataset, Problem, camids_of, pids_of

CHUNK = 64
HASH_BITS = 256
LARGE_VALUES = 512 * 256 * 3
Bits = npt.NDArray[np.uint8]
Ids = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

MAGIC = {b"\xff\xd8": "jpeg", b"\x89P": "png", b"BM": "bmp", b"RI": "webp", b"GI": "gif"}
SUFFIXES = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".bmp": "bmp", ".webp": "webp", ".gif": "gif"}


@dataclass(frozen=True, eq=False)
class Survey:
    """Arrays over the n pictures that can be read, in the order train, query, gallery.

    split: (n,) index into SPLITS. height_px, width_px: (n,). files, content_hashes: (n,) uint64, equal where the bytes,
    or the decoded pixels, are. hashes: (n, 32) uint8, 256 bits of how the light changes over a grid: near
    duplicates differ in few. blank, grey, misnamed: (n,) bool; misnamed means that the suffix names another
    kind of file than the content is. ill_named and unreadable: the files that were left out.
    """

    dataset: Dataset
    crops: tuple[Crop, ...]
    split: npt.NDArray[np.int8]
    pids: IntArray
    camids: IntArray
    height_px: IntArray
    width_px: IntArray
    files: Ids
    content_hashes: Ids
    hashes: Bits
    blank: Flags
    grey: Flags
    misnamed: Flags
    ill_named: tuple[Problem, ...]
    unreadable: tuple[Problem, ...]

    def rows(self, *splits: str) -> IntArray:
        """The rows of the pictures of these splits, ascending."""
        wanted = [SPLITS.index(split) for split in splits]
        return np.flatnonzero(np.isin(self.split, wanted)).astype(np.int64)


def survey(
    dataset: Dataset, *, strict: bool = False, progress: Progress = silent, threads: int | None = None
) -> Survey:
    """Reads every picture once, on `threads` threads (None: one a core). Raises UnreadableImage for the first
    unreadable picture if strict."""
    everything = [(number, crop) for number, split in enumerate(SPLITS) for crop in getattr(dataset, split)]
    chunks = [everything[start : start + CHUNK] for start in range(0, len(everything), CHUNK)]
    seen: list[_Seen] = []
    with (
        progress("reading pictures", len(everything)) as advance,
        ThreadPoolExecutor(threads or available_cores(), thread_name_prefix="survey") as pool,
    ):
        for chunk, found in zip(chunks, pool.map(_look, chunks), strict=True):
            if strict and found.unreadable:
                raise UnreadableImage(found.unreadable[0].name, found.unreadable[0].reason)
            seen.append(found)
            advance(len(chunk))
    crops = [crop for found in seen for crop in found.crops]

    def joined(field: str, dtype: type[np.generic], *shape: int) -> npt.NDArray[Any]:
        return np.concatenate([np.zeros((0, *shape), dtype), *(getattr(found, field) for found in seen)])

    return Survey(
        dataset=dataset,
        crops=tuple(crops),
        split=joined("split", np.int8),
        pids=pids_of(crops),
        camids=camids_of(crops),
        height_px=joined("height_px", np.int64),
        width_px=joined("width_px", np.int64),
        files=joined("files", np.uint64),
        content_hashes=joined("content_hashes", np.uint64),
        hashes=joined("hashes", np.uint8, HASH_BITS // 8),
        blank=joined("blank", np.bool_),
        grey=joined("grey", np.bool_),
        misnamed=joined("misnamed", np.bool_),
        ill_named=dataset.problems,
        unreadable=tuple(problem for found in seen for problem in found.unreadable),
    )


@dataclass(frozen=True, eq=False)
class _Seen:
    """What Survey holds, of one chunk."""

    crops: list[Crop]
    split: npt.NDArray[np.int8]
    height_px: IntArray
    width_px: IntArray
    files: Ids
    content_hashes: Ids
    hashes: Bits
    blank: Flags
    grey: Flags
    misnamed: Flags
    unreadable: list[Problem]


def _look(chunk: Sequence[tuple[int, Crop]]) -> _Seen:
    """A chunk at once: a call of numpy or of the pool for every single picture would cost more than its decoding."""
    crops: list[Crop] = []
    split: list[int] = []
    sizes: list[tuple[int, int]] = []
    files: list[int] = []
    content_hashes: list[int] = []
    misnamed: list[bool] = []
    by_shape: dict[tuple[int, ...], list[tuple[int, Pixels]]] = {}
    unreadable: list[Problem] = []
    for number, crop in chunk:
        try:
            data = crop.read()
            pixels = decode_image(data, crop.name)
        except UnreadableImage as error:
            unreadable.append(Problem(error.name, error.reason))
            continue
        crops.append(crop)
        split.append(number)
        sizes.append(pixels.shape[:2])
        files.append(int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little"))
        content_hashes.append(content_id(pixels))
        misnamed.append(_is_misnamed(crop.name, data))
        small = pixels if pixels.size <= LARGE_VALUES else _reduce(pixels)
        by_shape.setdefault(small.shape, []).append((len(crops) - 1, small))
    grid = np.zeros((len(crops), *GRID, 3), np.int16)
    for alike in by_shape.values():
        grid[[row for row, _ in alike]] = mean_of_cells(np.stack([pixels for _, pixels in alike]))
    light = grid.sum(axis=3)  # (n, 17, 9), 0 to 765
    height, width = np.array(sizes, np.int64).reshape(-1, 2).T
    return _Seen(
        crops,
        np.array(split, np.int8),
        height,
        width,
        np.array(files, np.uint64),
        np.array(content_hashes, np.uint64),
        difference_hash(light),
        is_blank(light),
        np.ptp(grid, axis=3).max(axis=(1, 2)) == 0,
        np.array(misnamed, np.bool_),
        unreadable,
    )


def _reduce(pixels: Pixels) -> Pixels:
    """A large picture at an nth of its size, so that no chunk takes much memory."""
    factor = int(np.ceil(np.sqrt(pixels.size / LARGE_VALUES)))
    return np.asarray(Image.fromarray(pixels).reduce(factor))


def _is_misnamed(name: str, data: bytes) -> bool:
    named = SUFFIXES.get(name[name.rfind(".") :].lower())
    return named is not None and MAGIC.get(data[:2], named) != named


def difference_hash(light: npt.NDArray[np.int16] | IntArray) -> Bits:
    """(n, 17, 9) to (n, 32): whether the light rises to the right, and whether it rises downwards, cell by cell.

    Unchanged by brightness and contrast, little changed by scale and compression; a crop's other frame is another
    picture to it.
    """
    across = light[:, :-1, 1:] > light[:, :-1, :-1]  # (n, 16, 8)
    down = light[:, 1:, :-1] > light[:, :-1, :-1]  # (n, 16, 8)
    return np.packbits(np.stack((across, down), axis=1).reshape(len(light), HASH_BITS), axis=1)


def count_by(values: Sequence[int] | IntArray) -> dict[int, int]:
    """How often each value stands there."""
    found, counts = np.unique(np.asarray(values, dtype=np.int64), return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))
