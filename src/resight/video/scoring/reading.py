"""What is scored, and the truth, from a gallery, a file of lines or a folder of them."""

from __future__ import annotations

import configparser
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from resight.core.errors import ConfigError, DataError
from resight.gallery.arguments import LAST_S
from resight.gallery.gallery import Gallery
from resight.gallery.people import root_of
from resight.video.adding import boxes_of, is_tracklet
from resight.video.formats.lines import Boxes, read_boxes
from resight.video.scoring.evaluate import GAP_S, Track


def tracks_of_gallery(gallery: Gallery) -> list[Track]:
    """All tracklets of a gallery, each of the person whom it is linked to. Raises DataError where there are none."""
    links = {link.pid: link.into for link in gallery.links()}
    found = []
    for entry in gallery.entries():
        if is_tracklet(entry) and entry.pid is not None:
            found.append(Track(entry.camera, root_of(entry.pid, links), *boxes_of(entry), GAP_S))
    if not found:
        raise DataError("no tracklet of video is in the gallery: `resight video add` first")
    return found


def read_truth(path: Path, start: float | None = None, rate: float | None = None) -> Boxes:
    """Boxes with cameras and times, of a file or a folder; a truth, or what is scored against it.

    A folder: its `truth.jsonl`, or else a file of lines a camera, named after it (`north.txt`, or `north/gt/gt.txt` as
    MOT has it). start: of the first frame, seconds since 1970, for lines that have frame numbers only; else as
    `starts.json` beside says. rate: frames a second; else as MOT's `seqinfo.ini` says.

    Raises DataError where there is none or a file is broken, ConfigError where the times cannot be known.
    """
    if path.is_dir() and not (path / "truth.jsonl").exists():
        files = [each for each in sorted(path.glob("*.txt")) if each.name != "seqinfo.ini"]
        cameras = [(each.stem, each) for each in files]
        cameras += [(each.parent.parent.name, each) for each in sorted(path.glob("*/gt/gt.txt"))]
        if not cameras:
            raise DataError(f"{path} holds no truth: truth.jsonl, CAMERA.txt or CAMERA/gt/gt.txt (docs/video.md)")
        return _joined([_timed(read_boxes(file), file, name, start, rate) for name, file in cameras])
    file = path / "truth.jsonl" if path.is_dir() else path
    return _timed(read_boxes(file), file, file.stem, start, rate)


def _timed(boxes: Boxes, file: Path, camera: str, start: float | None, rate: float | None) -> Boxes:
    """With a camera and a time for each box."""
    if not len(boxes):
        raise DataError(f"{file} holds no boxes")
    names = np.where(boxes.cameras == "", camera, boxes.cameras)
    boxes = replace(boxes, cameras=names)
    if not np.isnan(boxes.times).any():
        return boxes
    for folder in (file.parent, file.parent.parent):
        if rate is None and (folder / "seqinfo.ini").exists():
            rate = _rate_of(folder / "seqinfo.ini")
        if start is None and (folder / "starts.json").exists():
            start = _start_of(folder / "starts.json", camera)
    if rate is None or start is None:
        raise ConfigError(f"{file} has frame numbers and no times: --start of frame 1, and --rate in frames a second")
    return boxes.timed(start, rate)


def _rate_of(file: Path) -> float | None:
    """Frames a second, or None where it does not say. Raises DataError where it is broken."""
    found = configparser.ConfigParser(interpolation=None)
    try:
        found.read_string(file.read_text(encoding="utf-8-sig"))
        rate = found.getfloat("Sequence", "frameRate", fallback=None)
    except (OSError, ValueError, configparser.Error):
        rate = math.nan
    if rate is not None and not 0 < rate < math.inf:
        raise DataError(f"{file} tells no frame rate: a line [Sequence] and one such as frameRate=25 are expected")
    return rate


def _start_of(file: Path, camera: str) -> float | None:
    """Seconds since 1970, or None where it does not say. Raises DataError where it is broken."""
    try:
        start = json.loads(file.read_text(encoding="utf-8")).get(camera)
    except (OSError, ValueError, AttributeError):
        raise DataError(f"{file} is no JSON object of seconds since 1970 by camera") from None
    if start is None:
        return None
    if isinstance(start, bool) or not isinstance(start, int | float) or not abs(start) < LAST_S:
        raise DataError(f"{file}: camera {camera} begins at {start!r}, which is not seconds since 1970")
    return float(start)


def _joined(parts: list[Boxes]) -> Boxes:
    return Boxes(
        np.concatenate([part.cameras for part in parts]),
        np.concatenate([part.frames for part in parts]),
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.tracks for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.visibility for part in parts]),
        np.concatenate([part.distractors for part in parts]),
    )
