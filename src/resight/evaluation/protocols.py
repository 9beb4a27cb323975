"""Who counts in a query's ranking, and how: the named protocols."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resight.core.errors import unknown_name
from resight.core.records import EmbeddedCrops, IntArray

BoolArray = npt.NDArray[np.bool_]
JUNK_PID = -1
DISTRACTOR_PID = 0


@dataclass(frozen=True, eq=False)
class Rows:
    """The gallery's rows, or the queries': pids and camids (n,) int64, contents (n,) uint64."""

    pids: IntArray
    camids: IntArray
    contents: npt.NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.pids)


def rows_of(crops: EmbeddedCrops) -> Rows:
    """The crops without their embeddings."""
    return Rows(crops.pids, crops.camids, crops.contents)


def same_camera(query: Rows, row: int, gallery: Rows) -> BoolArray:
    """Same pid and same camid as the query, and boxes that are no person at all (pid -1)."""
    same: BoolArray = (gallery.pids == query.pids[row]) & (gallery.camids == query.camids[row])
    return same | _no_person(gallery)


def same_picture(query: Rows, row: int, gallery: Rows) -> BoolArray:
    """The query's very picture, told by its pixels, and boxes that are no person at all (pid -1)."""
    same: BoolArray = gallery.contents == query.contents[row]
    return same | _no_person(gallery)


def no_junk(query: Rows, row: int, gallery: Rows) -> BoolArray:
    """Nothing is left out."""
    return np.zeros(len(gallery), dtype=np.bool_)


def _no_person(gallery: Rows) -> BoolArray:
    none: BoolArray = gallery.pids == JUNK_PID
    return none


@dataclass(frozen=True)
class Protocol:
    """junk: (g,) bool of the gallery rows left out of one query's ranking. depth: how many of the nearest
    count, None for all. hits_only: AP is divided by the hits within the depth, not by all relevant rows,
    and a query without any scores 0 instead of being skipped."""

    name: str
    description: str
    junk: Callable[[Rows, int, Rows], BoolArray]
    depth: int | None = None
    hits_only: bool = False


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
    "report": Protocol(
        "report",
        "the reference report's scoring: the ten nearest, nothing removed, AP divided by the hits among the "
        "ten; a query without a hit scores 0",
        no_junk,
        depth=10,
        hits_only=True,
    ),
}


def find_protocol(name: str) -> Protocol:
    """Raises ConfigError for an unknown name."""
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
