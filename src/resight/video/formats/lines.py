"""Boxes as lines of text, of any tracker or detector: which format a file has, and all of it as one table.

| format | a line | |
|---|---|---|
| MOT | `frame,track,left,top,width,height,score[,class,visibility]` | frames from 1; track -1: not tracked |
| AI City | `camera track frame left top width height [x y]` | as its 2024 truth has it: frames from 0 |
| JSON | `{"time": ..., "track": 7, "box": [l, t, r, b]}` | with `camera`, `score`, `frame`, `embedding` where known |
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.errors import DataError
from resight.core.records import FloatArray, IntArray
from resight.core.times import parse_time
from resight.video.records import NO_TRACK, Detections, Times, detections

MOT_DISTRACTORS = (2, 7, 8, 12)  # on a vehicle, static, distractor, reflection (Milan et al., arXiv 1603.00831)


@dataclass(frozen=True)
class Line:
    """One box of one frame. camera: empty where the line does not name it. frame: from 1; 0 where only the time is
    known. time: seconds; NaN where only the frame is known. track: or NO_TRACK. box: left, top, right, bottom.
    distractor: MOT's mark of who is in a truth and not to be followed: found or not, it counts as neither."""

    camera: str
    frame: int
    time: float
    track: int
    box: tuple[float, float, float, float]
    score: float = 1.0
    visibility: float = 1.0
    distractor: bool = False
    embedding: tuple[float, ...] | None = None
    model: str = ""


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of a file, n of them, in the order of its lines.

    cameras: (n,) str. frames: (n,) int64, from 1, or 0. times: (n,) seconds, or NaN. tracks: (n,) int64. boxes: (n, 4)
    float32. scores, visibility: (n,) float32. distractors: (n,) bool. embeddings: (n, dim) float32, if all lines have
    one; model: its identity.
    """

    cameras: npt.NDArray[np.str_]
    frames: IntArray
    times: Times
    tracks: IntArray
    boxes: FloatArray
    scores: FloatArray
    visibility: FloatArray
    distractors: npt.NDArray[np.bool_]
    embeddings: FloatArray | None = None
    model: str = ""

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, rows: Any) -> Boxes:
        """Some of the lines."""
        return Boxes(
            self.cameras[rows],
            self.frames[rows],
            self.times[rows],
            self.tracks[rows],
            self.boxes[rows],
            self.scores[rows],
            self.visibility[rows],
            self.distractors[rows],
            None if self.embeddings is None else self.embeddings[rows],
            self.model,
        )

    def timed(self, start: float, rate: float) -> Boxes:
        """With the times of frames at an even rate, where lines had none. start: of frame 1, seconds."""
        return replace(self, times=np.where(np.isnan(self.times), start + (self.frames - 1) / rate, self.times))


def read_boxes(path: str | Path) -> Boxes:
    """All boxes of a file, of whichever of the formats. Raises DataError for the first line that is none."""
    return table_of(read_lines(path))


def read_lines(path: str | Path) -> Iterator[Line]:
    """The boxes of a file, or of standard input for `-`, one by one. Raises DataError."""
    if str(path) == "-":
        yield from parsed(sys.stdin, "standard input")
        return
    try:
        with Path(path).open(encoding="utf-8") as file:
            yield from parsed(file, str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None


def parsed(lines: Iterable[str], where: str) -> Iterator[Line]:
    """Lines of text as boxes; the first one tells the format. where: for messages. Raises DataError."""
    numbered = ((number, line.strip()) for number, line in enumerate(lines, 1))
    numbered = ((number, line) for number, line in numbered if line and not line.startswith("#"))
    first = next(numbered, None)
    if first is None:
        return
    parse = _of_json if first[1].startswith("{") else _of_mot if "," in first[1] else _of_aicity
    for number, line in chain([first], numbered):
        try:
            box = parse(line)
            if box.frame < 0 or (box.frame == 0 and math.isnan(box.time)):
                raise ValueError("no time, and no frame from 1 on (AI City: 0)")
            yield box
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
            why = f"no {error} in it" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{where}, line {number}: {why}: {line[:80]!r} is no box; see docs/video.md") from None


def table_of(lines: Iterable[Line]) -> Boxes:
    """The lines as columns. Raises DataError where only some have embeddings, or those of several models."""
    rows = list(lines)
    with_embedding = [row.embedding for row in rows if row.embedding is not None]
    models = {row.model for row in rows if row.embedding is not None}
    lengths = set(map(len, with_embedding))
    if with_embedding and (len(with_embedding) != len(rows) or len(models) > 1 or len(lengths) > 1):
        raise DataError("either every box has an embedding, all of one model and length, or none has")
    return Boxes(
        np.array([row.camera for row in rows], np.str_),
        np.array([row.frame for row in rows], np.int64),
        np.array([row.time for row in rows], np.float64),
        np.array([row.track for row in rows], np.int64),
        np.array([row.box for row in rows], np.float32).reshape(-1, 4),
        np.array([row.score for row in rows], np.float32),
        np.array([row.visibility for row in rows], np.float32),
        np.array([row.distractor for row in rows], np.bool_),
        np.array(with_embedding, np.float32) if with_embedding else None,
        min(models, default=""),
    )


def by_moment(
    lines: Iterable[Line], on_shared: Callable[[int], object] = lambda number: None
) -> Iterator[tuple[Line, Detections, str]]:
    """The boxes of each moment together: the first of its lines, the detections, and the model of their embeddings.
    A moment is a run of lines of one frame, or of one time. Of two boxes of one track in one moment the surer stays.

    on_shared: told how many others were left out of a moment.
    """
    group: list[Line] = []
    for line in lines:
        if group and _moment(line) != _moment(group[0]):
            yield group[0], _together(group, on_shared), group[0].model
            group = []
        group.append(line)
    if group:
        yield group[0], _together(group, on_shared), group[0].model


def mot_line(frame: int, track: int, box: Sequence[float], score: float = 1.0, visibility: float | None = None) -> str:
    """One line in MOT's form. box: left, top, right, bottom."""
    left, top, right, bottom = (float(side) for side in box)
    tail = "" if visibility is None else f",1,{visibility:.3f}"
    return f"{frame},{track},{left:.2f},{top:.2f},{right - left:.2f},{bottom - top:.2f},{score:.3f}{tail}"


