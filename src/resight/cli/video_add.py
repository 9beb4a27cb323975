"""`resight video add`: a video, or the tracks of another tool, into a gallery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.gallery_add import Model_, Uri
from resight.cli.stopping import exit_code, stopping
from resight.core.errors import ConfigError, DataError, EmbeddingError
from resight.core.progress import Advance
from resight.core.times import format_time, names_zone
from resight.core.words import counted
from resight.embedding.card import is_model, short_of
from resight.gallery.gallery import Gallery
from resight.gallery.opening import open_gallery, open_with_model
from resight.video.adding import VideoReport, add_tracklets
from resight.video.detected import LinesReport, moments_of, with_boxes, without_video
from resight.video.detector import OnnxDetector
from resight.video.frames.clock import at_most, rising
from resight.video.frames.files import PictureFolder, VideoFile
from resight.video.frames.opening import Source, is_stream, open_frames
from resight.video.frames.streams import FIRST_S, Stream
from resight.video.origin import Origin, check_film, check_times, forget_earlier, origin_of
from resight.video.quality import Gates
from resight.video.records import Frame, Frames, Refused
from resight.video.tracklets import tracklets_of

STREAM_WAIT_S = 60.0  # for another process that writes to the gallery


def add(
    uri: Uri,
    source: Annotated[
        str | None,
        typer.Argument(help="A video, a folder of pictures, or a stream's address. None: --tracks has embeddings."),
    ] = None,
    *,
    camera: Annotated[str, typer.Option(help="The name of the camera.")],
    start: Annotated[
        str | None,
        typer.Option(
            help="When it begins: ISO 8601, of this machine's zone unless it names one (Z is UTC), or seconds since "
            "1970. By default as the file says."
        ),
    ] = None,
    detector: Annotated[Path | None, typer.Option(help="An ONNX file that finds people, such as YOLOX's.")] = None,
    detector_pixels: Annotated[
        str | None, typer.Option(help="What it takes, unless its outputs tell: rgb1, rgb255, bgr1 or bgr255.")
    ] = None,
    tracks: Annotated[
        str | None,
        typer.Option(help="Boxes of another tool in place of a detector: MOT, AI City or JSON lines; - for stdin."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.01, help="Frames a second: of a folder, or of lines without a video.")
    ] = None,
    at_most_: Annotated[
        float | None, typer.Option("--at-most", min=0.1, help="Look at no more frames a second than this.")
    ] = None,
    keep_trying: Annotated[
        bool,
        typer.Option("--keep-trying", help="A stream that gives no frame in its first minute is not given up."),
    ] = False,
    model: Model_ = None,
    min_height: Annotated[float, typer.Option(help="Tracklets whose best crop is lower, in pixels, are refused.")] = 40,
    replace: Annotated[
        bool, typer.Option("--replace", help="Forget first what was added from this video by another run.")
    ] = False,
    show_refused: Annotated[bool, typer.Option("--show-refused", help="Name each refused track and why.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Of the detector. By default one a core.")] = None,
) -> None:
    """Finds the people of a video, follows them, and adds one entry for each time that one walks past: a tracklet.

    The same command again goes on after an interruption: what is there is not added twice. The same video by another
    --start, camera or detector is refused, and with --replace takes the place of what was added before. A stream runs
    until a signal ends it; it is connected again after each cut, and given up where not one frame comes in a minute.

    Examples:

      resight video add site.db north.mp4 --camera north --start 2026-03-01T08:00:00Z --detector yolox.onnx

      resight video add site.db rtsp://10.0.0.7/door --camera door --detector yolox.onnx

      my-tracker north.mp4 | resight video add site.db north.mp4 --camera north --tracks -
    """
    if (detector is None) == (tracks is None):
        raise ConfigError("say who finds the people: either --detector an ONNX file, or --tracks boxes of another tool")
    if source is None and tracks is None:
        raise ConfigError("name a video, or lines with embeddings: --tracks")
    began = output.moment("--start", start)
    live = source is not None and is_stream(source)
    once = live or (source is None and tracks == "-")  # no second run sees the same
    report, lines = VideoReport(), LinesReport()
    opened = None if source is None else open_frames(source, began, rate)
    if isinstance(opened, Stream):
        opened.report = report.clock
        opened.say = output.say
        opened.first_s = None if keep_trying else FIRST_S
    finder = None if detector is None else OnnxDetector(detector, threads=threads, pixels=detector_pixels)
    gates = Gates(height_px=min_height)
    name = Path(source).name if source is not None and not live else camera if live else Path(str(tracks)).name
    origin = _origin(name, camera, opened, detector, detector_pixels, tracks, at_most_, rate)
    _tell_start(camera, start, origin)
    refused = _name_refused if show_refused else None
    stop = opened.stop if isinstance(opened, Stream) else None
    with stopping(stop) as came, _opened(uri, model, source, live) as gallery:
        frames = _frames(gallery, opened, camera, tracks, began, rate, lines)
        if replace:
            _forget_earlier(gallery, origin, uri)
        if not live:
            check_film(gallery, origin, uri)
        frames = rising(frames, report.clock)
        if at_most_ is not None:
            frames = at_most(frames, at_most_)
        total = opened.frames if opened is not None else 0
        with output.progress(f"camera {camera}", total) as advance:
            seen = _until(_counted(frames, advance), came)
            guarded = seen if live or origin.end < inf else _checked(seen, gallery, origin, uri)
            halted = None if once else lambda: came
            found = tracklets_of(guarded, camera, detector=finder, gates=gates, counts=report.boxes, halted=halted)
            batch = 1 if live or tracks == "-" else 8  # what ends while it is watched is durable at once
            told = {"source": name, "film": origin.film, "run": origin.run}
            for _ in add_tracklets(gallery, found, report, **told, gates=gates, batch=batch, on_refused=refused):
                pass
        _tell(report, lines, opened, len(gallery))
    if came:
        kept = "what was seen is kept" if once else "the same command again goes on: what is there is left out"
        output.say(f"stopped by {came[0].name}: {kept}")
        raise typer.Exit(exit_code(came[0]))
    if lines.without_frame and not lines.fitted:
        raise DataError(
            f"not one moment of {tracks} has a frame in {source}: are these lines of this video, and is --start right?"
        )


def _opened(uri: str, model: str | None, source: str | None, live: bool) -> Gallery:
    """With its model, unless only embeddings are to be added."""
    if source is None:
        return open_gallery(uri)
    return open_with_model(uri, model, wait_s=STREAM_WAIT_S if live else 5.0)


def _frames(
    gallery: Gallery,
    opened: Source | None,
    camera: str,
    tracks: str | None,
    start: float | None,
    rate: float | None,
    lines: LinesReport,
) -> Frames:
    if tracks is None:
        return opened if opened is not None else ()
    moments = moments_of(tracks, camera, lines, may_be_empty=opened is not None)
    if opened is not None:
        return with_boxes(opened, moments, lines, getattr(opened, "start", None) or 0.0)
    own = gallery.settings

    def of_this_model() -> Iterator[Frame]:
        for moment in moments:
            if not is_model(moment[2], own.model):
                told = short_of(moment[2]) or "that is not named"
                raise EmbeddingError(f"the embeddings are of a model {told}; the gallery is of {own.model_label}")
            yield from without_video([moment], start, rate)

    return of_this_model()


def _origin(
    name: str,
    camera: str,
    opened: Source | None,
    detector: Path | None,
    detector_pixels: str | None,
    tracks: str | None,
    at_most: float | None,
    rate: float | None,
) -> Origin:
    if not isinstance(opened, VideoFile | PictureFolder):
        return Origin(name, camera)
    start = opened.start or 0.0
    settings = {
        "detector": detector,
        "detector_pixels": detector_pixels,
        "tracks": Path(tracks) if tracks not in (None, "-") else tracks,
        "at_most": at_most,
        "rate": rate if isinstance(opened, PictureFolder) else None,
    }
    end = start + opened.duration_s if opened.duration_s else inf
    return origin_of(name, camera, opened.path, start, end, settings)


def _tell_start(camera: str, start: str | None, origin: Origin) -> None:
    """The time that was understood, in UTC, unless `output.moment` said it."""
    if origin.start > -inf and (start is None or names_zone(start)):
        output.say(f"camera {camera}: the video begins {format_time(origin.start)}")


def _forget_earlier(gallery: Gallery, origin: Origin, uri: str) -> None:
    if not origin.film:
        raise ConfigError("--replace is for a video's file or a folder of pictures: no other is known again")
    gone = forget_earlier(gallery, origin, uri)
    if gone is not None:
        output.say(f"{counted(gone.entries, 'tracklet')} of before forgotten, and their links")
        for text in (*filter(None, [gone.site]), *gone.beyond, *(f"left: {trace}" for trace in gone.traces)):
            output.say(f"note: {text}")


def _checked(frames: Frames, gallery: Gallery, origin: Origin, uri: str) -> Iterator[Frame]:
    """The frames, once a minute of them compared with what the gallery has of that camera and time."""
    checked_to = -inf
    for frame in frames:
        if frame.time >= checked_to or frame.time < checked_to - 60:
            check_times(gallery, origin, frame.time, frame.time + 60, uri)
            checked_to = frame.time + 60
        yield frame


def _counted(frames: Frames, advance: Advance) -> Iterator[Frame]:
    for frame in frames:
        yield frame
        advance(1, format_time(frame.time))


def _until(frames: Frames, came: Sequence[object]) -> Iterator[Frame]:
    for frame in frames:
        yield frame
        if came:
            return


def _name_refused(refused: Refused) -> None:
    output.say(f"refused: {refused.camera}/{refused.track} at {format_time(refused.start)}: {refused.reason}")


def _tell(report: VideoReport, lines: LinesReport, opened: Source | None, entries: int) -> None:
    problems = list(getattr(opened, "problems", ())) if not isinstance(opened, Stream) else []
    for text in (*problems, *report.clock.told(), *report.boxes.told(), *lines.told()):
        output.say(f"note: {text}")
    if not report.clock.frames:
        output.say("note: there was not one frame to look at")
    there = f", {report.there:,} there already" if report.there else ""
    why = ", ".join(f"{number:,} {kind}" for kind, number in sorted(report.refused.items()))
    refused = f", {counted(report.refused.total(), 'track')} refused ({why})" if report.refused else ""
    output.tell(
        f"{counted(report.added, 'tracklet')} added{there}{refused}; {counted(report.clock.frames, 'frame')}; "
        f"{counted(entries, 'entry', 'entries')}"
    )
