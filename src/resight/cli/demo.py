"""`resight demo`: trains two models on the synthetic city, measures them, and leaves a page to look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli import output
from resight.core.errors import ConfigError

if TYPE_CHECKING:
    from resight.training.demo import DemoResult

MODELS = ("baseline-aug", "slicenet2")


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the runs and the page go.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Of the training; the city is the same.")] = 0,
) -> None:
    """Trains Baseline-AUG and SliceNet2 on a city drawn by code, and shows what training and slicing do.

    Takes under five minutes on two cores. Nothing is downloaded; no real person is shown.

    Example:

      resight demo -o demo
    """
    from resight.data.synthetic import CityConfig, draw_city
    from resight.models.saved import write_whole
    from resight.training.demo import run_demo

    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is not a directory")
    output.say("drawing the city")
    city = draw_city(CityConfig())
    output.say(str(city))
    result = run_demo(city, out, seed, MODELS, output.progress, output.say)
    if result is None:
        output.say(f"stopped; the same command goes on from where it was: resight demo -o {out}")
        raise typer.Exit(130)
    write_whole(out / "figures.json", json.dumps(result.to_dict(), indent=2).encode())
    write_whole(out / "index.html", page(result).encode())
    output.console.print(_table(result))
    output.say(f"look at the ranked lists: {out / 'index.html'}")
