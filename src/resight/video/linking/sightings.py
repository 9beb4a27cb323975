"""The tracklets to link, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resight.core.errors import DataError
from resight.core.records import FloatArray, IntArray
from resight.gallery.records import Entry
from resight.video.adding import is_tracklet
from resight.video.linking.site import UNKNOWN_PLACE, Site

Values = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sightings:
    """n tracklets, by start. ids: of their entries. pids: their own, without links. cameras: (n,) rows of `names`.
    starts, ends: (n,) seconds, clocks put right. embeddings: (n, dim), of unit length. crops: (n,) how many crops each
    is the mean of."""

    ids: IntArray
    pids: IntArray
    names: tuple[str, ...]
    cameras: IntArray
    starts: Values
    ends: Values
    embeddings: FloatArray
    crops: IntArray

    def __len__(self) -> int:
        return len(self.ids)

    def camera(self, row: int) -> str:
        """The name of its camera."""
        return self.names[int(self.cameras[row])]

    def gaps(self) -> FloatArray:
        """(n, n) float32: seconds between the end of one and the start of the other; below 0, for how long both were
        seen at once."""
        found = np.maximum(self.starts[:, None] - self.ends[None], self.starts[None] - self.ends[:, None])
        return found.astype(np.float32)


def sightings_of(entries: Sequence[Entry], site: Site = UNKNOWN_PLACE) -> Sightings:
    """Of a gallery's entries, those that are tracklets. Raises DataError where none is."""
    kept = [entry for entry in entries if is_tracklet(entry) and entry.pid is not None]
    if not kept:
        raise DataError("no tracklet of video is there: `resight video add` first")
    clocks = np.array([site.clock_s.get(entry.camera, 0.0) for entry in kept])
    starts = np.array([entry.time for entry in kept], np.float64) + clocks
    ends = np.array([_end(entry) for entry in kept], np.float64) + clocks
    order = np.lexsort((np.array([entry.id for entry in kept]), starts))
    names, cameras = np.unique([entry.camera for entry in kept], return_inverse=True)
    return Sightings(
        np.array([entry.id for entry in kept], np.int64)[order],
        np.array([entry.pid for entry in kept], np.int64)[order],
        tuple(names.tolist()),
        cameras[order].astype(np.int64),
        starts[order],
        np.maximum(ends, starts)[order],
        np.stack([entry.embedding for entry in kept])[order],
        np.array([int(entry.attributes.get("shots", 1)) for entry in kept], np.int64)[order],
    )


def _end(entry: Entry) -> float:
    end = entry.attributes.get("end")
    return float(end) if isinstance(end, int | float) else float(entry.time or 0.0)
