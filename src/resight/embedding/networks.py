"""What gives a model its embeddings: a network, from pixels of its own input size on."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from resight.core.distances import unit_rows
from resight.core.errors import WeightsError
from resight.core.pictures.images import Pixels
from resight.core.pictures.preprocessing import Preprocessing
from resight.core.records import FloatArray
from resight.embedding.bundle import Bundle
from resight.embedding.runtimes import open_runtime


class Network(Protocol):
    """name: what runs it, in words."""

    name: str

    def __call__(self, pixels: Pixels, preprocessing: Preprocessing) -> FloatArray:
        """(n, height, width, 3) uint8 RGB to (n, dim) float32 of unit length."""
        ...


class BundleNetwork:
    """The ONNX network of a bundle, run in batches. It may be used by several threads at once."""

    def __init__(self, bundle: Bundle, runtime: str, threads: int | None, device: str, batch_size: int) -> None:
        """batch_size: pictures a run, where the network leaves that open. Raises as `open_runtime`."""
        self._source, self._network = bundle.source, bundle.manifest.network
        self._batch_size = self._network.batch or batch_size
        self._run = open_runtime(bundle, runtime, threads, device)
        self.name = self._run.name

    def __call__(self, pixels: Pixels, preprocessing: Preprocessing) -> FloatArray:
        """Raises WeightsError where the network does not give what its manifest tells."""
        rows = []
        for start in range(0, len(pixels), self._batch_size):
            images = preprocessing.normalise(pixels[start : start + self._batch_size])
            if self._network.layout == "nhwc":
                images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
            rows.append(self._run_batch(images))
        return unit_rows(np.concatenate(rows)) if rows else np.zeros((0, self._network.dim), np.float32)

    def _run_batch(self, images: FloatArray) -> FloatArray:
        num, fixed, dim = len(images), self._network.batch, self._network.dim
        if fixed is not None and num < fixed:
            images = np.concatenate([images, np.zeros((fixed - num, *images.shape[1:]), np.float32)])
        try:
            out = self._run(images)
        except WeightsError:
            raise
        except Exception as error:  # what a runtime raises has no common base
            text = " ".join(str(error).split())[:300]
            raise WeightsError(f"{self._source}: the network cannot be run ({text})") from None
        if out.shape != (len(images), dim) or out.dtype != np.float32:
            raise WeightsError(
                f"{self._source}: the network gives {out.dtype} {out.shape} where its manifest tells of "
                f"float32 {(len(images), dim)}"
            )
        if not np.isfinite(out).all():
            raise WeightsError(f"{self._source}: the network gives NaN or infinity; its weights are damaged")
        return out[:num]
