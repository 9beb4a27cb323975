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
    """Rows from `start` on and before `stop`. whole: all of them match; or else, some may."""

    start: int
    stop: int
    whole: bool


@dataclass(frozen=True, eq=False)
class Zones:
    """What a filter can tell of ZONE_ROWS rows at a time without looking at them. rows: how many there are in all. The
    rest is (z,) each: the lowest and highest camera code and time, and whether all times are known."""

    rows: int
    cameras: tuple[IntArray, IntArray]
    times: tuple[Doubles, Doubles]
    timed: Mask

    @classmethod
    def of(cls, columns: Columns) -> Zones:
        """Looks at them all."""
        num = len(columns)
        starts = np.arange(0, num, ZONE_ROWS)
        if not num:
            none = np.zeros(0)
            return cls(0, (starts, starts), (none, none), none.astype(np.bool_))
        codes = columns.cameras.astype(np.int64)
        return cls(
            num,
            (np.minimum.reduceat(codes, starts), np.maximum.reduceat(codes, starts)),
            (np.fmin.reduceat(columns.times, starts), np.fmax.reduceat(columns.times, starts)),
            ~np.logical_or.reduceat(np.isnan(columns.times), starts),
        )

    def runs(self, wanted: Selection) -> list[Run]:
        """Where rows may match a selection, neighbours as one."""
        if wanted is EVERY_ROW:
            return [Run(0, self.rows, True)] if self.rows else []
        listed = wanted.only is not None or (wanted.never is not None and len(wanted.never) > 0)
        may = np.ones(len(self.timed), np.bool_)
        whole = np.full(len(self.timed), not listed)
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
        kind = np.where(may, 1 + whole, 0)
        edges = np.flatnonzero(np.diff(kind, prepend=0, append=0)).tolist()
        return [
            Run(start * ZONE_ROWS, min(stop * ZONE_ROWS, self.rows), bool(whole[start]))
            for start, stop in pairwise(edges)
            if may[start]
        ]
