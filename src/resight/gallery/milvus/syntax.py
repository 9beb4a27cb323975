"""How values are written in Milvus's filter expressions, and the limits of its fields. Needs no driver."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TypeVar

LONGEST_TEXT = 65_535  # bytes of a VARCHAR
MOST_PARTS = 1024  # texts that one picture takes: 48 MB
ASKED_AT_ONCE = 10_000  # ids or keys in one filter
LARGEST_TOP_K = 16_384  # of one search or query of Milvus
LITE = "milvus-lite:"
T = TypeVar("T")


def quoted(value: str | int | float | bool) -> str:
    """A value as a literal. Of JSON's escapes Milvus knows few; it takes other letters as they are."""
    if not isinstance(value, str):
        return json.dumps(value)
    for letter, escaped in (("\\", r"\\"), ('"', r"\""), ("\n", r"\n"), ("\r", r"\r")):
        value = value.replace(letter, escaped)
    return f'"{value}"'


def among(field: str, values: Sequence[str | int]) -> str:
    """The expression that a field is one of the values."""
    return f"{field} in [{', '.join(map(quoted, values))}]"


def in_parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items, as many at a time as one filter may name."""
    for start in range(0, len(items), ASKED_AT_ONCE):
        yield items[start : start + ASKED_AT_ONCE]
