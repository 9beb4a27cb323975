"""`resight reproduce`: the reference paper's table, over seeds, beside the paper's own figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from resight.cli import output
from resight.cli.data import open_data
from resight.cli.recipe_options import given, with_recipe_options
from resight.core.errors import ConfigError

if TYPE_CHECKING:
    from resight.data.crops import Dataset
    from resight.report.page import Table as PageTable
    from resight.training.reproduce import Reproduced, Spread

NOTE = (
    "The paper chose its checkpoints on the very set that it reports, which flatters; ours takes the last "
    "one of each training. `top10` is the paper's own scoring: the ten nearest, nothing removed, AP divided "
    "by the hits among the ten. `market1501` is the field's. ± is the standard deviation over the seeds."
)
PAGE, LISTS = "reproduction.html", "ranked-lists.html"


@with_recipe_options
def reproduce(
    data: Annotated[str, typer.Argument(help="The paper's data, or any other folder of crops.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the runs and the table go.")] = Path("runs/reproduce"),
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds: 0, 1, ...")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="The recipes' quick forms.")] = False,
    format: Annotated[str | None, typer.Option(help="The data's format, where it is not to be guessed.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first unreadable picture.")] = False,
    **overrides: Any,
) -> None:
    """Trains the paper's four models over several seeds and prints its table; leaves figures and pages to look at.

    Stopped at any moment, the same command goes on: a finished run stays as it is, the one under way continues from
    its last checkpoint, and more seeds may be asked for later. At full length (200 epochs) one seed of all four on
    `pku_reid` shows 1.4 million pictures: some two and a half hours of two cores that compute in bfloat16. Each
    twentieth of a training is scored on query and gallery for the record only: it tells what choosing a checkpoint by
    the test set flatters.

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
    tables = _tables(rows)
    for place, table in enumerate(tables):
        if place:
            output.tell()
        output.print_wide(_printed(table))
    _write_pages(out, dataset, rows, tables)
    output.say(f"{seeds} seed(s). " + output.counts(rows[0].top10[0]))
    output.say(output.counts(rows[0].market[0]))
    output.say(NOTE)
    output.say(f"all figures, each run with its 95% intervals over the queries: {out / 'reproduction.json'}")
    output.say(f"the pages, to look at: {out / PAGE}, {out / LISTS}")


def _tables(rows: Sequence[Reproduced]) -> list[PageTable]:
    """Both protocols', and what choosing by the test set would flatter, where that was recorded."""
    from resight.report.page import Table
    from resight.training.reproduce import PUBLISHED

    report: list[tuple[str, ...]] = []
    for row in rows:
        told = PUBLISHED[row.model]
        report.append((row.model, *map(_spread, row.top10_spreads().values())))
        report.append(("  in the paper", *(f"{value:.3f}" for value in (told.rank1, told.rank5, told.mean_ap))))
    tables = [
        Table("under `top10`", ("", *rows[0].top10_spreads()), tuple(report)),
        Table("under `market1501`", ("", *rows[0].market_spreads()), _lines(rows, "market_spreads")),
    ]
    recorded = [row for row in rows if row.choice_spreads()]
    if recorded:
        headings = ("", *(recorded[0].choice_spreads() or {}))
        tables.append(Table("mAP under `top10`, by checkpoint", headings, _lines(recorded, "choice_spreads")))
    return tables


def _lines(rows: Sequence[Reproduced], spreads: str) -> tuple[tuple[str, ...], ...]:
    return tuple((row.model, *map(_spread, getattr(row, spreads)().values())) for row in rows)


def _printed(table: PageTable) -> Table:
    printed = Table(box=None, pad_edge=False)
    printed.add_column(table.caption)
    for heading in table.headings[1:]:
        printed.add_column(heading, justify="right", no_wrap=True)
    for row in table.rows:
        printed.add_row(*row)
    return printed


def _write_pages(out: Path, dataset: Dataset, rows: Sequence[Reproduced], tables: Sequence[PageTable]) -> None:
    """The tables with the course of each training, and beside it the ranked lists of two models, first seed."""
    from resight.core.files import write_whole
    from resight.evaluation.compare import compare
    from resight.report.compare import ComparedModel, comparison_page
    from resight.report.reproduction import reproduction_page

    told = {row.model: [(told.epochs, told.mean_ap) for told in row.told if told.epochs] for row in rows}
    write_whole(out / PAGE, reproduction_page(str(dataset), NOTE, tables, told, LISTS).encode())
    first, second = rows[0], rows[-1]  # not sliced, and sliced
    pairs = [(row.embedded.query, row.embedded.gallery) for row in (first, second)]
    query, gallery = ({crop.name: crop for crop in crops} for crops in (dataset.query, dataset.gallery))
    page = comparison_page(
        f"{first.model} and {second.model}, seed {first.seeds[0]}",
        [str(dataset)],
        (ComparedModel(first.model, *pairs[0]), ComparedModel(second.model, *pairs[1])),
        [compare(pairs[0], pairs[1], protocol) for protocol in ("market1501", "top10")],
        [query[name] for name in pairs[0][0].names],
        [gallery[name] for name in pairs[0][1].names],
    )
    write_whole(out / LISTS, page.encode())


def _spread(spread: Spread) -> str:
    return f"{spread.mean:.3f}" if spread.std is None else f"{spread.mean:.3f} ± {spread.std:.3f}"
