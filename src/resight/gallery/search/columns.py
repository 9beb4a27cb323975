"""The columns of an index beside its embeddings, and the selection of rows by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.records import IntArray

Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
NOBODY = 0


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
        return np.logical_and.reduce(parts) if parts else None


EVERY_ROW = Selection()
