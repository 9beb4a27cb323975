"""Filters: which entries a search, a listing or a deletion is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from resight.gallery.people import LinkTable
from resight.gallery.records import Attributes, Value


@dataclass(frozen=True)
class Filter:
    """Selects the entries for which every given condition holds. An empty filter selects all entries.

    after, before: after <= time < before, in seconds since 1970. lasting: with `after`, tracklets of video match too
    that began before and were still seen then (their attribute `end`). untimed: with `before`, entries of unknown time
    match too, and those of this time or later, which is in the future. pids, exclude_pids: with links applied.
    attributes: equal in each of these. An entry whose time, track or pid is unknown does not match a condition on it,
    and is never excluded by it.

    Example:
        >>> from resight.gallery.filters import Filter
        >>> wanted = Filter(cameras=("north", "south"), after=1772352000.0, exclude_tracks=("17",))
        >>> wanted.names()
        ('cameras', 'after', 'exclude_tracks')
    """

    cameras: tuple[str, ...] | None = None
    after: float | None = None
    before: float | None = None
    tracks: tuple[str, ...] | None = None
    exclude_tracks: tuple[str, ...] = ()
    pids: tuple[int, ...] | None = None
    exclude_pids: tuple[int, ...] = ()
    exclude_cameras: tuple[str, ...] = ()
    attributes: Attributes = field(default_factory=dict)
    ids: tuple[int, ...] | None = None
    untimed: float | None = None
    lasting: bool = False

    def names(self) -> tuple[str, ...]:
        """The names of the conditions that are given, without their values: what the audit may record."""
        empty = Filter()
        return tuple(name for name in self.__dataclass_fields__ if getattr(self, name) != getattr(empty, name))

    def within(self, cameras: Sequence[str] | None) -> Filter:
        """The same filter, of entries of these cameras only. None: of all cameras."""
        if cameras is None:
            return self
        wanted = cameras if self.cameras is None else [camera for camera in self.cameras if camera in cameras]
        return replace(self, cameras=tuple(wanted))


EVERY_ENTRY = Filter()
LASTING = "end"  # the attribute of a tracklet of video: when it was seen last


@dataclass(frozen=True)
class AmongTerm:
    """The field is one of these values; with `never`, it is none of them, or unknown."""

    field: Literal["camera", "track", "pid", "id"]
    values: tuple[str, ...] | tuple[int, ...]
    never: bool = False


@dataclass(frozen=True)
class TimeTerm:
    """The time is known and compares so. value: seconds since 1970. untimed: if given, it matches too if it is not
    known, or is this or later. lasting: it matches too if the attribute LASTING is a number, and this or later."""

    relation: Literal[">=", "<"]
    value: float
    untimed: float | None = None
    lasting: bool = False


@dataclass(frozen=True)
class AttributeTerm:
    """The attribute is present and equal."""

    name: str
    value: Value


Term = AmongTerm | TimeTerm | AttributeTerm


def terms_of(filter: Filter, links: LinkTable) -> list[Term]:
    """The filter's conditions, all of which must hold, for a store to write in its engine's language. Each pid stands
    for all pids that are linked with it."""

    def linked(pids: Sequence[int]) -> tuple[int, ...]:
        return tuple(sorted(set().union(*map(links.members_of, pids))))

    terms: list[Term] = []
    if filter.cameras is not None:
        terms.append(AmongTerm("camera", filter.cameras))
    if filter.exclude_cameras:
        terms.append(AmongTerm("camera", filter.exclude_cameras, never=True))
    if filter.after is not None:
        terms.append(TimeTerm(">=", filter.after, lasting=filter.lasting))
    if filter.before is not None:
        terms.append(TimeTerm("<", filter.before, filter.untimed))
    if filter.tracks is not None:
        terms.append(AmongTerm("track", filter.tracks))
    if filter.exclude_tracks:
        terms.append(AmongTerm("track", filter.exclude_tracks, never=True))
    if filter.pids is not None:
        terms.append(AmongTerm("pid", linked(filter.pids)))
    if filter.exclude_pids:
        terms.append(AmongTerm("pid", linked(filter.exclude_pids), never=True))
    if filter.ids is not None:
        terms.append(AmongTerm("id", filter.ids))
    return [*terms, *(AttributeTerm(name, value) for name, value in filter.attributes.items())]
