"""What the verbs print: results on stdout, everything else on stderr."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table

from resight.core.progress_bar import is_main_process, progress_bar
from resight.data.crops import Problem
from resight.evaluation.evaluate import Evaluation

console = Console(highlight=False)
err_console = Console(stderr=True, highlight=False)
progress = progress_bar  # what the verbs hand to long work


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
