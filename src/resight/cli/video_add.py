"""`resight video add`: a video, or the tracks of another tool, into a gallery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Annotated

import typer

from resight.cli import output
from resight.cli import video_source as watching
from resight.cli.gallery_add import Model_, Uri
from resight.cli.stopping import stopping
from resight.core.errors import ConfigError, EmbeddingError
from resight.core.words import counted
from resight.embedding.card import is_model, short_of
from resight.gallery.gallery import Gallery
from resight.gallery.opening import open_gallery, open_with_model
from resight.video.adding import add_tracklets
from resight.video.detected import moments_of, without_video
from resight.video.origin import Origin, check_film, check_times, forget_earlier
from resight.video.records import Frame

STREAM_WAIT_S = 60.0  # for another process that writes to the gallery


def add(
    uri: Uri,
    source: Annotated[
        str | None,
        typer.Argument(help="A video, a folder of pictures, or a stream's address. None: --tracks has embeddings."),
    ] = None,
    *,
    camera: watching.Camera,
    start: watching.Start = None,
    detector: watching.Detector_ = None,
    detector_pixels: watching.DetectorPixels = None,
    tracks: watching.Tracks = None,
    rate: watching.Rate = None,
    at_most: watching.AtMost = None,
    keep_trying: watching.KeepTrying = False,
    model: Model_ = None,
    min_height: watching.MinHeight = 40,
    replace: Annotated[
        bool, typer.Option("--replace", help="Forget first what was added from this video by another run.")
    ] = False,
    show_refused: watching.ShowRefused = False,
    threads: watching.Threads = None,
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
    watched = watching.Watched(
        source, camera, start, detector, detector_pixels, tracks, rate, at_most, min_height, keep_trying, threads
    )
    origin, live = watched.origin, watched.live
    with stopping(watched.stop) as came, _opened(uri, model, source, live) as gallery:
        frames = watched.frames() if source is not None else _of_lines(gallery, watched)
        if replace:
            _forget_earlier(gallery, origin, uri)
        if not live:
            check_film(gallery, origin, uri)

        def check(first: float, last: float) -> None:
            check_times(gallery, origin, first, last, uri)

        with closing(watched.tracklets(frames, came, check)) as found:
            for _ in add_tracklets(
                gallery,
                found,
                watched.report,
                source=origin.name,
                film=origin.film,
                run=origin.run,
                gates=watched.gates,
                batch=1 if live or tracks == "-" else 8,  # what ends while it is watched is durable at once
                on_refused=watching.name_refused if show_refused else None,
            ):
                pass
        watched.tell(counted(len(gallery), "entry", "entries"))
    watched.end(came)


def _opened(uri: str, model: str | None, source: str | None, live: bool) -> Gallery:
    """With its model, unless only embeddings are to be added."""
    if source is None:
        return open_gallery(uri)
    return open_with_model(uri, model, wait_s=STREAM_WAIT_S if live else 5.0)


def _of_lines(gallery: Gallery, watched: watching.Watched) -> Iterator[Frame]:
    """Of lines without a video, which bring embeddings of the gallery's model."""
    own = gallery.settings
    for moment in moments_of(str(watched.tracks), watched.camera, watched.lines):
        if not is_model(moment[2], own.model):
            told = short_of(moment[2]) or "that is not named"
            raise EmbeddingError(f"the embeddings are of a model {told}; the gallery is of {own.model_label}")
        yield from without_video([moment], watched.began, watched.rate)


def _forget_earlier(gallery: Gallery, origin: Origin, uri: str) -> None:
    if not origin.film:
        raise ConfigError("--replace is for a video's file or a folder of pictures: no other is known again")
    gone = forget_earlier(gallery, origin, uri)
    if gone is not None:
        output.say(f"{counted(gone.entries, 'tracklet')} of before forgotten, and their links")
        for text in (*filter(None, [gone.site]), *gone.beyond, *(f"left: {trace}" for trace in gone.traces)):
            output.say(f"note: {text}")
