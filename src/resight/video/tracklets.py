"""Tracks to tracklets: the best crop of each of five pieces of time, in bounded memory, and no more than that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from resight.core.errors import ConfigError
from resight.core.pictures.images import Pixels
from resight.core.records import FloatArray
from resight.core.words import counted
from resight.video.quality import GATES, Gates, of_boxes, sharpness
from resight.video.records import (
    NO_TRACK,
    Cleaned,
    Detections,
    Detector,
    Frame,
    Refused,
    Shot,
    Tracker,
    Tracklet,
    cleaned,
)
from resight.video.tracking.tracker import TimeTracker

SHOTS = 5
SLOTS = 2 * SHOTS  # candidates that are kept while a track goes on
FIRST_SLOT_S = 0.4
BETTER = 1.05  # a crop replaces another of its time if it is better by so much: cutting costs
HOLD_S = 3.5  # a track that was not seen for so long has ended
LONGEST_S = 300.0  # of a tracklet: one that goes on longer goes on as another
HALVES = 100  # `looks` names the halves of a split part HALVES * (part + 1) and one more: no whole part is named so
SECOND = "b"  # in the names of tracks: of the second kind of numbers, where an epoch has two
REMEMBERED = 10_000  # numbers of tracks that have ended; of older ones the highest number and part


@dataclass
class _Track:
    """One that goes on. slots: the best crop of each piece of time so far, by number; pieces double as it grows."""

    number: int
    part: int
    times: list[float] = field(default_factory=list)
    boxes: list[FloatArray] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    slots: dict[int, tuple[float, Shot]] = field(default_factory=dict)
    slot_s: float = FIRST_SLOT_S

    def add(
        self, time: float, box: FloatArray, score: float, quality: float, pixels: Pixels | None, look: FloatArray | None
    ) -> None:
        """quality: as far as boxes tell it. pixels: of the whole frame."""
        self.times.append(time)
        self.boxes.append(box)
        self.scores.append(score)
        slot = int((time - self.times[0]) / self.slot_s)
        best = self.slots.get(slot)
        if best is not None and quality <= best[0] * BETTER:
            return
        crop = None if pixels is None else cut(pixels, box)
        shot = Shot(time, box, quality * (1.0 if crop is None else sharpness(crop)), crop, look)
        if best is None or shot.quality > best[1].quality:
            self.slots[slot] = (quality, shot)
        if len(self.slots) > SLOTS:
            self._double()

    def _double(self) -> None:
        self.slot_s *= 2
        wider: dict[int, tuple[float, Shot]] = {}
        for slot, candidate in self.slots.items():
            there = wider.get(slot // 2)
            if there is None or candidate[1].quality > there[1].quality:
                wider[slot // 2] = candidate
        self.slots = wider

    def shots(self) -> tuple[Shot, ...]:
        """The best of each of SHOTS equal pieces of time, by time."""
        length = max(self.times[-1] - self.times[0], 1e-6)
        pieces: dict[int, Shot] = {}
        for _, shot in self.slots.values():
            piece = min(SHOTS - 1, int((shot.time - self.times[0]) / length * SHOTS))
            if piece not in pieces or shot.quality > pieces[piece].quality:
                pieces[piece] = shot
        return tuple(pieces[piece] for piece in sorted(pieces))


class Builder:
    """Collects the boxes of tracks of one camera, frame by frame, and gives out tracklets when they have ended."""

    def __init__(
        self, camera: str, epoch: float, gates: Gates = GATES, hold_s: float = HOLD_S, *, second: bool = False
    ) -> None:
        """epoch: the time of the first frame, which names the tracks. hold_s: see HOLD_S; more than the tracker's
        memory. second: another builder of the epoch has the plain names."""
        self.camera, self.epoch = camera, epoch_name(epoch) + (SECOND if second else "")
        self._gates, self._hold_s = gates, hold_s
        self._open: dict[int, _Track] = {}
        self._next_part: dict[int, int] = {}  # of numbers that have ended, the latest last
        self._older_number, self._older_part = -1, 0  # the highest of those that are not remembered
        self._size: tuple[int, int] | None = None

    def add(self, frame: Frame, found: Detections) -> Iterator[Tracklet | Refused]:
        """Takes in one frame's boxes, those of no track left out; yields what has ended before."""
        self._size = frame.size or self._size
        ended = [number for number, track in self._open.items() if frame.time - track.times[-1] > self._hold_s]
        for number in ended:
            over = self._open.pop(number)
            self._next_part[number] = part_after(over.part)
            if len(self._next_part) > REMEMBERED:
                oldest = next(iter(self._next_part))
                self._older_number = max(self._older_number, oldest)
                self._older_part = max(self._older_part, self._next_part.pop(oldest))
            yield from self._closed(over)
        rows = np.flatnonzero(found.tracks != NO_TRACK)
        quality = of_boxes(found.boxes, found.scores, frame.size)
        for row in rows.tolist():
            number = int(found.tracks[row])
            track = self._open.get(number)
            if track is not None and frame.time - track.times[0] > LONGEST_S:
                yield from self._closed(self._open.pop(number))
                track = self._open[number] = _Track(number, part_after(track.part))
            if track is None:
                unknown = self._older_part if number <= self._older_number else 0
                track = self._open[number] = _Track(number, self._next_part.pop(number, unknown))
            look = None if found.embeddings is None else found.embeddings[row]
            track.add(frame.time, found.boxes[row], float(found.scores[row]), quality[row], frame.pixels, look)

    def finish(self) -> Iterator[Tracklet | Refused]:
        """All that are still open."""
        for number in sorted(self._open):
            yield from self._closed(self._open.pop(number))

    def _closed(self, track: _Track) -> Iterator[Tracklet | Refused]:
        shots = track.shots()
        best = max(shots, key=lambda shot: shot.quality)
        tracklet = Tracklet(
            self.camera,
            self.epoch,
            track.number,
            np.array(track.times, np.float64),
            np.array(track.boxes, np.float32).reshape(-1, 4),
            np.array(track.scores, np.float32),
            shots,
            quality=best.quality,
            size=self._size,
            part=track.part,
        )
        why = refusal(tracklet, self._gates)
        yield tracklet if why is None else why


