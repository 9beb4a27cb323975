"""Rows added a batch at a time: what cannot be added is named and left out, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from resight.core.errors import ConfigError, DataError, EmbeddingError, UnreadableImage
from resight.gallery.records import Added
from resight.gallery.transfer.rows import Row

BATCH = 64  # rows that are committed together: what a kill costs at most
Add = Callable[[Sequence[Row]], list[int]]
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


def added_in_batches(rows: Iterable[Row | DataError], add: Add, strict: bool) -> Iterator[Added]:
    """Adds the rows with `add`, and yields what became of each batch once it is committed.

    rows: a DataError stands for a row that could not be read. strict: raises the first error instead of leaving a row
    out; rows that were yielded before are kept.
    """
    for batch in in_batches(rows):
        left_out = [row for row in batch if isinstance(row, DataError)]
        if left_out and strict:
            raise left_out[0]
        added = _added([row for row in batch if isinstance(row, Row)], add, strict)
        yield Added(added.ids, (*map(str, left_out), *added.left_out))


def _added(rows: Sequence[Row], add: Add, strict: bool) -> Added:
    """Together if all can be; one by one if one cannot."""
    if not rows:
        return Added()
    try:
        return Added(tuple(add(rows)))
    except (UnreadableImage, ConfigError, EmbeddingError) as error:
        if len(rows) == 1:
            wrong = DataError(f"{rows[0].name}: {error}")
            if strict:
                raise wrong from None
            return Added((), (str(wrong),))
    parts = [_added([row], add, strict) for row in rows]
    return Added(tuple(n for part in parts for n in part.ids), tuple(text for part in parts for text in part.left_out))
