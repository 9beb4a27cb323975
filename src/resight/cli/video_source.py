"""What `resight video add` and `video crops` look at: a film or a stream, and who finds the people in it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from signal import Signals
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.stopping import exit_code
from resight.core.errors import ConfigError, DataError
from resight.core.progress import Advance
from resight.core.times import format_time, names_zone
from resight.core.words import counted
from resight.gallery.arguments import camera_of, seen_at, seen_until
from resight.video.adding import VideoReport
from resight.video.detected import LinesReport, moments_of, with_boxes
from resight.video.detector import OnnxDetector
from resight.video.frames.clock import at_most, rising
from resight.video.frames.files import PictureFolder, VideoFile
from resight.video.frames.opening import Source, is_stream, open_frames
from resight.video.frames.streams import FIRST_S, Stream
from resight.video.origin import Origin, origin_of
from resight.video.quality import Gates
from resight.video.records import Frame, Frames, Refused, Tracklet
from resight.video.tracklets import tracklets_of

Camera = Annotated[str, typer.Option(help="The name of the camera.")]
Start = Annotated[
    str | None,
    typer.Option(
        help="When it begins: ISO 8601, of this machine's zone unless it names one (Z is UTC), or seconds since 1970. "
        "By default as the file says."
    ),
]
Detector_ = Annotated[Path | None, typer.Option(help="An ONNX file that finds people, such as YOLOX's.")]
DetectorPixels = Annotated[
    str | None, typer.Option(help="What it takes, unless its outputs tell: rgb1, rgb255, bgr1 or bgr255.")
]
Tracks = Annotated[
    str | None,
    typer.Option(help="Boxes of another tool in place of a detector: MOT, AI City or JSON lines; - for stdin."),
]
Rate = Annotated[
    float | None, typer.Option(min=0.01, help="Frames a second: of a folder, or of lines without a video.")
]
AtMost = Annotated[float | None, typer.Option("--at-most", min=0.1, help="Look at no more frames a second than this.")]
KeepTrying = Annotated[
    bool, typer.Option("--keep-trying", help="A stream that gives no frame in its first minute is not given up.")
]
MinHeight = Annotated[float, typer.Option(help="Tracklets whose best crop is lower, in pixels, are refused.")]
ShowRefused = Annotated[bool, typer.Option("--show-refused", help="Name each refused track and why.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Of the detector. By default one a core.")]


@dataclass
class Watched:
    """One source, of one camera, that is looked at once. source: None where lines with embeddings are all there is.
    tracks: boxes of another tool. start: of the first frame, as given. report, lines: what was odd."""

    source: str | None
    camera: str
    start: str | None
    detector: Path | None = None
    detector_pixels: str | None = None
    tracks: str | None = None
    rate: float | None = None
    at_most: float | None = None
    min_height: float = 40.0
    keep_trying: bool = False
    threads: int | None = None
    report: VideoReport = field(default_factory=VideoReport)
    lines: LinesReport = field(default_factory=LinesReport)

    def __post_init__(self) -> None:
        """Opens it. Raises as `open_frames` and `OnnxDetector`, ConfigError where nothing tells who is in it."""
        if (self.detector is None) == (self.tracks is None):
            raise ConfigError(
                "say who finds the people: either --detector an ONNX file, or --tracks boxes of another tool"
            )
        if self.source is None and self.tracks is None:
            raise ConfigError("name a video, or lines with embeddings: --tracks")
        self.camera = camera_of(self.camera)
        self.began = seen_at(output.moment("--start", self.start), seen_until())
        self.live = self.source is not None and is_stream(self.source)
        self.once = self.live or (self.source is None and self.tracks == "-")  # no second run sees the same
        self.opened: Source | None = None
        if self.source is not None:
            self.opened = open_frames(self.source, self.began, self.rate)
        if isinstance(self.opened, Stream):
            self.opened.report = self.report.clock
            self.opened.say = output.say
            self.opened.first_s = None if self.keep_trying else FIRST_S
        self._finder = None
        if self.detector is not None:
            self._finder = OnnxDetector(self.detector, threads=self.threads, pixels=self.detector_pixels)
        self.gates = Gates(height_px=self.min_height)
        self.origin = self._origin()
        # The time that was understood, in UTC, unless `output.moment` said it.
        if self.origin.start > -inf and (self.start is None or names_zone(self.start)):
            output.say(f"camera {self.camera}: the video begins {format_time(self.origin.start)}")

    @property
    def stop(self) -> Callable[[], None] | None:
        """What a signal calls, beside ending the frames."""
        return self.opened.stop if isinstance(self.opened, Stream) else None

    def frames(self) -> Frames:
        """Those of the film or stream, with the boxes of another tool where there are some."""
        if self.opened is None or self.tracks is None:
            return self.opened or ()
        moments = moments_of(self.tracks, self.camera, self.lines, may_be_empty=True)
        return with_boxes(self.opened, moments, self.lines, getattr(self.opened, "start", None) or 0.0)

    def tracklets(
        self, frames: Frames, came: Sequence[object], check: Callable[[float, float], object]
    ) -> Generator[Tracklet | Refused, None, None]:
        """Who is in the frames, followed; close it where it is not taken to its end. came: signals; the first one ends
        it. check: of a source whose end is not known, told of each minute, in seconds from and to, before it is
        looked at."""
        frames = rising(frames, self.report.clock)
        if self.at_most is not None:
            frames = at_most(frames, self.at_most)
        total = self.opened.frames if self.opened is not None else 0
        with output.progress(f"camera {self.camera}", total) as advance:
            seen = _until(_counted(frames, advance), came)
            if not self.live and self.origin.end == inf:
                seen = _checked(seen, check)
            halted = None if self.once else lambda: came
            yield from tracklets_of(
                seen, self.camera, detector=self._finder, gates=self.gates, counts=self.report.boxes, halted=halted
            )

    def tell(self, ending: str) -> None:
        """What was odd, and what became of the tracks. ending: of the last line."""
        report = self.report
        problems = list(getattr(self.opened, "problems", ())) if not isinstance(self.opened, Stream) else []
        for text in (*problems, *report.clock.told(), *report.boxes.told(), *self.lines.told()):
            output.say(f"note: {text}")
        if not report.clock.frames:
            output.say("note: there was not one frame to look at")
        there = f", {report.there:,} there already" if report.there else ""
        why = ", ".join(f"{number:,} {kind}" for kind, number in sorted(report.refused.items()))
        refused = f", {counted(report.refused.total(), 'track')} refused ({why})" if report.refused else ""
        frames = counted(report.clock.frames, "frame")
        output.tell(f"{counted(report.added, 'tracklet')} added{there}{refused}; {frames}; {ending}")

    def end(self, came: Sequence[Signals]) -> None:
        """How it ended: raises typer.Exit where a signal came, DataError where the lines were not of this video."""
        if came:
            kept = "what was seen is kept" if self.once else "the same command again goes on: what is there is left out"
            output.say(f"stopped by {came[0].name}: {kept}")
            raise typer.Exit(exit_code(came[0]))
        if self.lines.without_frame and not self.lines.fitted:
            raise DataError(
                f"not one moment of {self.tracks} has a frame in {self.source}: are these lines of this video, and is "
                "--start right?"
            )

    def _origin(self) -> Origin:
        if self.source is not None and not self.live:
            name = Path(self.source).name
        else:
            name = self.camera if self.live else Path(str(self.tracks)).name
        if not isinstance(self.opened, VideoFile | PictureFolder):
            return Origin(name, self.camera)
        start = self.opened.start or 0.0
        settings = {
            "detector": self.detector,
            "detector_pixels": self.detector_pixels,
            "tracks": Path(self.tracks) if self.tracks not in (None, "-") else self.tracks,
            "at_most": self.at_most,
            "rate": self.rate if isinstance(self.opened, PictureFolder) else None,
        }
        end = start + self.opened.duration_s if self.opened.duration_s else inf
        return origin_of(name, self.camera, self.opened.path, start, end, settings)


def name_refused(refused: Refused) -> None:
    """Says which track became no tracklet, and why."""
    output.say(f"refused: {refused.camera}/{refused.track} at {format_time(refused.start)}: {refused.reason}")


def _counted(frames: Frames, advance: Advance) -> Iterator[Frame]:
    for frame in frames:
        yield frame
        advance(1, format_time(frame.time))


def _until(frames: Frames, came: Sequence[object]) -> Iterator[Frame]:
    for frame in frames:
        yield frame
        if came:
            return


def _checked(frames: Frames, check: Callable[[float, float], object]) -> Iterator[Frame]:
    checked_to = -inf
    for frame in frames:
        if frame.time >= checked_to or frame.time < checked_to - 60:
            check(frame.time, frame.time + 60)
            checked_to = frame.time + 60
        yield frame
