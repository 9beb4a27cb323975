"""Verbs that are imported when they are called, so that each starts as fast as what it needs itself."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

Verbs = Mapping[str, "str | type[LazyGroup]"]  # module:function below `resight.cli`, or a group, by name


class LazyGroup(TyperGroup):
    """A group whose verbs are named, not imported. help_text: of a group in a group."""

    verbs: ClassVar[Verbs] = {}
    help_text: ClassVar[str] = ""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.verbs)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = self.verbs.get(cmd_name)
        if found is None:
            return None
        return _command(cmd_name, found) if isinstance(found, str) else _group(cmd_name, found)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """With a suggestion for a name that is none, as for options; typer looks among commands that are imported."""
        close = get_close_matches(args[0], list(self.verbs)) if args and args[0] not in self.verbs else []
        if close and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {', '.join(map(repr, close))}?")
        return super().resolve_command(ctx, args)


def _command(name: str, place: str) -> Any:
    from resight.cli.renamed import RenamedOptions

    module, function = place.split(":")
    one = typer.Typer(**options_of(TyperGroup))
    act = getattr(import_module(f"resight.cli.{module}"), function)
    one.command(name, cls=RenamedOptions if module.startswith(("gallery", "evaluate")) else TyperCommand)(act)
    return get_command(one)


def _group(name: str, group: type[LazyGroup]) -> Any:
    one = typer.Typer(**options_of(group), name=name, help=group.help_text)
    one.callback()(lambda: None)
    found = get_command(one)
    found.name = name
    return found


def options_of(cls: type[TyperGroup]) -> dict[str, Any]:
    """What every group and verb is made with."""
    return {
        "cls": cls,
        "no_args_is_help": True,
        "add_completion": False,
        "pretty_exceptions_enable": False,
        "rich_markup_mode": "rich",
        "context_settings": {"help_option_names": ["-h", "--help"]},
    }
