"""The embedder: pictures to embeddings by a bundle, without PyTorch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.calibration import FALSE_ACCEPT_RATE, FALSE_REJECT_RATE, Decision
from resight.core.distances import unit_rows
from resight.core.errors import ConfigError, EmbeddingError, WeightsError
from resight.core.images import Pixels, is_one
from resight.core.preprocessing import Preprocessing
from resight.core.records import FloatArray, IntArray
from resight.data.crops import Problem
from resight.embedding.bundle import Bundle, Manifest, read_bundle
from resight.embedding.packaged import packaged_bundle
from resight.embedding.pictures import (
    Box,
    Picture,
    ahead,
    check_channel_order,
    cut_boxes,
    decode_batches,
    name_of,
    read_picture,
)
from resight.embedding.runtimes import open_runtime

BATCH = 32


@dataclass(frozen=True, eq=False)
class EmbeddedBatch:
    """positions: (n,) int64, which of all the pictures these are. names: their paths, or `picture 7`. embeddings:
    (n, dim) float32. problems: the pictures of this batch that could not be read."""

    positions: IntArray
    names: tuple[str, ...]
    embeddings: FloatArray
    problems: tuple[Problem, ...]


class Embedder:
    """A bundle's network, ready to embed. It may be used by several threads at once."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        runtime: str = "onnxruntime",
        threads: int | None = None,
        device: str = "auto",
        batch_size: int = BATCH,
    ) -> None:
        """threads: of the network, and as many to decode; None: one a core. batch_size: pictures a run.

        Raises as `open_runtime`, and WeightsError where the network does not give what its manifest tells.
        """
        if batch_size < 1 or (threads is not None and threads < 1):
            raise ConfigError("batch_size and threads are 1 at the least")
        self.bundle = bundle
        self.batch_size = batch_size
        self._threads = threads or os.cpu_count() or 1
        self._run = open_runtime(bundle, runtime, threads, device)
        size = self.manifest.preprocessing
        noise = np.random.default_rng(0).integers(0, 256, (1, size.height, size.width, 3), np.uint8)
        self.embed_pixels(noise)  # a network that is not what it says fails here, not in the midst of the work

    @property
    def manifest(self) -> Manifest:
        """What the model carries with it: preprocessing, data, rights, figures, calibration."""
        return self.bundle.manifest

    @property
    def identity(self) -> str:
        """The model's hash: embeddings are comparable where it is equal."""
        return self.manifest.identity

    @property
    def dim(self) -> int:
        """Values of an embedding."""
        return self.manifest.network.dim

    @property
    def runtime(self) -> str:
        """What runs the network, in words."""
        return self._run.name

    def __repr__(self) -> str:
        return f"<resight model {self.manifest.name}: {self.dim} values, {self.runtime}>"

    def embed(
        self,
        pictures: Picture | Iterable[Picture],
        *,
        boxes: Iterable[Box] | None = None,
        channel_order: str = "rgb",
        strict: bool = True,
    ) -> FloatArray:
        """(n, dim) float32 of unit length, in the order of the pictures; one picture makes one row.

        pictures: one or many of: a path, the bytes of a file, a PIL image, or an array (h, w, 3) uint8; or an array
        (n, h, w, 3). channel_order: of arrays, `rgb`, or `bgr` as OpenCV has them. boxes: (left, top, right, bottom)
        in pixels, of one full frame, each of which is embedded.

        Raises UnreadableImage for the first that cannot be read. With strict=False its row is NaN instead.
        """
        items = self._cut(pictures, boxes, channel_order) if boxes is not None else _items(pictures)
        rows: list[FloatArray] = []
        for batch in self.stream(items, channel_order="rgb" if boxes is not None else channel_order, strict=strict):
            part = np.full((len(batch.positions) + len(batch.problems), self.dim), np.nan, np.float32)
            part[batch.positions - sum(map(len, rows))] = batch.embeddings
            rows.append(part)
        return np.concatenate(rows) if rows else np.zeros((0, self.dim), np.float32)

    def stream(
        self, pictures: Iterable[Picture], *, channel_order: str = "rgb", strict: bool = False
    ) -> Iterator[EmbeddedBatch]:
        """Batch by batch, in order and in bounded memory: `pictures` need not end. Threads decode what comes next
        while the network runs.

        A picture that cannot be read is named among the batch's problems; with strict=True it raises UnreadableImage.
        """
        check_channel_order(channel_order)
        with ThreadPoolExecutor(self._threads, thread_name_prefix="decode") as pool:
            batches = decode_batches(pictures, self.manifest.preprocessing, self.batch_size, channel_order, pool)
            for decoded in ahead(batches):
                if strict and decoded.problems:
                    raise decoded.problems[0][1]
                problems = tuple(Problem(error.name, error.reason) for _, error in decoded.problems)
                positions = np.array(decoded.positions, np.int64)
                yield EmbeddedBatch(positions, decoded.names, self.embed_pixels(decoded.pixels), problems)

    def embed_pixels(self, pixels: Pixels, *, preprocessing: Preprocessing | None = None) -> FloatArray:
        """(n, height, width, 3) uint8 RGB, of the network's size already; (n, dim) float32 of unit length.

        preprocessing: another than the model's own, to find out what it would be worth.
        """
        rule = preprocessing or self.manifest.preprocessing
        network = self.manifest.network
        step = network.batch or self.batch_size
        rows = []
        for start in range(0, len(pixels), step):
            images = rule.normalise(pixels[start : start + step])
            if network.layout == "nhwc":
                images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
            rows.append(self._run_batch(images))
        return unit_rows(np.concatenate(rows)) if rows else np.zeros((0, self.dim), np.float32)

    def similarity(self, first: npt.ArrayLike, second: npt.ArrayLike) -> Any:
        """Cosine similarity in [-1, 1]: of two embeddings a float, of (n, dim) and (m, dim) an array (n, m)."""
        one, other = np.asarray(first, np.float32), np.asarray(second, np.float32)
        if one.shape[-1:] != (self.dim,) or other.shape[-1:] != (self.dim,):
            raise EmbeddingError(f"this model's embeddings have {self.dim} values, not {one.shape} and {other.shape}")
        found = one @ other.T
        return float(found) if found.ndim == 0 else found

    def decide(
        self,
        first: npt.ArrayLike,
        second: npt.ArrayLike,
        *,
        false_accept_rate: float = FALSE_ACCEPT_RATE,
        false_reject_rate: float = FALSE_REJECT_RATE,
    ) -> Decision:
        """`same`, `different` or `unsure`, of two embeddings, by the model's calibration.

        Raises ConfigError where it has none.
        """
        if self.manifest.calibration is None:
            raise ConfigError(f"{self.bundle.source} is not calibrated: run `resight calibrate` on people of your site")
        similarity = float(self.similarity(first, second))
        return self.manifest.calibration.decide_pair(
            similarity, false_accept_rate=false_accept_rate, false_reject_rate=false_reject_rate
        )

    def _cut(self, frame: Any, boxes: Iterable[Box], channel_order: str) -> Iterator[Any]:
        check_channel_order(channel_order)
        if not is_one(frame):
            raise ConfigError("boxes are of one full frame; call embed once for each frame")
        name = name_of(frame, 0)
        return cut_boxes(read_picture(frame, name, channel_order), boxes, name)

    def _run_batch(self, images: FloatArray) -> FloatArray:
        num, fixed = len(images), self.manifest.network.batch
        if fixed is not None and num < fixed:
            images = np.concatenate([images, np.zeros((fixed - num, *images.shape[1:]), np.float32)])
        try:
            out = self._run(images)
        except WeightsError:
            raise
        except Exception as error:  # what a runtime raises has no common base
            text = " ".join(str(error).split())[:300]
            raise WeightsError(f"{self.bundle.source}: the network cannot be run ({text})") from None
        if out.shape != (len(images), self.dim) or out.dtype != np.float32:
            raise WeightsError(
                f"{self.bundle.source}: the network gives {out.dtype} {out.shape} where its manifest tells of "
                f"float32 {(len(images), self.dim)}"
            )
        if not np.isfinite(out).all():
            raise WeightsError(f"{self.bundle.source}: the network gives NaN or infinity; its weights are damaged")
        return out[:num]


def load(
    model: str | Path | None = None,
    *,
    runtime: str = "onnxruntime",
    threads: int | None = None,
    device: str = "auto",
    batch_size: int = BATCH,
) -> Embedder:
    """Opens a model. model: a bundle's path, the name of a packaged one (`resight models`), or None, the default.

    runtime: `onnxruntime`, or `openvino` where resight[openvino] is installed. device: auto, cpu or cuda. Nothing is
    ever downloaded. Raises WeightsError for whatever is no bundle, and as Embedder does.
    """
    return Embedder(find_bundle(model), runtime=runtime, threads=threads, device=device, batch_size=batch_size)


def find_bundle(model: str | Path | None) -> Bundle:
    """The bundle that a path or a packaged name means."""
    if model is not None and Path(model).exists():
        return read_bundle(Path(model))
    return packaged_bundle(model)


def _items(pictures: Any) -> Iterable[Any]:
    if is_one(pictures):
        return [pictures]
    if isinstance(pictures, Iterable):
        return pictures
    raise ConfigError(f"{type(pictures).__name__} is no picture and no series of them")
