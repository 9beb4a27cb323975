"""Options that were renamed: in this version the old names still work, with a warning, and are not in the help."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from resight.cli import output

RENAMED = {"--at-least": "--min-similarity", "--top": "--top-k", "--keep": "--older-than", "--metric": "--distance"}


class RenamedOptions(TyperCommand):
    """A command that takes the old names of its options, unless it has an option of that name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {name for parameter in self.params for name in parameter.opts}
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, [*(_current(word, known) for word in args[:end]), *args[end:]])


def _current(word: str, known: set[str]) -> str:
    old, equals, value = word.partition("=")
    new = RENAMED.get(old)
    if new is None or old in known or new not in known:
        return word
    output.say(f"warning: {old} is called {new} now; version 0.2 drops the old name")
    return new + equals + value
