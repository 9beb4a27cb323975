"""The columns of an index beside its embeddings, and the selection of rows by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from resight.core.records import IntArray

Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
NOBODY = 0
ZONE_ROWS = 4096
NEAR = 2  # zones: rows as near to each other are compared together


@dataclass(frozen=True)
class Columns:
    """What a filter may ask of each row. ids: (n,) int64. times: (n,) float64, NaN if unknown. cameras: (n,) uint16
    codes. people: (n,) int64, equal if two rows show one person; NOBODY if the row has neither pid nor track."""

    ids: IntArray
    times: Doubles
    cameras: npt.NDArray[np.uint16]
    people: IntArray

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Any) -> Columns:
        """The columns of some rows: an index, a mask or a slice."""
        return Columns(self.ids[rows], self.times[rows], self.cameras[rows], self.people[rows])

    @classmethod
    def joined(cls, parts: Sequence[Columns]) -> Columns:
        """Concatenates them."""
        return cls(
            np.concatenate([np.zeros(0, np.int64), *(part.ids for part in parts)]),
            np.concatenate([np.zeros(0, np.float64), *(part.times for part in parts)]),
            np.concatenate([np.zeros(0, np.uint16), *(part.cameras for part in parts)]),
            np.concatenate([np.zeros(0, np.int64), *(part.people for part in parts)]),
        )


@dataclass(frozen=True, eq=False)
class Selection:
    """Which rows match a filter. cameras: codes, or None for all. after <= time < before; a row without a time matches
    only if neither is given. only, never: sorted ids, or None."""

    cameras: npt.NDArray[np.uint16] | None = None
    after: float | None = None
    before: float | None = None
    only: IntArray | None = None
    never: IntArray | None = None

    def mask(self, columns: Columns) -> Mask | None:
        """(n,) bool, or None if every row matches."""
        parts: list[Mask] = []
        if self.cameras is not None:
            allowed = np.zeros(65_536, np.bool_)
            allowed[self.cameras] = True
            parts.append(allowed[columns.cameras])
        if self.after is not None:
            parts.append(columns.times >= self.after)
        if self.before is not None:
            parts.append(columns.times < self.before)
        if self.only is not None:
            parts.append(np.isin(columns.ids, self.only))
        if self.never is not None and len(self.never):
            parts.append(~np.isin(columns.ids, self.never))
        if not parts:
            return None
        for part in parts[1:]:
            parts[0] &= part
        return parts[0]


EVERY_ROW = Selection()


class Run(NamedTuple):
    """Rows of a part from `start` on and before `stop`. whole: all of them match; or else, some may."""

    part: int
    start: int
    stop: int
    whole: bool


@dataclass(frozen=True, eq=False)
class Zones:
    """What a filter can tell of ZONE_ROWS rows at a time without looking at them; a zone is all of one part. (z,) each:
    the part, its rows from `starts` on and before `stops`, the lowest and highest camera code and time, and whether all
    times are known."""

    parts: IntArray
    starts: IntArray
    stops: IntArray
    cameras: tuple[IntArray, IntArray]
    times: tuple[Doubles, Doubles]
    timed: Mask

    @classmethod
    def of(cls, columns: Columns) -> Zones:
        """Of one part, which has rows."""
        starts = np.arange(0, len(columns), ZONE_ROWS)
        codes = columns.cameras.astype(np.int64)
        return cls(
            np.zeros(len(starts), np.int64),
            starts,
            np.minimum(starts + ZONE_ROWS, len(columns)),
            (np.minimum.reduceat(codes, starts), np.maximum.reduceat(codes, starts)),
            (np.fmin.reduceat(columns.times, starts), np.fmax.reduceat(columns.times, starts)),
            ~np.logical_or.reduceat(np.isnan(columns.times), starts),
        )

    @classmethod
    def joined(cls, zones: Sequence[Zones]) -> Zones:
        """Of parts, in this order."""
        none, nothing = np.zeros(0, np.int64), np.zeros(0)
        return cls(
            np.repeat(np.arange(len(zones)), [len(each.starts) for each in zones]),
            np.concatenate([none, *(each.starts for each in zones)]),
            np.concatenate([none, *(each.stops for each in zones)]),
            (
                np.concatenate([none, *(each.cameras[0] for each in zones)]),
                np.concatenate([none, *(each.cameras[1] for each in zones)]),
            ),
            (
                np.concatenate([nothing, *(each.times[0] for each in zones)]),
                np.concatenate([nothing, *(each.times[1] for each in zones)]),
            ),
            np.concatenate([none.astype(np.bool_), *(each.timed for each in zones)]),
        )

    def runs(self, wanted: Selection) -> list[Run]:
        """Where rows may match a selection, neighbours as one."""
        listed = wanted.only is not None or (wanted.never is not None and len(wanted.never) > 0)
        may = np.ones(len(self.starts), np.bool_)
        whole = np.full(len(self.starts), not listed)
        if wanted.cameras is not None:
            below = np.zeros(65_537, np.int64)
            below[wanted.cameras.astype(np.int64) + 1] = 1
            np.cumsum(below, out=below)
            low, high = self.cameras
            there = below[high + 1] - below[low]
            may &= there > 0
            whole &= there == high + 1 - low
        first, last = self.times  # NaN where no time is known, which compares as false
        if wanted.after is not None:
            may &= last >= wanted.after
            whole &= self.timed & (first >= wanted.after)
        if wanted.before is not None:
            may &= first < wanted.before
            whole &= self.timed & (last < wanted.before)
        found = np.flatnonzero(may)
        if not len(found):
            return []
        whole &= may
        parts = self.parts[found]
        apart = (found[1:] - found[:-1] > NEAR) | (parts[1:] != parts[:-1])
        edges = [0, *(np.flatnonzero(apart) + 1).tolist(), len(found)]
        runs = []
        for begin, end in pairwise(edges):
            zones = slice(int(found[begin]), int(found[end - 1]) + 1)
            part, start, stop = self.parts[zones][0], self.starts[zones][0], self.stops[zones][-1]
            runs.append(Run(int(part), int(start), int(stop), bool(whole[zones].all())))
        return runs
