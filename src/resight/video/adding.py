"""Video into a gallery: one entry a tracklet, each durable before the next; what was odd is counted."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from resight.core.errors import DataError
from resight.core.pictures.images import Pixels
from resight.core.records import FloatArray
from resight.data.crops import Crop
from resight.gallery.gallery import Gallery
from resight.gallery.people import pid_of_tracklet
from resight.gallery.records import Added, Attributes, Entry
from resight.gallery.transfer.rows import Row
from resight.video.frames.clock import ClockReport
from resight.video.looks import embedded
from resight.video.origin import FILM, RUN
from resight.video.packing import pack_boxes, unpack_boxes
from resight.video.quality import GATES, Gates
from resight.video.records import Cleaned, Refused, Times, Tracklet

JPEG_QUALITY = 90
KIND = "tracklet"  # the attribute `kind` of entries that are tracklets


@dataclass
class VideoReport:
    """What `add_tracklets` did. added, there: new entries, and those that were there already. refused: tracks that
    became no tracklet, by kind of reason. clock, boxes: what was odd about times and boxes. warnings: anything else."""

    added: int = 0
    there: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    clock: ClockReport = field(default_factory=ClockReport)
    boxes: Cleaned = field(default_factory=Cleaned)
    warnings: list[str] = field(default_factory=list)

    def refuse(self, refused: Refused, told: Callable[[Refused], object] | None) -> None:
        """Counts a track that became no tracklet. told: hears of it."""
        self.refused[refused.kind] += 1
        if told is not None:
            told(refused)


def add_tracklets(
    gallery: Gallery,
    found: Iterable[Tracklet | Refused],
    report: VideoReport,
    *,
    source: str,
    film: str = "",
    run: str = "",
    gates: Gates = GATES,
    batch: int = 8,
    on_refused: Callable[[Refused], object] | None = None,
) -> Iterator[Added]:
    """Embeds tracklets and adds each as an entry; yields what became of each batch once it is durable. One that is
    there already is not added again, so that after a kill the same work goes on.

    source: what to call the video in entries' names. film, run: digests of it, as `origin` makes them; empty: unknown.
    batch: tracklets that are embedded at once. on_refused: told of each track that became no tracklet.

    Raises EmbeddingError for tracklets of another model, GalleryError if the store fails.
    """
    keep = gallery.settings.keep_crops

    def batches() -> Iterator[list[Row | DataError]]:
        rows: list[Row | DataError] = []
        for each in embedded(found, gallery.model, gates=gates, batch=batch):
            if isinstance(each, Refused):
                report.refuse(each, on_refused)
                continue
            rows.append(_row(each, gallery.settings.model, source, {FILM: film, RUN: run}, keep))
            if len(rows) >= batch:
                yield rows
                rows = []
        if rows:
            yield rows

    for added in gallery.add_batches(batches(), strict=True):
        report.added += len(added.ids)
        report.there += len(added.there)
        yield added


def _row(tracklet: Tracklet, model: str, source: str, origin: Mapping[str, str], keep_crop: bool) -> Row:
    jpeg = _crop(tracklet) if keep_crop else None
    name = f"{source} {tracklet.track}"
    facts = {
        "time": tracklet.start,
        "track": tracklet.track,
        "pid": pid_of_tracklet(tracklet.key),
        "attributes": {**attributes_of(tracklet, source), **{name: each for name, each in origin.items() if each}},
    }
    picture = None if jpeg is None else Crop(name, -1, 0, data=jpeg)
    return Row(name, tracklet.camera, picture, tracklet.embedding, model, facts)


def attributes_of(tracklet: Tracklet, source: str) -> Attributes:
    """What an entry keeps of a tracklet beside camera, time, track and embedding. Boxes are packed: see `packing`."""
    tall = max((float(shot.box[3] - shot.box[1]) for shot in tracklet.shots), default=0.0)
    found: dict[str, Any] = {
        "kind": KIND,
        "source": source,
        "end": round(tracklet.end, 3),
        "seen": len(tracklet.times),
        "shots": max(1, len(tracklet.shots)),
        "quality": round(float(tracklet.quality), 3),
        "height_px": round(tall),
        "boxes": pack_boxes(tracklet.times, tracklet.boxes),
    }
    if tracklet.size is not None:
        found["frame"] = f"{tracklet.size[1]}x{tracklet.size[0]}"
    return found


def is_tracklet(entry: Entry) -> bool:
    """Whether an entry is of video."""
    return entry.attributes.get("kind") == KIND and entry.time is not None


def boxes_of(entry: Entry) -> tuple[Times, FloatArray]:
    """times (n,) and boxes (n, 4) of an entry of video. Raises DataError where they are damaged, or it has none."""
    if not is_tracklet(entry) or entry.time is None:
        raise DataError(f"entry {entry.id} is no tracklet of video")
    return unpack_boxes(str(entry.attributes.get("boxes", "")), entry.time)


def _crop(tracklet: Tracklet) -> bytes | None:
    shots = [shot for shot in tracklet.shots if shot.pixels is not None]
    best = max(shots, key=lambda shot: shot.quality, default=None)
    return None if best is None or best.pixels is None else jpeg_of(best.pixels)


def jpeg_of(pixels: Pixels) -> bytes:
    """The picture (h, w, 3) uint8 RGB, encoded."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()
