"""What the verbs print: results on stdout, everything else on stderr."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from resight.core.progress import is_main_process, progress_bar
from resight.core.times import format_time, names_zone, parse_time

if TYPE_CHECKING:
    from resight.data.crops import Problem
    from resight.evaluation.evaluate import Evaluation

progress = progress_bar  # what the verbs hand to long work
# What moves the cursor, colours, hides or turns round the text after it; half of a pair of UTF-16.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


class _TextConsole(Console):
    """Text is text: no brackets, emoji names or control characters in it mean anything."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)


console = _TextConsole()
err_console = _TextConsole(stderr=True)


def visible(text: str) -> str:
    """The text with its control characters written out, as \\x1b; ends of lines and tabs stay."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def write_any_character() -> None:
    """What standard output and error have no sign for is written out, and ends no command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def tell(text: str = "") -> None:
    """A line of a result."""
    sys.stdout.write(visible(text) + "\n")


def say(text: str) -> None:
    """A line for the user that is no result."""
    if not is_main_process():
        return
    err_console.print(text, soft_wrap=True)


def moment(option: str, text: str | None) -> float | None:
    """Seconds since 1970 of a time that was typed; where it names no zone, it is said what it is in UTC. Raises
    ConfigError."""
    if text is None:
        return None
    seconds = parse_time(text)
    if not names_zone(text):
        taken = f"names no zone, and is taken as this machine's local time: {format_time(seconds)}"
        say(f"note: {option} {text} {taken}")
    return seconds


def same_command(option: str) -> str:
    """What was called, with one more option, to be pasted into a shell."""
    words = sys.argv[1:]
    return shlex.join(["resight", *words, *([] if option in words else [option])])


def print_wide(table: Table) -> None:
    """A result, cut to the width of a terminal, and whole where a program or a file takes it."""
    if console.is_terminal:
        console.print(table)
    else:
        _TextConsole(width=1000).print(table)


def fail(text: str) -> None:
    """One readable paragraph."""
    err_console.print(Text.assemble(("error:", "bold red"), " ", visible(text)), soft_wrap=True)


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
        say(f"  {problem.name}: {problem.reason}".replace("\n", "\\n"))
    if len(problems) > most:
        say(f"  and {len(problems) - most} more")


def name_blank(blank: Sequence[str], done: str = "scored") -> None:
    """Says how many pictures show nothing and are scored, or whatever is done, all the same, and names the first."""
    if blank:
        say(f"{len(blank):,} picture(s) show nothing and are {done} like others: {', '.join(blank[:5])}")


INTERVALS = "in brackets: 95% intervals over the queries"


def counts(evaluation: Evaluation) -> str:
    """What was counted, under which protocol."""
    return (
        f"{evaluation.protocol}: {evaluation.num_scored:,} of {evaluation.num_query:,} queries scored "
        f"({evaluation.num_skipped:,} without a match skipped), {evaluation.num_gallery:,} gallery pictures, "
        f"{evaluation.num_junk:,} junk rows left out"
    )
