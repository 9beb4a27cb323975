"""Forgetting: what a deletion would be about, and the deletion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from resight.gallery.arguments import forgotten_of, renamed_arguments, seen_until
from resight.gallery.curation.listing import Listing
from resight.gallery.filters import Filter
from resight.gallery.people import root_of
from resight.gallery.records import Forgotten
from resight.gallery.transfer.copies import places_of

AT_ONCE = 1000  # entries that are looked at for their times


@dataclass(frozen=True)
class ToForget:
    """What a deletion would be about. people: how many of those who have pids. cameras: how many entries by camera.
    untimed: how many entries a condition on time cannot judge, which would stay. first, last: seconds since 1970, where
    any time is known and it was asked for."""

    entries: int
    people: int
    cameras: Mapping[str, int]
    untimed: int
    first: float | None = None
    last: float | None = None


class Forgetting(Listing):
    """The part of Gallery that forgets."""

    @renamed_arguments(keep="older_than")
    def forget(
        self,
        *,
        older_than: Any = None,
        untimed: bool = False,
        filter: Filter | None = None,
        who: str | None = None,
        purpose: str | None = None,
        **conditions: Any,
    ) -> Forgotten:
        """Deletes the entries that match the filter, with all traces of them, and audits it without saying whom.

        older_than: a period in seconds, or a timedelta: entries whose time is further back. untimed: counts entries of
        no time, or of one days ahead of now, as old too; otherwise what is returned says how many there are, and also
        which traces of deleted entries are left in the gallery's files, and which copies of it `migrate` made. At least
        one condition is needed.

        Raises ConfigError for a wrong condition or none, GalleryError if the store fails; nothing is deleted then.
        """
        wanted = self._forgotten(older_than, untimed, filter, conditions)
        gone = self.store.remove(wanted, *self._caller(who, purpose))
        self._names.clear()  # they may be of who is gone
        gone = replace(gone, copies=places_of(self.store))
        return replace(gone, untimed=self._untimed(wanted))

    def to_forget(
        self,
        *,
        older_than: Any = None,
        untimed: bool = False,
        filter: Filter | None = None,
        times: bool = True,
        **conditions: Any,
    ) -> ToForget:
        """Counts what `forget` with the same arguments would delete, and deletes nothing. times: whether to look at the
        times too, which reads the entries.

        Raises ConfigError for a wrong condition or none.

        Example:
            >>> import numpy as np, resight
            >>> gallery = resight.open_gallery("counted.db", resight.load("city"), new=True)
            >>> rows = np.eye(2, gallery.settings.dim, dtype=np.float32)
            >>> ids = gallery.add_embeddings(rows, model=gallery.settings.model, camera="north", pid=[1, 2])
            >>> gallery.to_forget(pid=1).entries, len(gallery)
            (1, 2)
        """
        wanted = self._forgotten(older_than, untimed, filter, conditions)
        known = self.store.stats().cameras if self.cameras is None else self.cameras
        counts = {camera: self.store.count(wanted.within([camera])) for camera in known}
        cameras = {camera: number for camera, number in counts.items() if number}
        roots = self.store.linked().roots
        people = len({root_of(pid, roots) for pid in self.store.pids(wanted)})
        entries, unjudged = self.store.count(wanted), self._untimed(wanted)
        return ToForget(entries, people, cameras, unjudged, *(self._times(wanted) if times else (None, None)))

    def _forgotten(
        self, older_than: Any, untimed: bool, filter: Filter | None, conditions: Mapping[str, Any]
    ) -> Filter:
        return forgotten_of(filter, older_than, seen_until() if untimed else None, conditions).within(self.cameras)

    def _untimed(self, wanted: Filter) -> int:
        """How many entries a condition on time could not judge."""
        if wanted.untimed is not None or (wanted.before is None and wanted.after is None):
            return 0
        return self.store.count_untimed(wanted, seen_until())

    def _times(self, wanted: Filter) -> tuple[float | None, float | None]:
        """The earliest and the latest time of the entries that match."""
        times: list[float] = []
        last = 0
        while page := self.store.page(wanted, last, AT_ONCE):
            times = [*times[:1], *times[-1:], *(entry.time for entry in page if entry.time is not None)]
            times = [min(times), max(times)] if times else []
            last = page[-1].id
        return (times[0], times[1]) if times else (None, None)