def part_after(part: int) -> int:
    """The next part of a track, those left out that halves of a split part may be named.

    Example:
        >>> part_after(0), part_after(98), part_after(99), part_after(199)
        (1, 99, 102, 202)
    """
    return part + 1 if (part + 1) % HALVES else part + 3


def half_of(part: int, half: int) -> int:
    """What a half, 0 or 1, of a split part is numbered."""
    return HALVES * (part + 1) + half


def refusal(tracklet: Tracklet, gates: Gates) -> Refused | None:
    """Why a tracklet is not worth keeping; None where it is."""
    seen, lasting = len(tracklet.times), tracklet.end - tracklet.start
    tall = max(float(shot.box[3] - shot.box[1]) for shot in tracklet.shots)
    found = None
    if seen < gates.seen:
        found = "too few frames", f"seen in {counted(seen, 'frame')} only, {gates.seen} are needed"
    elif lasting < gates.lasting_s:
        found = "too short", f"seen for {lasting:.2f} s only, {gates.lasting_s:g} s are needed"
    elif tall < gates.height_px:
        found = "too small", f"{tall:.0f} pixels high at best, {gates.height_px:g} are needed"
    elif tracklet.quality < gates.quality:
        better = f"{gates.quality:g} is needed: hidden, cut or blurred throughout"
        found = "too poor", f"of quality {tracklet.quality:.2f} at best, {better}"
    return None if found is None else refused(tracklet, *found)


def refused(tracklet: Tracklet, kind: str, reason: str) -> Refused:
    """The record of it."""
    return Refused(tracklet.camera, tracklet.track, tracklet.start, tracklet.end, kind, reason)


def tracklets_of(
    frames: Iterable[Frame],
    camera: str,
    *,
    detector: Detector | None = None,
    tracker: Tracker | None = None,
    gates: Gates = GATES,
    counts: Cleaned | None = None,
    halted: Callable[[], object] | None = None,
) -> Iterator[Tracklet | Refused]:
    """Tracklets of one camera's frames, each once it has ended, not embedded; and refused ones.

    frames: in rising order of time, see `frames.clock.rising`. detector: finds people in the pixels of a frame.
    tracker: of ours or any other; None: a TimeTracker. A new epoch begins a new one, so give none where there are
    several. gates: what a tracklet needs. counts: counts broken boxes. halted: asked after the last frame; true: the
    same frames and more come in another run, so that what is still open is left to that. A frame that comes with
    detections needs no detector, and those that have tracks keep them; the tracker follows the others. Both kinds of
    numbers are kept apart: the one that comes second in an epoch is named with a SECOND.

    Raises ConfigError where a frame has neither.

    Example:
        >>> import numpy as np
        >>> from resight.video.records import Frame, detections
        >>> frames = [Frame(second / 10, np.zeros((240, 320, 3), np.uint8)) for second in range(10)]
        >>> found = tracklets_of(frames, "north", detector=lambda pixels: detections([[90, 40, 140, 200]], [0.9]))
        >>> [(each.track, len(each.times)) for each in found]
        [('19700101T000000.000Z/1', 10)]
    """
    broken = counts if counts is not None else Cleaned()
    builders: dict[bool, Builder] = {}  # of tracks that came with their boxes: False; of the tracker's: True
    follow: Tracker | None = None
    epoch, began = -1, 0.0
    for frame in frames:
        if follow is None or frame.epoch != epoch:
            for builder in builders.values():
                yield from builder.finish()
            builders, epoch, began = {}, frame.epoch, frame.time
            follow = tracker or TimeTracker()
        found = cleaned(_found(detector, frame), frame.size, broken)
        free = found.tracks == NO_TRACK
        ours = np.full(len(found), NO_TRACK, np.int64)
        ours[free] = follow(found[free], frame.time)
        for of_tracker, tracks in ((False, found.tracks), (True, ours)):
            if of_tracker not in builders and (tracks != NO_TRACK).any():
                builders[of_tracker] = Builder(camera, began, gates, second=bool(builders))
            if of_tracker in builders:
                yield from builders[of_tracker].add(frame, replace(found, tracks=tracks))
    if halted is None or not halted():
        for builder in builders.values():
            yield from builder.finish()


def _found(detector: Detector | None, frame: Frame) -> Detections:
    if frame.found is not None:
        return frame.found
    if detector is None or frame.pixels is None:
        raise ConfigError("who finds the people? Give a --detector, or boxes of another tool: --tracks")
    return detector(frame.pixels)


def cut(pixels: Pixels, box: FloatArray) -> Pixels:
    """A copy of the part of a frame that a box shows, one pixel at the least."""
    height, width = pixels.shape[:2]
    left, top = max(0, min(width - 1, round(float(box[0])))), max(0, min(height - 1, round(float(box[1]))))
    right, bottom = max(left + 1, min(width, round(float(box[2])))), max(top + 1, min(height, round(float(box[3]))))
    return pixels[top:bottom, left:right].copy()


def epoch_name(time: float) -> str:
    """The time at which an epoch began, as tracks are named by it."""
    moment = datetime.fromtimestamp(time, UTC)
    return f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z"
