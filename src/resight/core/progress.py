"""How long work tells how far it is, without knowing who listens; and one that listens, for people."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

LOG_EVERY_S = 10.0


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


def is_main_process() -> bool:
    """Of those that torchrun started, the one that talks."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def progress_bar(what: str, total: int, start: int = 0) -> Iterator[Advance]:
    """A Progress on stderr: a bar on a terminal, and in a log a line now and then.

    Example:
        >>> with progress_bar("counting", 3) as advance:
        ...     for _ in range(3):
        ...         advance(1)
    """
    if not is_main_process():
        yield _silent
        return
    if sys.stderr.isatty():
        with _bar(what, total, start) as advance:
            yield advance
    else:
        yield _log_lines(what, total, start)


def _silent(done: int, note: str = "") -> None:
    pass


@contextmanager
def _bar(what: str, total: int, start: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, completed=start, note="")

        def advance(done: int, note: str = "") -> None:
            bar.update(task, advance=done, note=note)

        yield advance


def _log_lines(what: str, total: int, start: int) -> Advance:
    total_done, said_at = start, time.monotonic()

    def advance(done: int, note: str = "") -> None:
        nonlocal total_done, said_at
        total_done += done
        if time.monotonic() - said_at >= LOG_EVERY_S:
            said_at = time.monotonic()
            sys.stderr.write(f"{what}: {total_done:,} of {total:,} {note}".rstrip() + "\n")

    return advance
