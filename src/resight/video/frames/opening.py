"""Opens whatever frames come from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from resight.core.errors import ConfigError
from resight.video.frames.files import PictureFolder, VideoFile
from resight.video.frames.streams import Stream
from resight.video.records import Frame

STREAM = re.compile(r"(rtsps?|rtmps?|https?|udp|tcp|srt)://", re.IGNORECASE)


class Source(Protocol):
    """Frames that know a little of themselves. problems: what was wrong, once they were read. frames: how many there
    will be, if known, else 0. rate: frames a second, if known, else 0."""

    problems: list[str]
    frames: int
    rate: float

    def __iter__(self) -> Iterator[Frame]: ...


def is_stream(source: str) -> bool:
    """Whether this is the address of a stream."""
    return STREAM.match(source) is not None


def open_frames(source: str | Path, start: float | None = None, rate: float | None = None) -> Source:
    """A file of video, a folder of pictures, or a stream. start: of the first frame, seconds since 1970; of a file it
    may say so itself. rate: frames a second, of a folder.

    Raises ConfigError where the times cannot be known, DataError where nothing can be read, MissingExtra.
    """
    if is_stream(str(source)):
        if start is not None:
            raise ConfigError("a stream's times are those of the clock: no --start (start=)")
        return Stream(str(source))
    if Path(source).is_dir():
        if start is None or rate is None:
            raise ConfigError(
                f"{source} is a folder of pictures: say when it begins and how many there are a second, "
                "--start and --rate (start=, rate=)"
            )
        return PictureFolder(source, start, rate)
    video = VideoFile(source, start)
    if video.start is None:
        raise ConfigError(
            f"{source} does not say when it was taken: --start 2026-03-01T08:00:00Z (start=) of its first frame"
        )
    return video
