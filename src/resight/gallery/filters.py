"""What a filter asks, term by term; each store says it in its engine's own words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from resight.gallery.people import Links, members_of
from resight.gallery.records import Value, Where


@dataclass(frozen=True)
class AmongTerm:
    """The field is one of these; with `never`, it is none of them or not known."""

    field: Literal["camera", "track", "pid", "id"]
    values: tuple[str, ...] | tuple[int, ...]
    never: bool = False


@dataclass(frozen=True)
class TimeTerm:
    """The time is known, and as said. value: seconds since 1970."""

    relation: Literal[">=", "<"]
    value: float


@dataclass(frozen=True)
class AttributeTerm:
    """The attribute is there, and equal."""

    name: str
    value: Value


Term = AmongTerm | TimeTerm | AttributeTerm


def terms_of(where: Where, links: Links) -> list[Term]:
    """All of which hold for each entry that is meant. A pid means all that are linked with it."""

    def linked(pids: Sequence[int]) -> tuple[int, ...]:
        return tuple(sorted(set().union(*(members_of(pid, links) for pid in pids))))

    terms: list[Term] = []
    if where.cameras is not None:
        terms.append(AmongTerm("camera", where.cameras))
    if where.exclude_cameras:
        terms.append(AmongTerm("camera", where.exclude_cameras, never=True))
    if where.after is not None:
        terms.append(TimeTerm(">=", where.after))
    if where.before is not None:
        terms.append(TimeTerm("<", where.before))
    if where.tracks is not None:
        terms.append(AmongTerm("track", where.tracks))
    if where.exclude_tracks:
        terms.append(AmongTerm("track", where.exclude_tracks, never=True))
    if where.pids is not None:
        terms.append(AmongTerm("pid", linked(where.pids)))
    if where.exclude_pids:
        terms.append(AmongTerm("pid", linked(where.exclude_pids), never=True))
    if where.ids is not None:
        terms.append(AmongTerm("id", where.ids))
    return [*terms, *(AttributeTerm(name, value) for name, value in where.attributes.items())]
