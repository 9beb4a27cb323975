"""How long work tells how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Advance(Protocol):
    """Called as work is done: `done` more units, and a note on how it goes."""

    def __call__(self, done: int, note: str = "") -> None: ...


class Progress(Protocol):
    """Opens one piece of work of `total` units: `with progress("reading", 992) as advance: ...`"""

    def __call__(self, what: str, total: int, start: int = 0) -> AbstractContextManager[Advance]: ...


@contextmanager
def silent(what: str, total: int, start: int = 0) -> Iterator[Advance]:
    """A Progress that tells nobody."""

    def advance(done: int, note: str = "") -> None:
        pass

    yield advance
