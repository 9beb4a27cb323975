"""`resight reproduce`: the reference report's table, over seeds, beside the report's own figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from resight.cli import output
from resight.cli.recipe_options import given, with_recipe_options
from resight.core.errors import ConfigError

if TYPE_CHECKING:
    from resight.training.reproduce import Reproduced, Spread

FIGURES = {
    "report_rank1": "rank-1",
    "report_rank5": "rank-5",
    "report_mean_ap": "mAP",
    "market_rank1": "rank-1",
    "market_mean_ap": "mAP",
    "market_mean_inp": "mINP",
}
NOTE = (
    "The report chose its checkpoints on the very set that it reports, which flatters; ours takes the last "
    "one of each training. `report` is the report's own scoring: the ten nearest, nothing removed, AP divided "
    "by the hits among the ten. `market1501` is the field's. ± is the standard deviation over the seeds."
)


@with_recipe_options
def reproduce(
    data: Annotated[str, typer.Argument(help="The report's data, or any other folder of crops.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the runs and the table go.")] = Path("runs/reproduce"),
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds: 0, 1, ...")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="The recipes' quick forms.")] = False,
    format: Annotated[str | None, typer.Option(help="The data's format, where it is not to be guessed.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first unreadable picture.")] = False,
    **overrides: Any,
) -> None:
    """Trains the report's four models over several seeds and prints its table. Stopped, it resumes.

    Examples:

      resight reproduce synthetic --quick --seeds 2 -o runs/quick

      resight reproduce pku_reid --seeds 3 -o runs/reproduce

      resight reproduce pku_reid --quick --height 128 --width 48 -o runs/short
    """
    from resight.data.formats import open_dataset
    from resight.models.saved import write_whole
    from resight.training.loop import TrainOptions
    from resight.training.recipes import find_recipe
    from resight.training.reproduce import MODELS, reproduce

    chosen = given(overrides)
    recipes = {model: find_recipe(f"{model}-quick" if quick else model, **chosen) for model in MODELS}
    dataset = open_dataset(data, format)
    output.say(str(dataset))
    output.name_problems(dataset.problems)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is not a directory")
    rows = reproduce(
        recipes,
        dataset,
        out,
        range(seeds),
        TrainOptions(device=device, resume=True, strict=strict),
        progress=output.progress,
        on_run=lambda model, seed: output.say(f"training {model}, seed {seed}"),
    )
    if rows is None:
        output.say(f"stopped; the same command goes on from where it was: resight reproduce {data} -o {out}")
        raise typer.Exit(130)
    values = {
        "schema": "resight.reproduction/1",
        "data": str(dataset),
        "note": NOTE,
        "recipes": {model: recipe.to_dict() for model, recipe in recipes.items()},
        "models": [row.to_dict() for row in rows],
    }
    write_whole(out / "reproduction.json", json.dumps(values, indent=2).encode())
    output.console.print(_table(rows, "under `report`", ("report_rank1", "report_rank5", "report_mean_ap"), True))
    print()
    market = ("market_rank1", "market_mean_ap", "market_mean_inp")
    output.console.print(_table(rows, "under `market1501`", market, False))
    output.say(NOTE)
    output.say(f"all figures: {out / 'reproduction.json'}")


def _table(rows: list[Reproduced], heading: str, figures: Sequence[str], reference: bool) -> Table:
    """One line a model, its figures by their names in Reproduced; the report's own below where there are any."""
    from resight.training.reproduce import REPORT

    table = Table(box=None, pad_edge=False)
    table.add_column(heading)
    for figure in figures:
        table.add_column(FIGURES[figure], justify="right", no_wrap=True)
    for row in rows:
        table.add_row(row.model, *(_spread(getattr(row, figure)) for figure in figures))
        if reference:
            told = REPORT[row.model]
            table.add_row("  in the report", *(f"{value:.3f}" for value in (told.rank1, told.rank5, told.mean_ap)))
    return table


def _spread(spread: Spread) -> str:
    return f"{spread.mean:.3f}" if spread.std is None else f"{spread.mean:.3f} ± {spread.std:.3f}"
