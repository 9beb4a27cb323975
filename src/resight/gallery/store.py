"""What a gallery needs of the place that keeps its entries: the one interface, whatever the engine behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from resight.core.records import FloatArray
from resight.gallery.audit import Line
from resight.gallery.records import Damage, Entry, Findings, Forgotten, Link, Settings, Stats, Where

Detail = Mapping[str, str | int | float | bool | None]


class Store(Protocol):
    """A kept gallery. When a call that changes it returns, the change outlives the process; until then nothing of it
    is seen. Every method raises GalleryError, or GalleryBusy where another writer kept it waiting too long."""

    @property
    def settings(self) -> Settings:
        """As it was created."""
        ...

    def add(self, entries: Sequence[Entry]) -> list[int]:
        """All or none of them; their ids, which are never given again. An entry that has an id keeps it."""
        ...

    def search(self, queries: FloatArray, top: int | None, where: Where, at_least: float | None) -> Findings:
        """The most alike first, by id where equal; an answer for each of (q, dim)."""
        ...

    def count(self) -> int:
        """How many entries there are."""
        ...

    def read(self, ids: Sequence[int]) -> list[Entry]:
        """Those that are there, in the order asked for."""
        ...

    def scan(self, where: Where) -> Iterator[Entry]:
        """All that are meant, by id, crops included, in bounded memory."""
        ...

    def remove(self, where: Where, who: str, purpose: str) -> Forgotten:
        """Removes them, and writes the audit's line in the same change."""
        ...

    def link(self, pid: int, into: int, who: str, purpose: str) -> int:
        """From now on the two are one person, told as `into`; the link's number. Raises where they are one already."""
        ...

    def unlink(self, number: int, who: str, purpose: str) -> None:
        """Undoes a link. Raises GalleryError where there is none of that number."""
        ...

    def links(self) -> tuple[Link, ...]:
        """Those that hold, in order."""
        ...

    def write_line(self, action: str, who: str, purpose: str, detail: Detail) -> None:
        """Appends to the audit."""
        ...

    def lines(self) -> Iterator[Line]:
        """The audit, in order."""
        ...

    def stats(self) -> Stats:
        """Counts."""
        ...

    def verify(self) -> Iterator[Damage]:
        """Looks at every row and at the audit's chain."""
        ...

    def compact(self) -> None:
        """Gives freed space back."""
        ...

    def close(self) -> None:
        """The store is not used afterwards."""
        ...
