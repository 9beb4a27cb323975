"""Rows added a batch at a time: what cannot be added is named and left out, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TypeVar

from resight.core.errors import ConfigError, DataError, EmbeddingError, UnreadableImage
from resight.gallery.records import Added, Entry, Placed
from resight.gallery.transfer.rows import Row

BATCH = 64  # rows that are committed together: what a kill costs at most
WRONG = (UnreadableImage, ConfigError, EmbeddingError)  # of one row
Prepare = Callable[[Sequence[Row]], list[Entry]]
Place = Callable[[Sequence[Entry]], Placed]
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
        outcomes: dict[int, int | str] = {}
        for place_of, row in enumerate(batch):
            if isinstance(row, DataError):
                if strict:
                    raise row
                outcomes[place_of] = str(row)
        rows = [(place_of, row) for place_of, row in enumerate(batch) if isinstance(row, Row)]
        there = _placed(_prepared(rows, prepare, strict, outcomes), place, strict, outcomes)
        yield _added([outcomes[place_of] for place_of in range(len(batch))], there)


def _added(outcomes: Sequence[int | str], there: Collection[int]) -> Added:
    numbers = [each for each in outcomes if isinstance(each, int)]
    left_out = tuple(each for each in outcomes if isinstance(each, str))
    fresh = tuple(number for number in numbers if number not in there)
    return Added(fresh, left_out, tuple(number for number in numbers if number in there), tuple(outcomes))


def _prepared(
    rows: Sequence[tuple[int, Row]], prepare: Prepare, strict: bool, outcomes: dict[int, int | str]
) -> list[tuple[int, Row, Entry]]:
    """Together if all can be; one by one if one cannot, which is named in outcomes, by its place in the batch."""
    if not rows:
        return []
    try:
        entries = prepare([row for _, row in rows])
        return [(place_of, row, entry) for (place_of, row), entry in zip(rows, entries, strict=True)]
    except WRONG as error:
        if len(rows) == 1:
            outcomes[rows[0][0]] = str(error_of(rows[0][1], error, strict))
            return []
    return [each for row in rows for each in _prepared([row], prepare, strict, outcomes)]


def _placed(
    entries: Sequence[tuple[int, Row, Entry]], place: Place, strict: bool, outcomes: dict[int, int | str]
) -> set[int]:
    """As `_prepared`; the ids go to outcomes. Returns those that were there before."""
    try:
        placed = place([entry for _, _, entry in entries])
    except WRONG as error:
        if len(entries) != 1:
            return set().union(*(_placed([each], place, strict, outcomes) for each in entries))
        outcomes[entries[0][0]] = str(error_of(entries[0][1], error, strict))
        return set()
    outcomes |= {place_of: number for (place_of, _, _), number in zip(entries, placed.ids, strict=True)}
    return set(placed.there)


def error_of(row: Row, error: Exception, strict: bool) -> DataError:
    """The error that names the row, of one of WRONG. Raises it if strict."""
    why = error.reason if isinstance(error, UnreadableImage) else error  # without its name: the row's is told
    wrong = DataError(f"{row.name or row.place}: {why}")
    if strict:
        raise wrong from None
    return wrong
