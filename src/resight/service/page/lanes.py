"""A person over time: a lane for each camera, and a mark for each entry, as figures for a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resight.service.api.answers import EntryOut

WIDTH, LANE, LEFT = 1000, 28, 130  # of the drawing, in its own units


@dataclass(frozen=True)
class Mark:
    """One entry: where it lies, and what a pointer is told."""

    id: int
    x: float
    y: float
    time: float


@dataclass(frozen=True)
class Lanes:
    """The drawing. cameras: with the height of each lane. first, last: seconds since 1970."""

    cameras: tuple[tuple[str, float], ...]
    marks: tuple[Mark, ...]
    height: int
    first: float
    last: float


def lanes_of(entries: Sequence[EntryOut]) -> Lanes | None:
    """The drawing; None if no entry has a time."""
    timed = [(entry, entry.time) for entry in entries if entry.time is not None]
    if not timed:
        return None
    names = sorted({entry.camera for entry, _ in timed})
    heights = {name: LANE * (place + 0.5) for place, name in enumerate(names)}
    first, last = min(time for _, time in timed), max(time for _, time in timed)
    room = WIDTH - LEFT - 20
    marks = tuple(
        Mark(entry.id, LEFT + room * (time - first) / (last - first or 1), heights[entry.camera], time)
        for entry, time in timed
    )
    return Lanes(tuple(heights.items()), marks, LANE * len(names), first, last)
