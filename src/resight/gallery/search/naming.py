"""Who it is, if it is anybody: the few people that a search which is not sure leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from resight.gallery.records import Hit

MOST_NAMED = 3  # more of them say little
LOOKED_AT = 64  # hits, where those that were asked for do not reach far enough


def reaches(hits: Sequence[Hit], asked: int | None, margin: float) -> bool:
    """Whether the hits hold all that are within the margin of the first. asked: how many were asked for; None: all."""
    return asked is None or len(hits) < asked or hits[-1].similarity < hits[0].similarity - margin


def named(hits: Sequence[Hit], asked: int | None, margin: float, who: Callable[[Hit], str]) -> tuple[str, ...]:
    """The people of the hits within the margin of the first, nearest first; empty where there are more than MOST_NAMED,
    or more hits than were asked for might name others."""
    least = hits[0].similarity - margin
    people = tuple(dict.fromkeys(who(hit) for hit in hits if hit.similarity >= least))
    return people if len(people) <= MOST_NAMED and reaches(hits, asked, margin) else ()
