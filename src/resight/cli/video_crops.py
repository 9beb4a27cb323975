"""`resight video crops`: the people of a video as pictures with their tracks, for what learns from pictures."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from resight.cli import video_source as watching
from resight.cli.stopping import stopping
from resight.core.words import counted
from resight.video.crops import CropFolder


def crops(
    folder: Annotated[Path, typer.Argument(help="Where to write: a new folder, or one of this command.")],
    source: Annotated[str, typer.Argument(help="A video, a folder of pictures, or a stream's address.")],
    *,
    camera: watching.Camera,
    start: watching.Start = None,
    detector: watching.Detector_ = None,
    detector_pixels: watching.DetectorPixels = None,
    tracks: watching.Tracks = None,
    rate: watching.Rate = None,
    at_most: watching.AtMost = None,
    keep_trying: watching.KeepTrying = False,
    min_height: watching.MinHeight = 40,
    rights: Annotated[str, typer.Option(help="The pictures' rights, in a line, for whatever is made of them.")] = "",
    show_refused: watching.ShowRefused = False,
    threads: watching.Threads = None,
) -> None:
    """Finds the people of a video, follows them, and writes the best crops of each walk past the camera, five at the
    most, with a table of camera, time and track: what `adapt` and `site fit` learn from.

    One folder takes all cameras of a site, one command each, also at one time. The same command again goes on after an
    interruption; a stream runs until a signal ends it. The pictures show people: a new folder is readable by you alone.

    Examples:

      resight video crops my_site north.mp4 --camera north --start 2026-03-01T08:00:00Z --detector yolox.onnx

      resight adapt default my_site -o runs/mine
    """
    watched = watching.Watched(
        source, camera, start, detector, detector_pixels, tracks, rate, at_most, min_height, keep_trying, threads
    )
    pictures = 0
    told = watching.name_refused if show_refused else None
    with (
        CropFolder(folder, watched.origin, rights) as written,
        stopping(watched.stop) as came,
        closing(watched.tracklets(watched.frames(), came, written.check_times)) as found,
    ):
        for paths in written.add(found, watched.report, on_refused=told):
            pictures += len(paths)
    watched.tell(f"{counted(pictures, 'picture')} written to {folder}")
    watched.end(came)
