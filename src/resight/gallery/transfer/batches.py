"""Rows added a batch at a time: what cannot be added is named and left out, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from resight.core.errors import ConfigError, DataError, EmbeddingError, UnreadableImage
from resight.gallery.records import Added, Placed
from resight.gallery.transfer.rows import Row

BATCH = 64  # rows that are committed together: what a kill costs at most
Add = Callable[[Sequence[Row]], Placed]
ADDED = ("ids", "left_out", "there")
T = TypeVar("T")


def in_batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """Lists of `size` items; the last one may be shorter."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def added_in_batches(batches: Iterable[Sequence[Row | DataError]], add: Add, strict: bool) -> Iterator[Added]:
    """Adds the rows with `add`, and yields what became of each batch once it is committed.

    batches: a DataError stands for a row that could not be read. strict: raises the first error instead of leaving a
    row out; rows that were yielded before are kept.
    """
    for batch in batches:
        left_out = [row for row in batch if isinstance(row, DataError)]
        if left_out and strict:
            raise left_out[0]
        added = _added([row for row in batch if isinstance(row, Row)], add, strict)
        yield replace(added, left_out=(*map(str, left_out), *added.left_out))


def _added(rows: Sequence[Row], add: Add, strict: bool) -> Added:
    """Together if all can be; one by one if one cannot."""
    if not rows:
        return Added()
    try:
        placed = add(rows)
        there = set(placed.there)
        return Added(tuple(number for number in placed.ids if number not in there), there=placed.there)
    except (UnreadableImage, ConfigError, EmbeddingError) as error:
        if len(rows) == 1:
            wrong = DataError(f"{rows[0].name or rows[0].place}: {error}")
            if strict:
                raise wrong from None
            return Added((), (str(wrong),))
    parts = [_added([row], add, strict) for row in rows]
    return Added(*(tuple(each for part in parts for each in getattr(part, name)) for name in ADDED))
