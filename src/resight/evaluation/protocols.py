"""Who counts in a query's ranking, and how: the named protocols."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from warnings import warn

import numpy as np
import numpy.typing as npt

from resight.core.errors import unknown_name
from resight.core.records import DISTRACTOR_PID as DISTRACTOR_PID
from resight.core.records import NO_PERSON_PID, EmbeddedCrops, IntArray

BoolArray = npt.NDArray[np.bool_]
JUNK_PID = NO_PERSON_PID


@dataclass(frozen=True, eq=False)
class Rows:
    """Who is in each query or gallery crop, without embeddings: pids and camids (n,) int64, content_hashes (n,) uint64,
    as in EmbeddedCrops."""

    pids: IntArray
    camids: IntArray
    content_hashes: npt.NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.pids)


def rows_of(crops: EmbeddedCrops) -> Rows:
    """The crops without their embeddings."""
    return Rows(crops.pids, crops.camids, crops.content_hashes)


class GalleryRows:
    """The gallery's rows, indexed, so that those of one person or picture are found without looking at all rows."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._by_pid = _Groups(rows.pids)
        self._by_content = _Groups(rows.content_hashes)
        self.no_person = self._by_pid.of(np.int64(JUNK_PID))

    def __len__(self) -> int:
        return len(self.rows)

    def of_pid(self, pid: np.int64) -> IntArray:
        """The rows of a person, ascending."""
        return self._by_pid.of(pid)

    def of_content(self, content: np.uint64) -> IntArray:
        """The rows that hold this very picture, ascending."""
        return self._by_content.of(content)


class _Groups:
    def __init__(self, values: npt.NDArray[np.generic]) -> None:
        self._order: IntArray = np.argsort(values, kind="stable").astype(np.int64)
        self._sorted = values[self._order]

    def of(self, value: np.generic) -> IntArray:
        first, last = np.searchsorted(self._sorted, value, "left"), np.searchsorted(self._sorted, value, "right")
        return self._order[first:last]


def same_camera(query: Rows, row: int, gallery: GalleryRows) -> IntArray:
    """Same pid and same camid as the query."""
    found = gallery.of_pid(query.pids[row])
    same: IntArray = found[gallery.rows.camids[found] == query.camids[row]]
    return same


def same_picture(query: Rows, row: int, gallery: GalleryRows) -> IntArray:
    """The query's very picture, told by its pixels."""
    return gallery.of_content(query.content_hashes[row])


def no_junk(query: Rows, row: int, gallery: GalleryRows) -> IntArray:
    """Nothing is left out."""
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Protocol:
    """Which gallery rows count in a query's ranking, and which queries are scored.

    junk: (query, row, gallery) to the gallery rows that are left out of that query's ranking. Rows of pid -1, which
    are no person, are left out too, unless `keeps_no_person`. depth: how many of the nearest rows count, None for all.
    hits_only: AP is divided by the hits within the depth instead of by all relevant rows, and a query without a hit
    scores 0 instead of being skipped.
    """

    name: str
    description: str
    junk: Callable[[Rows, int, GalleryRows], IntArray]
    keeps_no_person: bool = False
    depth: int | None = None
    hits_only: bool = False

    def left_out(self, query: Rows, row: int, gallery: GalleryRows) -> IntArray:
        """All rows that are left out of the query's ranking, each once."""
        junk = self.junk(query, row, gallery)
        if self.keeps_no_person or not len(gallery.no_person):
            return junk
        return np.concatenate((junk[gallery.rows.pids[junk] != JUNK_PID], gallery.no_person))


PROTOCOLS: dict[str, Protocol] = {
    "market1501": Protocol(
        "market1501",
        "same person and camera as the query removed; AP over all relevant rows; queries without any skipped",
        same_camera,
    ),
    "no-camera": Protocol(
        "no-camera",
        "only the query's own picture removed; AP over all relevant rows; queries without any skipped",
        same_picture,
    ),
    "top10": Protocol(
        "top10",
        "the reference paper's scoring: the ten nearest, nothing removed, AP divided by the hits among the "
        "ten; a query without a hit scores 0",
        no_junk,
        keeps_no_person=True,
        depth=10,
        hits_only=True,
    ),
}
RENAMED = {"report": "top10"}  # the names of version 0.1.0, accepted in this version


def find_protocol(name: str) -> Protocol:
    """The protocol of that name. Raises ConfigError for an unknown name, which lists those known."""
    if name in RENAMED:
        new = RENAMED[name]  # a FutureWarning, since it is a user's word more often than a program's
        warn(f"the protocol {name} is called {new} now; version 0.2 drops the old name", FutureWarning, stacklevel=2)
        name = new
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
