"""Rows added a batch at a time: what cannot be added is named and left out, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from resight.core.errors import ConfigError, DataError, EmbeddingError, UnreadableImage
from resight.gallery.records import Added, Entry, Placed
from resight.gallery.transfer.rows import Row

BATCH = 64  # rows that are committed together: what a kill costs at most
WRONG = (UnreadableImage, ConfigError, EmbeddingError)  # of one row
Prepare = Callable[[Sequence[Row]], list[Entry]]
Place = Callable[[Sequence[Entry]], Placed]
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


def added_in_batches(
    batches: Iterable[Sequence[Row | DataError]], prepare: Prepare, place: Place, strict: bool
) -> Iterator[Added]:
    """Adds the rows, and yields what became of each batch once it is committed. Equal rows of one batch are all added.

    batches: a DataError stands for a row that could not be read. prepare: makes entries of rows. place: puts them into
    the gallery. strict: raises the first error instead of leaving a row out; rows that were yielded before are kept.
    """
    for batch in batches:
        left_out = [row for row in batch if isinstance(row, DataError)]
        if left_out and strict:
            raise left_out[0]
        texts = [str(error) for error in left_out]
        entries = _prepared([row for row in batch if isinstance(row, Row)], prepare, strict, texts)
        yield _placed(entries, place, strict, texts)


def _prepared(rows: Sequence[Row], prepare: Prepare, strict: bool, left_out: list[str]) -> list[tuple[Row, Entry]]:
    """Together if all can be; one by one if one cannot, which is named in left_out."""
    if not rows:
        return []
    try:
        return list(zip(rows, prepare(rows), strict=True))
    except WRONG as error:
        if len(rows) == 1:
            left_out.append(str(_error_of(rows[0], error, strict)))
            return []
    return [pair for row in rows for pair in _prepared([row], prepare, strict, left_out)]


def _placed(entries: Sequence[tuple[Row, Entry]], place: Place, strict: bool, left_out: Sequence[str]) -> Added:
    """As `_prepared`."""
    try:
        placed = place([entry for _, entry in entries])
        there = set(placed.there)
        return Added(tuple(number for number in placed.ids if number not in there), tuple(left_out), placed.there)
    except WRONG as error:
        if len(entries) == 1:
            return Added((), (*left_out, str(_error_of(entries[0][0], error, strict))))
    parts = [_placed([pair], place, strict, ()) for pair in entries]
    ids, more, known = ([each for part in parts for each in getattr(part, name)] for name in ADDED)
    return Added(tuple(ids), (*left_out, *more), tuple(known))


def _error_of(row: Row, error: Exception, strict: bool) -> DataError:
    """The error that names the row. Raises it if strict."""
    wrong = DataError(f"{row.name or row.place}: {error}")
    if strict:
        raise wrong from None
    return wrong
