"""Frames with the boxes that another tool found in them: by the number of the frame, or by time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from resight.core.errors import ConfigError, DataError
from resight.core.words import counted
from resight.video.formats.lines import Line, by_moment, read_lines
from resight.video.records import NOBODY, Detections, Frame, Frames

ABSOLUTE_S = 1e8  # times above are seconds since 1970; below, since the video began
NEAR_S = 1.0  # boxes whose time is further from that of each frame belong to a frame that is not there


@dataclass
class LinesReport:
    """What did not fit, and was left out. without_frame: moments whose frame the video does not have. other_camera:
    lines of other cameras. shared: boxes whose track has a surer one in the same frame. empty: files without a line.
    fitted: moments whose frame is there."""

    without_frame: int = 0
    other_camera: int = 0
    shared: int = 0
    empty: int = 0
    fitted: int = 0

    def told(self) -> list[str]:
        """A line for each kind that occurred."""
        texts = {
            "without_frame": (
                "moment of the lines has",
                "moments of the lines have",
                "no frame in the video: left out",
            ),
            "other_camera": ("line is", "lines are", "of other cameras: left out"),
            "empty": ("file of tracks holds", "files of tracks hold", "no line: nobody was seen"),
            "shared": ("box shares", "boxes share", "a track's number with a surer one of the same frame: left out"),
        }
        return [
            f"{counted(getattr(self, name), one, many)} {rest}"
            for name, (one, many, rest) in texts.items()
            if getattr(self, name)
        ]


Moments = Iterable[tuple[Line, Detections, str]]


def moments_of(
    path: str | Path, camera: str, report: LinesReport, *, may_be_empty: bool = False
) -> Iterator[tuple[Line, Detections, str]]:
    """The boxes of one camera, moment by moment: of a file in order of time whatever the order of its lines; of
    standard input (`-`) as they come. may_be_empty: a file without a line says that nobody was seen.

    Raises DataError where a line is none, no line is of this camera, or a file has none at all and may not.
    """
    cameras: set[str] = set()

    def wanted() -> Iterator[Line]:
        for line in read_lines(path):
            if line.camera in ("", camera):
                yield line
            else:
                cameras.add(line.camera)
                report.other_camera += 1

    lines: Iterable[Line] = wanted()
    if str(path) != "-":
        lines = sorted(lines, key=lambda line: (line.frame, line.time if line.frame == 0 else 0.0))
        if not lines and not cameras and may_be_empty:
            report.empty += 1
            return iter(())
        if not lines and not cameras:
            raise DataError(f"{path} holds no line: nobody was seen, or the tracker wrote nothing")
        if not lines:
            raise DataError(f"{path} has no line of camera {camera}: it has {', '.join(sorted(cameras)[:8])}")

    def count(number: int) -> None:
        report.shared += number

    return by_moment(lines, count)


def with_boxes(frames: Frames, moments: Moments, report: LinesReport, start: float) -> Iterator[Frame]:
    """Each frame with its boxes, or with none. Lines with frame numbers go by those of the frames, the first being 1;
    others, and all of a stream, go to the frame that is nearest in time, and at most NEAR_S away. start: of the video,
    seconds.

    Raises ConfigError where lines of a stream have no time since 1970.
    """
    waiting = iter(moments)
    moment = next(waiting, None)
    for place, (frame, following) in enumerate(_with_next(frames), 1):
        number = place if frame.number is None else frame.number
        found: Detections | None = None
        nearest_s = NEAR_S
        limit = math.inf if following is None else (frame.time + following.time) / 2
        while moment is not None:
            line = moment[0]
            if number and line.frame:
                if line.frame > number:
                    break
                here, away_s = line.frame == number, 0.0
            else:
                at = _time_in_video(line, number, start)
                if limit <= at < math.inf:  # a time that is none hides no others
                    break
                away_s = abs(at - frame.time)
                here = away_s <= nearest_s
            report.without_frame += (not here) or found is not None
            if here:
                report.fitted += 1
                found, nearest_s = moment[1], away_s
            moment = next(waiting, None)
        yield replace(frame, found=NOBODY if found is None else found)
    report.without_frame += (moment is not None) + sum(1 for _ in waiting)


def without_video(moments: Moments, start: float | None, rate: float | None) -> Iterator[Frame]:
    """Frames without pixels, of lines alone, whose boxes bring their embeddings.

    Raises ConfigError where the times cannot be known, DataError where a box has no embedding.
    """
    for line, found, _ in moments:
        if found.embeddings is None:
            raise DataError("without a video each line needs an `embedding` and its `model`")
        yield Frame(time_of(line, start, rate), None, found=found)


def time_of(line: Line, start: float | None, rate: float | None) -> float:
    """The time of a line, seconds since 1970. Raises ConfigError where that takes a start or a rate."""
    if not math.isnan(line.time):
        if line.time >= ABSOLUTE_S:
            return line.time
        if start is None:
            raise ConfigError("the lines' times are not since 1970: say when the video began, --start (start=)")
        return start + line.time
    if start is None or not rate:
        raise ConfigError("the lines have frame numbers and no times: give --start and --rate (start=, rate=)")
    return start + (line.frame - 1) / rate


def _time_in_video(line: Line, number: int, start: float) -> float:
    """Of a line that is matched by time. number: of the frame; 0: of a stream."""
    if line.time >= ABSOLUTE_S:
        return line.time
    if number == 0:
        raise ConfigError("a stream's frames have no numbers: its lines need `time`, since 1970, to be matched by")
    return start + line.time


def _with_next(items: Frames) -> Iterator[tuple[Frame, Frame | None]]:
    last: Frame | None = None
    for item in items:
        if last is not None:
            yield last, item
        last = item
    if last is not None:
        yield last, None