def aicity_line(camera: str | int, track: int, frame: int, box: Sequence[float]) -> str:
    """One line in the AI City Challenge's form, without a place in the world. frame: from 1, where the form itself
    begins at 0. box: left, top, right, bottom."""
    left, top, right, bottom = (float(side) for side in box)
    return f"{camera} {track} {frame - 1} {left:.0f} {top:.0f} {right - left:.0f} {bottom - top:.0f}"


def json_line(line: Line) -> str:
    """One line of JSON."""
    values: dict[str, Any] = {"camera": line.camera} if line.camera else {}
    values |= {"frame": line.frame} if line.frame else {}
    values |= {} if math.isnan(line.time) else {"time": round(line.time, 4)}
    values |= {} if line.track == NO_TRACK else {"track": line.track}
    values |= {"box": [round(float(side), 2) for side in line.box], "score": round(line.score, 4)}
    values |= {} if line.visibility == 1 else {"visibility": round(line.visibility, 4)}
    values |= {} if line.embedding is None else {"embedding": list(line.embedding), "model": line.model}
    return json.dumps(values)


def _moment(line: Line) -> tuple[str, int, float]:
    return line.camera, line.frame, line.time if line.frame == 0 else 0.0


def _together(group: Sequence[Line], on_shared: Callable[[int], object]) -> Detections:
    best: dict[int, Line] = {}
    free = []
    for line in group:
        if line.track == NO_TRACK:
            free.append(line)
        elif line.track not in best or line.score > best[line.track].score:
            best[line.track] = line
    kept = [*best.values(), *free]
    if len(kept) < len(group):
        on_shared(len(group) - len(kept))
    whole = all(line.embedding is not None for line in kept)
    return detections(
        [line.box for line in kept],
        [line.score for line in kept],
        [line.track for line in kept],
        [line.embedding for line in kept] if whole else None,  # type: ignore[arg-type]
    )


def _of_mot(line: str) -> Line:
    cells = [float(cell) for cell in line.split(",") if cell.strip()]
    if not 6 <= len(cells) <= 10:
        raise ValueError(f"{len(cells)} columns where MOT has 6 to 10")
    left, top, width, height = cells[2:6]
    score = cells[6] if len(cells) > 6 and cells[6] >= 0 else 1.0
    seen = cells[8] if len(cells) > 8 and 0 <= cells[8] <= 1 else 1.0
    distractor = len(cells) > 7 and cells[7] in MOT_DISTRACTORS
    box = (left, top, left + width, top + height)
    return Line("", int(cells[0]), math.nan, int(cells[1]), box, score, seen, distractor)


def _of_aicity(line: str) -> Line:
    cells = line.split()
    if not 7 <= len(cells) <= 9:
        raise ValueError(f"{len(cells)} columns where AI City has 7 to 9")
    left, top, width, height = (float(cell) for cell in cells[3:7])
    box = (left, top, left + width, top + height)
    return Line(cells[0], int(cells[2]) + 1, math.nan, int(cells[1]), box)  # whose first frame is 0


def _of_json(line: str) -> Line:
    values = json.loads(line)
    left, top, right, bottom = (float(side) for side in values["box"])
    vector = values.get("embedding")
    if "frame" not in values and "time" not in values:
        raise KeyError("time")
    track = values.get("track", NO_TRACK)
    return Line(
        str(values.get("camera", "")),
        int(values.get("frame", 0)),
        _seconds(values.get("time")),
        NO_TRACK if track is None else int(track),
        (left, top, right, bottom),
        float(values.get("score", 1.0)),
        float(values.get("visibility", 1.0)),
        False,
        None if vector is None else tuple(float(value) for value in vector),
        str(values.get("model", "")),
    )


def _seconds(value: Any) -> float:
    if value is None:
        return math.nan
    return float(value) if isinstance(value, int | float) else parse_time(value)
