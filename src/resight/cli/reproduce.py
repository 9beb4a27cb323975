"""`resight reproduce`: the reference report's table, over seeds, beside the report's own figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from resight.cli import output
from resight.cli.data import open_data
from resight.cli.recipe_options import given, with_recipe_options
from resight.core.errors import ConfigError

if TYPE_CHECKING:
    from resight.training.reproduce import Spread

NOTE = (
    "The report chose its checkpoints on the very set that it reports, which flatters; ours takes the last "
    "one of each training. `top10` is the report's own scoring: the ten nearest, nothing removed, AP divided "
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
    from resight.core.files import write_whole
    from resight.training.loop import TrainOptions
    from resight.training.recipes import find_recipe
    from resight.training.reproduce import MODELS, reproduce

    chosen = given(overrides)
    recipes = {model: find_recipe(f"{model}-quick" if quick else model, **chosen) for model in MODELS}
    dataset = open_data(data, format, strict)
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
    output.print_wide(_table({row.model: row.report_spreads() for row in rows}, "under `top10`", reference=True))
    output.tell()
    output.print_wide(_table({row.model: row.market_spreads() for row in rows}, "under `market1501`"))
    output.say(f"{seeds} seed(s). " + output.counts(rows[0].report[0]))
    output.say(output.counts(rows[0].market[0]))
    output.say(NOTE)
    output.say(f"all figures, each run with its 95% intervals over the queries: {out / 'reproduction.json'}")


def _table(rows: Mapping[str, Mapping[str, Spread]], heading: str, *, reference: bool = False) -> Table:
    """One line a model; with `reference`, what the report gives for it below."""
    from resight.training.reproduce import REPORT

    table = Table(box=None, pad_edge=False)
    table.add_column(heading)
    for figure in next(iter(rows.values())):
        table.add_column(figure, justify="right", no_wrap=True)
    for model, spreads in rows.items():
        table.add_row(model, *(_spread(spread) for spread in spreads.values()))
        if reference:
            told = REPORT[model]
            table.add_row("  in the report", *(f"{value:.3f}" for value in (told.rank1, told.rank5, told.mean_ap)))
    return table


def _spread(spread: Spread) -> str:
    return f"{spread.mean:.3f}" if spread.std is None else f"{spread.mean:.3f} ± {spread.std:.3f}"
