"""Crops to pixels, on all cores, in order and in bounded memory. A file that cannot be decoded is named and counted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resight.core.cores import available_cores
from resight.core.errors import DatasetError, UnreadableImage
from resight.core.pictures.images import Pixels, content_id, decode_image, resize_image
from resight.data.crops import Crop, Problem

CHUNK = 256


@dataclass(frozen=True, eq=False)
class DecodedCrops:
    """The crops that could be decoded, in order, and those that could not.

    pixels: (n, height, width, 3) uint8. content_hashes: (n,) uint64, of each picture before resizing. digest: the
    fingerprint of names, ids and file contents.
    """

    crops: tuple[Crop, ...]
    pixels: Pixels
    content_hashes: npt.NDArray[np.uint64]
    problems: tuple[Problem, ...]
    digest: str


def iter_decoded(
    crops: Sequence[Crop],
    height: int,
    width: int,
    *,
    strict: bool = False,
    chunk: int = CHUNK,
    threads: int | None = None,
    resize: str = "bilinear-antialias",
) -> Iterator[DecodedCrops]:
    """Decodes chunk by chunk, on `threads` threads (None: one a core). resize: one of RESIZE_RULES.

    Raises UnreadableImage for the first unreadable picture if strict.
    """
    with ThreadPoolExecutor(threads or available_cores(), thread_name_prefix="decode") as pool:
        for start in range(0, len(crops), chunk):
            part = crops[start : start + chunk]
            results = list(pool.map(lambda crop: _decode(crop, height, width, resize), part))
            yield _collect(part, results, height, width, strict)


def decode_crops(
    crops: Sequence[Crop],
    height: int,
    width: int,
    *,
    strict: bool = False,
    on_progress: Callable[[int], None] | None = None,
    threads: int | None = None,
    resize: str = "bilinear-antialias",
) -> DecodedCrops:
    """Decodes all at once, into n * height * width * 3 bytes. on_progress: is told how many pictures were done. resize:
    one of RESIZE_RULES.

    Raises UnreadableImage for the first unreadable picture if strict, DatasetError where not one can be decoded.
    """
    parts = []
    for part in iter_decoded(crops, height, width, strict=strict, threads=threads, resize=resize):
        parts.append(part)
        if on_progress is not None:
            on_progress(len(part.crops) + len(part.problems))
    kept = tuple(crop for part in parts for crop in part.crops)
    problems = tuple(problem for part in parts for problem in part.problems)
    if not kept:
        first = "; ".join(f"{problem.name}: {problem.reason}" for problem in problems[:3])
        raise DatasetError(f"none of {len(crops)} pictures can be decoded. {first}".rstrip())
    digest = hashlib.blake2b("".join(part.digest for part in parts).encode(), digest_size=16)
    return DecodedCrops(
        kept,
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.content_hashes for part in parts]),
        problems,
        digest.hexdigest(),
    )


def mean_picture(crops: Sequence[Crop], height: int, width: int, resize: str = "bilinear-antialias") -> Pixels:
    """The mean of all crops that can be decoded: (height, width, 3) uint8. resize: one of RESIZE_RULES."""
    total, number = np.zeros((height, width, 3)), 0
    for part in iter_decoded(crops, height, width, resize=resize):
        total += part.pixels.sum(axis=0, dtype=np.float64)
        number += len(part.pixels)
    return np.rint(total / max(number, 1)).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class _Decoded:
    pixels: Pixels
    content: int
    digest: bytes


def _decode(crop: Crop, height: int, width: int, resize: str) -> _Decoded | UnreadableImage:
    try:
        data = crop.read()
        pixels = decode_image(data, crop.name)
    except UnreadableImage as error:
        return error
    resized = resize_image(pixels, height, width, resize)
    identity = hashlib.blake2b(f"{crop.name}\0{crop.pid}\0{crop.camid}\0".encode("utf-8", "surrogateescape"))
    identity.update(data)
    return _Decoded(resized, content_id(pixels), identity.digest())


def _collect(
    crops: Sequence[Crop],
    results: Sequence[_Decoded | UnreadableImage],
    height: int,
    width: int,
    strict: bool,
) -> DecodedCrops:
    kept, good, problems = [], [], []
    digest = hashlib.blake2b(digest_size=16)
    for crop, result in zip(crops, results, strict=True):
        if isinstance(result, UnreadableImage):
            if strict:
                raise result
            problems.append(Problem(result.name, result.reason))
        else:
            kept.append(crop)
            good.append(result)
            digest.update(result.digest)
    pixels = np.stack([g.pixels for g in good]) if good else np.zeros((0, height, width, 3), np.uint8)
    content_hashes = np.array([g.content for g in good], dtype=np.uint64)
    return DecodedCrops(tuple(kept), pixels, content_hashes, tuple(problems), digest.hexdigest())
