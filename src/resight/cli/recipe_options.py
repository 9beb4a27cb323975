"""One command-line option for each field of Recipe, so that the two cannot disagree."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Annotated, Any

import typer

from resight.training.recipe import Recipe

TYPES: Mapping[str, type] = {"int": int, "float": float, "bool": bool, "str": str}


def with_recipe_options(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb with an option for each field in place of its `**overrides`; None where it was not given."""
    signature = inspect.signature(verb, eval_str=True)
    parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    for field in fields(Recipe):
        option = typer.Option(help=field.metadata["help"], rich_help_panel="The recipe's fields")
        annotation: Any = Annotated[TYPES[str(field.type)] | None, option]
        parameters.append(
            inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        )
    verb.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    verb.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return verb


def given(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Those fields that the user set."""
    return {name: value for name, value in overrides.items() if value is not None}
