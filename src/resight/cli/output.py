"""What the verbs print: results on stdout, everything else on stderr."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from resight.core.progress import Advance
from resight.data.crops import Problem
from resight.evaluation.evaluate import Evaluation

LOG_EVERY_S = 10.0
console = Console(highlight=False)
err_console = Console(stderr=True, highlight=False)


def is_main_process() -> bool:
    """Of those that torchrun started, the one that talks."""
    return os.environ.get("RANK", "0") == "0"


def say(text: str) -> None:
    """A line for the user that is no result."""
    if not is_main_process():
        return
    err_console.print(text, markup=False, soft_wrap=True)


def print_wide(table: Table) -> None:
    """A result, cut to the width of a terminal, and whole where a program or a file takes it."""
    if console.is_terminal:
        console.print(table)
    else:
        Console(highlight=False, width=1000).print(table)


def fail(text: str) -> None:
    """One readable paragraph."""
    err_console.print(f"[bold red]error:[/] {escape(text)}", soft_wrap=True)


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """In place of `warnings.showwarning`: a line, without the place in the code."""
    say(f"warning: {message}")


def name_problems(problems: Sequence[Problem], most: int = 5) -> None:
    """Says how many pictures were left out, and names the first."""
    if not problems:
        return
    say(f"{len(problems)} picture(s) left out:")
    for problem in problems[:most]:
        say(f"  {problem.name}: {problem.reason}")
    if len(problems) > most:
        say(f"  and {len(problems) - most} more")


@contextmanager
def progress(what: str, total: int, start: int = 0) -> Iterator[Advance]:
    """A bar on a terminal; in a log, a line now and then."""
    if err_console.is_terminal and is_main_process():
        with _bar(what, total, start) as advance:
            yield advance
    else:
        with _log_lines(what, total, start) as advance:
            yield advance


@contextmanager
def _bar(what: str, total: int, start: int) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=err_console, transient=True) as bar:
        task = bar.add_task(what, total=total, completed=start, note="")

        def advance(done: int, note: str = "") -> None:
            bar.update(task, advance=done, note=note)

        yield advance


@contextmanager
def _log_lines(what: str, total: int, start: int) -> Iterator[Advance]:
    total_done, said_at = start, time.monotonic()

    def advance(done: int, note: str = "") -> None:
        nonlocal total_done, said_at
        total_done += done
        if time.monotonic() - said_at >= LOG_EVERY_S:
            said_at = time.monotonic()
            say(f"{what}: {total_done:,} of {total:,} {note}".rstrip())

    yield advance


INTERVALS = "in brackets: 95% bootstrap intervals over the queries"


def counts(evaluation: Evaluation) -> str:
    """What was counted, under which protocol."""
    return (
        f"{evaluation.protocol}: {evaluation.num_scored:,} of {evaluation.num_query:,} queries scored "
        f"({evaluation.num_skipped:,} without a match skipped), {evaluation.num_gallery:,} gallery pictures, "
        f"{evaluation.num_junk:,} junk rows left out"
    )


def escape(text: str) -> str:
    """So that rich takes brackets for brackets."""
    return text.replace("[", r"\[")
