"""Frames of video files, by PyAV, and of folders of pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from resight.core.errors import DataError, MissingExtra, UnreadableImage
from resight.core.pictures.images import decode_image
from resight.core.words import counted
from resight.data.listing import picture_files
from resight.video.frames.decoding import Decoder, reason
from resight.video.records import Frame

EVEN = 0.95  # the share of steps between frames that are as usual where a film is of an even rate
PICTURES = {"image2", "ico", "tiff"}  # formats of single pictures, beside jpeg_pipe, png_pipe and so on


def import_av() -> Any:
    """PyAV. Raises MissingExtra where it is not installed. Its wheels hold codecs under the GPL (docs/decisions): so it
    is an extra, and nothing of it is imported before a video is opened."""
    try:
        import av
    except ImportError:
        raise MissingExtra("PyAV, which decodes video,", "video") from None
    return av


class VideoFile:
    """The frames of a file, at the times that the file itself gives them. problems: what was wrong with it, known once
    it was read. duration_s: as the file says; 0: not known."""

    def __init__(self, path: str | Path, start: float | None = None) -> None:
        """start: of its first frame, seconds since 1970; None: as the file says.

        Raises DataError where it is no video, MissingExtra without PyAV.
        """
        self.path = Path(path)
        self.problems: list[str] = []
        self._av = import_av()
        if not self.path.is_file():
            raise DataError(f"{path} is not there: name a video file, a folder of pictures or a stream's address")
        with self._opened() as container:
            stream = container.streams.video[0]
            said = container.metadata.get("creation_time") or stream.metadata.get("creation_time")
            self.frames = int(stream.frames or 0)
            self.rate = float(stream.average_rate or 0)
            told_s = float(container.duration or 0) / 1e6
            self.duration_s = told_s if told_s > 0 or not self.rate else self.frames / self.rate
        self.told_start = _time_of(said)
        self.start = start if start is not None else self.told_start

    def __iter__(self) -> Iterator[Frame]:
        """Decodes from the beginning. What is damaged is left out; the times and numbers of the rest stay right."""
        with self._opened() as container:
            decoder = Decoder(self._av, container)
            first: float | None = None
            steps: Counter[int] = Counter()  # milliseconds from frame to frame
            last = float("nan")
            for number, picture in decoder:
                seconds = float("nan") if picture.time is None else float(picture.time)
                if first is None and picture.time is not None:
                    first = seconds
                    if decoder.damaged and decoder.earliest is not None:
                        first = min(first, float(decoder.earliest * picture.time_base))
                if seconds > last:
                    steps[round((seconds - last) * 1000)] += 1
                last = seconds
                yield Frame((self.start or 0.0) + seconds - (first or 0.0), pixels_of(picture), number=number)
            self._tell(decoder, steps)

    def _tell(self, decoder: Decoder, steps: Counter[int]) -> None:
        """What was wrong. Raises DataError where nothing could be decoded."""
        if not decoder.frames:
            if decoder.damaged:
                raise DataError(f"{self.path}: nothing of it can be decoded ({decoder.reason})")
            raise DataError(f"{self.path} has no frame that can be decoded")
        if decoder.given_up:
            self.problems.append(f"{self.path}: damaged or cut off after {decoder.frames:,} frames ({decoder.reason})")
            return
        if decoder.damaged:
            self.problems.append(
                f"{self.path}: {counted(decoder.damaged, 'damaged piece')} ({decoder.reason}), the first after "
                f"{counted(decoder.frames_before, 'frame')}: {counted(decoder.lost, 'frame')} lost"
            )
        places, missing = leaps(steps)
        if places and not decoder.damaged:
            self.problems.append(
                f"{self.path}: the times leap in {counted(places, 'place')}: about {counted(missing, 'frame')} missing"
                ", damaged or never recorded"
            )
        if decoder.frames + decoder.lost < self.frames - 2:
            self.problems.append(
                f"{self.path}: damaged or cut off: it promises {self.frames:,} frames and has {decoder.frames:,}"
            )

    def _opened(self) -> Any:
        try:
            container = self._av.open(str(self.path))
        except (self._av.FFmpegError, OSError) as error:
            raise DataError(f"{self.path} is no video that can be read ({reason(error)})") from None
        if container.format.name in PICTURES or container.format.name.endswith("_pipe"):
            container.close()
            raise DataError(
                f"{self.path} is a picture, and no video: name the folder that it is in, with --start and --rate"
            )
        if not container.streams.video:
            container.close()
            raise DataError(f"{self.path} has no video in it")
        return container


class PictureFolder:
    """The pictures of a folder as frames, by name, at an even rate. problems: pictures that could not be read."""

    def __init__(self, path: str | Path, start: float | None, rate: float) -> None:
        """rate: frames a second. Raises DataError where no picture is there."""
        self.path, self.start, self.rate = Path(path), start, rate
        self.problems: list[str] = []
        self._files = list(picture_files(self.path))
        self.frames = len(self._files)
        self.duration_s = self.frames / rate
        if not self._files:
            raise DataError(f"{path} holds no pictures")

    def __iter__(self) -> Iterator[Frame]:
        for position, path in enumerate(self._files):
            try:
                pixels = decode_image(path.read_bytes(), path.name)
            except (UnreadableImage, OSError) as error:
                self.problems.append(str(error))
                continue
            yield Frame((self.start or 0.0) + position / self.rate, pixels, number=position + 1)


def leaps(steps: Counter[int]) -> tuple[int, int]:
    """In how many places a film of an even rate leaps, and about how many frames are missing there; none where the rate
    is not even. steps: from frame to frame, counted.

    Example:
        >>> leaps(Counter({40: 99, 160: 1})), leaps(Counter({40: 60, 80: 40}))
        ((1, 3), (0, 0))
    """
    usual = median(steps.elements()) if steps else 0
    longer = {step: number for step, number in steps.items() if step > 1.5 * usual}
    places = sum(longer.values())
    if places > (1 - EVEN) * steps.total():
        return 0, 0
    return places, sum(number * (round(step / usual) - 1) for step, number in longer.items())


def pixels_of(picture: Any) -> Any:
    """(h, w, 3) uint8 RGB of a PyAV frame, turned upright where the file says that it lies on its side."""
    pixels = picture.to_ndarray(format="rgb24")
    turns = round(getattr(picture, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _time_of(text: str | None) -> float | None:
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    if found is None or found.year < 1990:  # what encoders write that do not know
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
