"""The columns of an index beside its embeddings, and the selection of rows by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
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

    @cached_property
    def allowed(self) -> Mask:
        """Of each camera's code, whether it is asked for; not for codes beyond its end."""
        codes = np.zeros(0, np.uint16) if self.cameras is None else self.cameras
        found = np.zeros(int(codes.max(initial=0)) + 2, np.bool_)
        found[codes] = True
        return found

    def mask(self, columns: Columns) -> Mask | None:
        """(n,) bool, or None if every row matches."""
        found: Mask | None = None
        if self.after is not None:
            found = columns.times >= self.after
        if self.before is not None:
            earlier = columns.times < self.before
            found = earlier if found is None else found & earlier
        if self.cameras is not None:
            found = _also(found, columns.cameras, self._of_cameras)
        if self.only is not None:
            found = _also(found, columns.ids, partial(np.isin, test_elements=self.only))
        if self.never is not None and len(self.never):
            found = _also(found, columns.ids, partial(np.isin, test_elements=self.never, invert=True))
        return found

    def _of_cameras(self, codes: npt.NDArray[np.uint16]) -> Mask:
        return self.allowed[np.minimum(codes, len(self.allowed) - 1)]


def _also(found: Mask | None, values: npt.NDArray[Any], test: Callable[[npt.NDArray[Any]], Mask]) -> Mask:
    """Those that are found and pass the test too. Few that are found are tested alone."""
    if found is None:
        return test(values)
    if 8 * np.count_nonzero(found) > len(found):
        return found & test(values)
    rows = np.flatnonzero(found)
    found[rows] = test(values[rows])
    return found


EVERY_ROW = Selection()


class Run(NamedTuple):
    """Rows of a part from `start` on and before `stop`. whole: all of them match; or else, some may."""

    part: int
    start: int
    stop: int
    whole: bool


@dataclass(frozen=True, eq=False)
class Zones:
    """What a filter can tell of ZONE_ROWS rows at a time without looking at them; a zone is all of one part.

    rows: (3, z) int64, the part, and its rows from the second on and before the third. cameras: (2, z) int64, the
    lowest and highest code. times: (4, z) float64, the first and last that is known, NaN if none is, and those between
    which every row's surely is.
    """

    rows: IntArray
    cameras: IntArray
    times: Doubles

    @classmethod
    def of(cls, columns: Columns) -> Zones:
        """Of one part, which has rows."""
        starts = np.arange(0, len(columns), ZONE_ROWS)
        codes, times = columns.cameras.astype(np.int64), columns.times
        first, last = np.fmin.reduceat(times, starts), np.fmax.reduceat(times, starts)
        timed = ~np.logical_or.reduceat(np.isnan(times), starts)
        return cls(
            np.array([np.zeros(len(starts), np.int64), starts, np.minimum(starts + ZONE_ROWS, len(columns))]),
            np.array([np.minimum.reduceat(codes, starts), np.maximum.reduceat(codes, starts)]),
            np.array([first, last, np.where(timed, first, -np.inf), np.where(timed, last, np.inf)]),
        )

    @classmethod
    def joined(cls, zones: Sequence[Zones]) -> Zones:
        """Of parts, in this order, of which there are some."""
        rows = np.concatenate([each.rows for each in zones], axis=1)
        rows[0] = np.repeat(np.arange(len(zones)), [each.rows.shape[1] for each in zones])
        cameras, times = ([getattr(each, name) for each in zones] for name in ("cameras", "times"))
        return cls(rows, np.concatenate(cameras, axis=1), np.concatenate(times, axis=1))

    def runs(self, wanted: Selection) -> list[Run]:
        """Where rows may match a selection, neighbours as one."""
        may: Mask | bool = True
        whole: Mask | bool = wanted.only is None and (wanted.never is None or not len(wanted.never))
        if wanted.cameras is not None:
            below = np.concatenate([[0], np.cumsum(wanted.allowed)])
            low, high = np.minimum(self.cameras, len(wanted.allowed) - 1)
            there = below[high + 1] - below[low]
            may, whole = there > 0, whole & (there == high + 1 - low)
        first, last, earliest, latest = self.times
        if wanted.after is not None:
            may, whole = may & (last >= wanted.after), whole & (earliest >= wanted.after)
        if wanted.before is not None:
            may, whole = may & (first < wanted.before), whole & (latest < wanted.before)
        found = np.flatnonzero(may) if isinstance(may, np.ndarray) else np.arange(self.rows.shape[1])
        if not len(found):
            return []
        parts, starts, stops = self.rows
        apart = (found[1:] - found[:-1] > NEAR) | (parts[found[1:]] != parts[found[:-1]])
        edges = [0, *(np.flatnonzero(apart) + 1).tolist(), len(found)]
        runs = []
        for begin, end in pairwise(edges):
            zone, last_zone = found[begin], found[end - 1]
            all_match = bool(whole[zone : last_zone + 1].all()) if isinstance(whole, np.ndarray) else whole
            runs.append(Run(int(parts[zone]), int(starts[zone]), int(stops[last_zone]), all_match))
        return runs
