"""Numbers and nouns in messages."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 picture`, `2,000 pictures`. many: where it is not `one` with an s, as with a verb: `1 query has`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def first_of(names: Sequence[str], most: int) -> str:
    """`a, b and 1,998 more`: the first names, and how many are not shown."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown
