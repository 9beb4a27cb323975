"""Listing a gallery: entries page by page, people with counts, and small pictures of entries."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from resight.core.pictures.thumbnails import thumbnail
from resight.gallery.arguments import top_k_of, whole_of
from resight.gallery.curation.opened import Opened
from resight.gallery.filters import Filter
from resight.gallery.people import root_of
from resight.gallery.records import Entry, Sighting
from resight.gallery.results import names_of


@dataclass(frozen=True)
class Person:
    """One person of the gallery, with links applied.

    pid: which the person is reported as; pids: all that are linked with it. name: the name, or the pid in digits.
    entries: how many; cameras: how many by camera. first, last: seconds since 1970, where any time is known. example:
    the id of the first entry.
    """

    pid: int
    name: str
    pids: tuple[int, ...]
    entries: int
    cameras: dict[str, int]
    first: float | None
    last: float | None
    example: int


class Listing(Opened):
    """The part of Gallery that lists."""

    def entries(self, filter: Filter | None = None, **conditions: Any) -> Iterator[Entry]:
        """Entries that match the filter, by id, with their pictures. Raises ConfigError for a wrong condition."""
        return self.store.scan(self._filter(filter, **conditions))

    def page(self, after: int = 0, limit: int = 50, filter: Filter | None = None, **conditions: Any) -> list[Entry]:
        """The next `limit` entries that match, by id, whose ids are above `after`; without their pictures.

        Entries that are added or deleted meanwhile shift nothing: go on after the last id. Raises ConfigError.
        """
        return self.store.page(self._filter(filter, **conditions), whole_of(after) or 0, top_k_of(limit) or 50)

    def unfinished(self) -> bool:
        """Whether an import or a migration into it has not ended, so that entries are missing."""
        return bool(self.store.unfinished())

    def entry(self, number: int) -> Entry | None:
        """The entry of this id, without its picture; None if there is none, or none of these cameras."""
        return next(iter(self.page(filter=Filter(ids=(whole_of(number) or 0,)))), None)

    def picture(self, number: int, size: tuple[int, int] = (256, 128)) -> bytes | None:
        """The entry's picture as a small JPEG, upright and without metadata; None if none is kept.

        size: at most so high and so wide, in pixels. Raises UnreadableImage if what is kept is no picture.
        """
        entry = next(self.entries(ids=(whole_of(number) or 0,)), None)
        return None if entry is None or entry.crop is None else thumbnail(entry.crop, f"entry {number}", size)

    def people(
        self, after: int | None = None, limit: int = 50, filter: Filter | None = None, **conditions: Any
    ) -> list[Person]:
        """The next `limit` people who have pids, by pid, above the pid `after`. Raises ConfigError."""
        table = self.store.linked()
        links = table.roots
        asked, floor = self._filter(filter, **conditions), whole_of(after)
        roots = {root_of(pid, links) for pid in self.store.pids(asked)}
        wanted = sorted(pid for pid in roots if floor is None or pid > floor)[: top_k_of(limit)]
        members = {pid: table.members_of(pid) for pid in wanted}
        found: dict[int, list[Sighting]] = {pid: [] for pid in wanted}
        for seen in self.store.people(replace(asked, pids=tuple(sorted(set().union(*members.values()))))):
            found[root_of(seen.pid, links)].append(seen)
        there = [pid for pid in wanted if found[pid]]  # others were forgotten meanwhile
        examples = [min(seen.example for seen in found[pid]) for pid in there]
        names = names_of(self.store, self.store.read(sorted(examples)), links)
        return [_person(pid, names.get(pid, str(pid)), members[pid], found[pid]) for pid in there]

    def person(self, pid: int) -> Person | None:
        """The person of this pid, or of one that it is linked with; None if none of their entries is here."""
        return next(iter(self.people(limit=1, pids=(pid,))), None)


def _person(pid: int, name: str, members: Collection[int], seen: list[Sighting]) -> Person:
    cameras: dict[str, int] = {}
    for each in sorted(seen, key=lambda each: each.camera):
        cameras[each.camera] = cameras.get(each.camera, 0) + each.entries
    first = min((each.first for each in seen if each.first is not None), default=None)
    last = max((each.last for each in seen if each.last is not None), default=None)
    example = min(each.example for each in seen)
    return Person(pid, name, tuple(sorted(members)), sum(cameras.values()), cameras, first, last, example)
