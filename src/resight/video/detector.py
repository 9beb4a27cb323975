"""A detector of the user's own, as ONNX: what its outputs mean is told by their shapes. None is packaged.

| outputs | as | pixels |
|---|---|---|
| `(1, n, 5 + classes)` | YOLOX's grid of strides 8, 16 and 32, undecoded | BGR, 0 to 255 |
| `(1, 4 + classes, n)` | middle, size and class scores, in pixels of the input | RGB, 0 to 1 |
| `(n, 6)` or `(1, n, 6)` | left, top, right, bottom, score, class | RGB, 0 to 1 |
| boxes `(.., n, 4)` and scores | corners, in pixels or fractions of the input | RGB, 0 to 1 |

Scores beside boxes are `(.., n)`, with classes `(.., n)` where there are some, or `(.., n, classes)`.

The frame is resized into the upper left corner of the input, its sides kept in proportion, and the rest is grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from resight.core.errors import ConfigError, DataError, WeightsError
from resight.core.pictures.images import Pixels
from resight.core.records import FloatArray
from resight.embedding.runtimes import open_session
from resight.video.boxes import suppressed
from resight.video.records import NOBODY, Detections, detections

PERSON = 0  # the class of people, as in COCO without a background
STRIDES = (8, 16, 32)
GREY = 114
SIZE_PX = 640  # of inputs that leave it open
INPUTS = ("rgb1", "rgb255", "bgr1", "bgr255")
Array = npt.NDArray[Any]


class OnnxDetector:
    """Finds people in frames. A `Detector`: call it with (h, w, 3) uint8 RGB.

    layout: which row of the table its outputs are, in words.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        threads: int | None = None,
        least: float = 0.1,
        overlap: float = 0.65,
        person: int = PERSON,
        pixels: str | None = None,
    ) -> None:
        """least: detections of this score or more. overlap: of two boxes that overlap by more, the surer one stays.
        person: the class of people. pixels: one of INPUTS, the order of channels and what white is; None: by the table.

        Raises WeightsError where it is no such network, ConfigError for a wrong argument.
        """
        self.path, self.least, self.overlap, self.person = Path(path), least, overlap, person
        if pixels is not None and pixels not in INPUTS:
            raise ConfigError(f"the detector's pixels are one of {', '.join(INPUTS)}, not {pixels!r}")
        try:
            onnx = self.path.read_bytes()
        except OSError as error:
            raise WeightsError(f"{path} cannot be read ({error.strerror}): --detector takes an ONNX file") from None
        self._session = open_session(onnx, str(path), threads)
        inputs = self._session.get_inputs()
        if not inputs or len(inputs[0].shape) != 4:
            raise WeightsError(f"{path} takes no pictures: a detector's first input is (1, 3, height, width)")
        self._input = inputs[0]
        self._channels_last = self._input.shape[3] == 3
        sides = self._input.shape[1:3] if self._channels_last else self._input.shape[2:4]
        self.height, self.width = (side if isinstance(side, int) and side > 0 else SIZE_PX for side in sides)
        self._grid = _grid(self.height, self.width)
        blank = np.full((self.height, self.width, 3), GREY, np.uint8)
        self.layout = self._layout_of(self._outputs(blank, "rgb1"))
        self.pixels = pixels or ("bgr255" if self.layout == "YOLOX grid" else "rgb1")

    def __call__(self, frame: Pixels) -> Detections:
        """The people in it, in pixels of the frame, surest first. Raises DataError where the network fails."""
        resized, scale = self._resized(frame)
        outputs = self._outputs(resized, self.pixels)
        boxes, scores = _READ[self.layout](self, outputs)
        with np.errstate(invalid="ignore"):
            good = (scores >= self.least) & np.isfinite(boxes).all(axis=1)
        if not good.any():
            return NOBODY
        boxes, scores = boxes[good].astype(np.float32), scores[good].astype(np.float32)
        kept = suppressed(boxes, scores, self.overlap)
        height, width = frame.shape[:2]
        return detections(np.clip(boxes[kept] / scale, 0, [width, height, width, height]), scores[kept])

    def _resized(self, frame: Pixels) -> tuple[Pixels, float]:
        scale = min(self.height / frame.shape[0], self.width / frame.shape[1])
        size = max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale))
        picture = Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0)
        full = np.full((self.height, self.width, 3), GREY, np.uint8)
        full[: size[1], : size[0]] = np.asarray(picture)
        return full, scale

    def _outputs(self, pixels: Pixels, order: str) -> list[Array]:
        values: Array = pixels[:, :, ::-1] if order.startswith("bgr") else pixels
        if not self._channels_last:
            values = values.transpose(2, 0, 1)
        if "uint8" not in self._input.type:
            values = values.astype(np.float16 if "float16" in self._input.type else np.float32)
            values = values if order.endswith("255") else values / values.dtype.type(255)
        feed = {self._input.name: np.ascontiguousarray(values[None])}
        try:
            return list(self._session.run(None, feed))
        except Exception as error:  # onnxruntime's own have no common base
            text = str(error).splitlines()[0][:160]
            raise DataError(f"{self.path}: the detector fails on a frame ({text})") from None

    def _layout_of(self, outputs: Sequence[Array]) -> str:
        shapes = [output.shape for output in outputs]
        if len(outputs) == 1 and outputs[0].ndim in (2, 3):
            rows, columns = shapes[0][-2:]
            if rows == len(self._grid) and columns >= 6:
                return "YOLOX grid"
            if columns == 6:
                return "rows of six"
            if 5 <= rows < columns:
                return "columns of middles"
        if len(outputs) > 1 and any(shape and shape[-1] == 4 for shape in shapes):
            return "boxes and scores"
        raise WeightsError(
            f"{self.path}: outputs of shapes {', '.join(map(str, shapes))} are none that resight reads (YOLOX's grid, "
            "(n, 6), (1, 4 + classes, n), boxes and scores). Run it yourself and hand in its boxes: --tracks"
        )

    def _of_grid(self, outputs: Sequence[Array]) -> tuple[Array, Array]:
        found = outputs[0].reshape(len(self._grid), -1)
        scores = found[:, 4] * found[:, 5 + self.person]
        rows = np.flatnonzero(scores >= self.least)
        found, grid = found[rows], self._grid[rows]
        middles = (found[:, :2] + grid[:, :2]) * grid[:, 2:]
        half = np.exp(np.minimum(found[:, 2:4], 20)) * grid[:, 2:] / 2
        return np.concatenate([middles - half, middles + half], axis=1), scores[rows]

    def _of_columns(self, outputs: Sequence[Array]) -> tuple[Array, Array]:
        found = outputs[0].reshape(outputs[0].shape[-2:])
        scores = found[4 + self.person]
        half = found[2:4] / 2
        return np.concatenate([found[:2] - half, found[:2] + half]).T, scores

    def _of_six(self, outputs: Sequence[Array]) -> tuple[Array, Array]:
        found = outputs[0].reshape(-1, 6)
        scores = np.where(found[:, 5].round() == self.person, found[:, 4], 0)
        return found[:, :4], scores

    def _of_both(self, outputs: Sequence[Array]) -> tuple[Array, Array]:
        place = next(place for place, output in enumerate(outputs) if output.ndim and output.shape[-1] == 4)
        boxes = outputs[place].reshape(-1, 4)
        others = [output for number, output in enumerate(outputs) if number != place and output.size >= len(boxes)]
        scores = next((output for output in others if output.dtype.kind == "f"), None)
        if scores is None:
            raise DataError(f"{self.path}: the detector's boxes have no scores")
        if scores.size > len(boxes):
            scores = scores.reshape(len(boxes), -1)[:, self.person]
        else:
            whole = [output for output in others if output.dtype.kind in "iu" and output.size == len(boxes)]
            classes = next(iter(whole), None)
            scores = scores.reshape(-1)
            if classes is not None:
                scores = np.where(classes.reshape(-1) == self.person, scores, 0)
        if boxes.size and boxes.max() <= 2:
            boxes = boxes * [self.width, self.height, self.width, self.height]
        return boxes, scores


_READ = {
    "YOLOX grid": OnnxDetector._of_grid,
    "columns of middles": OnnxDetector._of_columns,
    "rows of six": OnnxDetector._of_six,
    "boxes and scores": OnnxDetector._of_both,
}


def _grid(height: int, width: int) -> FloatArray:
    """(n, 3): column, row and stride of each cell of YOLOX's output, in its order."""
    cells = []
    for stride in STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        cells.append(np.stack([columns.ravel(), rows.ravel(), np.full(rows.size, stride)], axis=1))
    return np.concatenate(cells).astype(np.float32)
