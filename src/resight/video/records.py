"""What passes between the parts of this room: frames, detections, tracklets.

Boxes are (left, top, right, bottom) in pixels of the frame. Times are seconds, since 1970 in a gallery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from resight.core.errors import DataError
from resight.core.pictures.images import Pixels
from resight.core.records import FloatArray, IntArray
from resight.core.words import counted

Times = npt.NDArray[np.float64]
NO_TRACK = -1


@dataclass(frozen=True, eq=False)
class Detections:
    """The people that a detector found in one frame.

    boxes: (n, 4) float32. scores: (n,) float32 in [0, 1]. tracks: (n,) int64, where a tracker gave them, else
    NO_TRACK. embeddings: (n, dim) float32 of unit length, where they are known.
    """

    boxes: FloatArray
    scores: FloatArray
    tracks: IntArray
    embeddings: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: Any) -> Detections:
        """Some of the rows: all columns are cut together, so that no embedding ends on another's box."""
        more = None if self.embeddings is None else self.embeddings[rows]
        return Detections(self.boxes[rows], self.scores[rows], self.tracks[rows], more)


def detections(
    boxes: npt.ArrayLike,
    scores: npt.ArrayLike | None = None,
    tracks: npt.ArrayLike | None = None,
    embeddings: npt.ArrayLike | None = None,
) -> Detections:
    """Checked detections. scores: 1 for all unless given. Raises DataError where shapes do not fit together.

    Example:
        >>> len(detections([[10, 20, 50, 140]], [0.9]))
        1
    """
    corners = np.asarray(boxes, np.float32).reshape(-1, 4)
    num = len(corners)
    sure = np.ones(num, np.float32) if scores is None else np.asarray(scores, np.float32).reshape(-1)
    numbers = np.full(num, NO_TRACK, np.int64) if tracks is None else np.asarray(tracks, np.int64).reshape(-1)
    vectors = None if embeddings is None else np.asarray(embeddings, np.float32)
    for name, column in (("scores", sure), ("tracks", numbers), ("embeddings", vectors)):
        if column is not None and len(column) != num:
            raise DataError(f"{num} boxes, but {len(column)} {name}: each box needs its own")
    return Detections(corners, sure, numbers, vectors)


NOBODY = detections(np.zeros((0, 4), np.float32))


def from_detections(found: Any) -> Detections:
    """Of what another tool made, by its attributes: `xyxy`, and where they are there `confidence`, `tracker_id` and
    `data["embedding"]`, as supervision.Detections has them. Raises DataError where there is no `xyxy`."""
    if isinstance(found, Detections):
        return found
    if getattr(found, "xyxy", None) is None:
        raise DataError(f"{type(found).__name__} has no boxes: detections have `xyxy`, (n, 4) in pixels")
    data = getattr(found, "data", None) or {}
    tracks = getattr(found, "tracker_id", None)
    return detections(found.xyxy, getattr(found, "confidence", None), tracks, data.get("embedding"))


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame. time: seconds. pixels: (height, width, 3) uint8 RGB; None where only boxes are known. epoch: rises
    where the source was cut, or its clock jumped; tracks never cross that. found: what another tool found in it.
    number: in its source, from 1, lost frames counted; 0: the source has no numbers, as a stream; None: as it comes."""

    time: float
    pixels: Pixels | None
    epoch: int = 0
    found: Detections | None = None
    number: int | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) in pixels, if known."""
        return None if self.pixels is None else (self.pixels.shape[0], self.pixels.shape[1])


Frames = Iterable[Frame]  # all that a source of frames must be


@dataclass
class Cleaned:
    """How many boxes were mended or left out. outside: altogether beyond the frame. cut: at its edge. broken: not
    finite, or without an area."""

    outside: int = 0
    cut: int = 0
    broken: int = 0

    def told(self) -> list[str]:
        """A line for each kind that occurred."""
        texts = {
            "outside": "outside the frame: left out",
            "cut": "cut at the frame's edge",
            "broken": "not finite, or of no area: left out",
        }
        return [
            f"{counted(getattr(self, name), 'box', 'boxes')} {text}"
            for name, text in texts.items()
            if getattr(self, name)
        ]


def cleaned(found: Detections, size: tuple[int, int] | None, counts: Cleaned) -> Detections:
    """Without boxes that are none, and cut at the edge of the frame. size: (height, width), if known."""
    boxes = found.boxes
    with np.errstate(invalid="ignore"):
        fine = np.isfinite(boxes).all(axis=1) & np.isfinite(found.scores)
        fine &= (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    counts.broken += int((~fine).sum())
    kept = found[fine]
    if size is None or not len(kept):
        return kept
    limits = np.array([size[1], size[0], size[1], size[0]], np.float32)
    inside = np.clip(kept.boxes, 0, limits)
    there = (inside[:, 2] - inside[:, 0] >= 1) & (inside[:, 3] - inside[:, 1] >= 1)
    counts.outside += int((~there).sum())
    counts.cut += int((np.abs(inside - kept.boxes).max(axis=1)[there] > 1).sum())
    return Detections(inside, kept.scores, kept.tracks, kept.embeddings)[there]


class Tracker(Protocol):
    """Any tracker: gives each detection a track's number, the same for the same person from frame to frame, or
    NO_TRACK. time: of the frame, seconds, rising."""

    def __call__(self, found: Detections, time: float) -> IntArray: ...


Detector = Callable[[Pixels], Detections]


@dataclass(frozen=True, eq=False)
class Shot:
    """One crop of a tracklet. time: seconds. box: in the frame. quality: in [0, 1]; see `quality`. pixels: the crop,
    (h, w, 3) uint8 RGB, where the frame is known. embedding: (dim,), where it is known."""

    time: float
    box: FloatArray
    quality: float
    pixels: Pixels | None = None
    embedding: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Tracklet:
    """One person walking past one camera once, as far as the tracker held on.

    camera: its name. epoch: of the source, as text: the time at which it began. number: of the track in its epoch.
    times: (n,) seconds, rising. boxes: (n, 4). scores: (n,). shots: the best crops, by time; none where the frames are
    not known. embedding: (dim,) float32 of unit length, if it was embedded. quality: of its best crop, in [0, 1].
    part: of a track that was split in several, or whose number came again after it had ended, from 0. size: of the
    frames, (height, width), if known.
    """

    camera: str
    epoch: str
    number: int
    times: Times
    boxes: FloatArray
    scores: FloatArray
    shots: tuple[Shot, ...] = ()
    embedding: FloatArray | None = None
    quality: float = 0.0
    size: tuple[int, int] | None = None
    part: int = 0

    @property
    def start(self) -> float:
        """When it was seen first, seconds."""
        return float(self.times[0])

    @property
    def end(self) -> float:
        """When it was seen last, seconds."""
        return float(self.times[-1])

    @property
    def track(self) -> str:
        """Its name within its camera, which is never given twice."""
        return f"{self.epoch}/{self.number}" + (f".{self.part}" if self.part else "")

    @property
    def key(self) -> str:
        """Its name within its site."""
        return f"{self.camera}/{self.track}"


@dataclass(frozen=True)
class Refused:
    """A track that became no tracklet, and why. start, end: seconds. kind: of the reason, in a word or two; reason:
    with figures."""

    camera: str
    track: str
    start: float
    end: float
    kind: str
    reason: str
