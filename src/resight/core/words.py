"""Numbers and nouns in messages."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 picture`, `2,000 pictures`. many: where it is not `one` with an s, as with a verb: `1 query has`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
