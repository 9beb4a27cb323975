"""`resight demo`: trains two models on the synthetic city, measures them, and leaves a page to look at."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from resight.cli import output
from resight.core.errors import ConfigError
from resight.core.visibility import THIRDS
from resight.evaluation.intervals import format_figure

if TYPE_CHECKING:
    from resight.evaluation.evaluate import Evaluation
    from resight.training.demo import DemoResult

RECIPES = ("baseline-aug-quick", "slicenet2-quick")
RANK1_ALIKE = "rank-1, look-alikes"
EXPLANATION = (
    "Every picture is drawn by code; nobody in it exists. Each query was searched among the gallery of the "
    "test people, none of whom was seen in training, under the market1501 protocol: pictures of the same "
    "person by the same camera do not count. Look-alikes are pairs of people who differ in one region only. "
    "Where a third of each query is painted over, the sliced network's pictures can be compared by the strips that "
    "are seen, which one embedding of the whole cannot. One seed was trained, so none of this shows how much another "
    "would differ.",
)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the runs and the page go.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Of the training; the city stays the same.")] = 0,
) -> None:
    """Trains Baseline-AUG and SliceNet2 on a city drawn by code, and shows what training and slicing do.

    Takes under five minutes on two cores. Nothing is downloaded; no real person is shown.

    Example:

      resight demo -o demo
    """
    from resight.core.files import write_whole
    from resight.data.city.synthetic import CityConfig, draw_city, lookalikes
    from resight.training.demo import run_demo

    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is not a directory")
    output.say("drawing the city")
    config = CityConfig()
    city = draw_city(config)
    output.say(str(city))
    result = run_demo(city, lookalikes(config), out, RECIPES, seed=seed, progress=output.progress, say=output.say)
    if result is None:
        output.say(f"stopped; the same command goes on from where it was: resight demo -o {out}")
        raise typer.Exit(130)
    write_whole(out / "figures.json", json.dumps(result.to_dict(), indent=2).encode())
    write_whole(out / "index.html", _page(result).encode())
    output.console.print(_table(result))
    output.console.print()
    output.console.print(_hidden_table(result))
    output.say(output.counts(result.measured[0].evaluation))
    output.say(output.INTERVALS)
    output.say(f"the ranked lists, to look at: {out / 'index.html'}")


def _table(result: DemoResult) -> Table:
    """What fits a terminal; the page has the rest."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", "rank-1", "mAP", "rank-1, alike"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for row in result.measured:
        cells = _cells(row.evaluation, row.of_lookalikes)
        table.add_row(row.name, *(cells[heading] for heading in ("rank-1", "mAP", RANK1_ALIKE)))
    return table


def _hidden_rows(result: DemoResult, *, intervals: bool) -> list[tuple[str, ...]]:
    """A row a network and way of comparing: rank-1 with each third of every query hidden."""
    rows = []
    for name, found in result.hidden.items():
        for way, told in (("plain", ""), ("mask", ", by strips seen")):
            of_way = {row.hidden: row for row in found if row.compared == way}
            thirds = [of_way[third] for third in THIRDS if third in of_way]
            if thirds:
                cells = [format_figure(row.rank1, row.rank1_interval if intervals else None) for row in thirds]
                rows.append((name + told, *cells, format_figure(fmean(row.rank1 for row in thirds))))
    return rows


def _hidden_table(result: DemoResult) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, heading in enumerate(("rank-1 with a third hidden:", *THIRDS, "mean")):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    for row in _hidden_rows(result, intervals=False):
        table.add_row(*row)
    return table


def _cells(evaluation: Evaluation, of_lookalikes: Evaluation | None) -> dict[str, str]:
    """By the heading of their column."""
    return {
        **evaluation.cells(),
        RANK1_ALIKE: format_figure(of_lookalikes.rank(1) if of_lookalikes else None),
        "mAP, look-alikes": format_figure(of_lookalikes.mean_ap if of_lookalikes else None),
    }


def _page(result: DemoResult) -> str:
    from resight.evaluation.compare import compare
    from resight.report.compare import ComparedModel, comparison_page
    from resight.report.page import Table

    trained = result.measured[-len(RECIPES) :]
    pairs = [(measured.embedded.query, measured.embedded.gallery) for measured in trained]
    first, second = (ComparedModel(m.name, *pair) for m, pair in zip(trained, pairs, strict=True))
    cells = [_cells(m.evaluation, m.of_lookalikes) for m in result.measured]
    rows = tuple((m.name, *row.values()) for m, row in zip(result.measured, cells, strict=True))
    return comparison_page(
        "resight demo: the same person, seen by another camera",
        EXPLANATION,
        (first, second),
        [compare(pairs[0], pairs[1])],
        result.query,
        result.gallery,
        more_tables=[
            Table("All that was measured", ("", *cells[0]), rows),
            Table(
                "Rank-1 with a third of each query painted over",
                ("", *THIRDS, "mean"),
                tuple(_hidden_rows(result, intervals=True)),
            ),
        ],
    )
