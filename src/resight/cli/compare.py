"""`resight compare`: two models side by side, and where one beats the other."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.cells import cell_len
from rich.table import Table

from resight.cli import output
from resight.cli.data import open_data
from resight.cli.models import MODEL_HELP
from resight.cli.sites import at_site, open_site, tell_unknown
from resight.core.errors import ConfigError, DataError
from resight.core.files import check_folder_of
from resight.core.words import counted
from resight.gallery.store import without_password

if TYPE_CHECKING:
    from resight.core.records import EmbeddedCrops
    from resight.data.crops import Crop, Dataset
    from resight.embedding.model import Model
    from resight.evaluation.compare import Comparison
    from resight.report.compare import ComparedModel

NAME_WIDTH = 14


def compare(
    first: Annotated[Path, typer.Argument(help=MODEL_HELP)],
    second: Annotated[Path, typer.Argument(help="The other model, named in the same way.")],
    data: Annotated[str, typer.Argument(help="A folder of crops, a manifest, or `synthetic`.")],
    first_site: Annotated[
        str | None, typer.Option(help="A site, or a gallery that has one: applied to the first model's embeddings.")
    ] = None,
    second_site: Annotated[str | None, typer.Option(help="The same of the second model.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the page goes.")] = Path("compare.html"),
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(help="As for evaluate; all of them unless given. The ranked lists follow the first."),
    ] = None,
    queries: Annotated[int, typer.Option(min=1, help="The largest number of queries in the page.")] = 300,
    format: Annotated[str | None, typer.Option(help="The data's format, where it is not to be guessed.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first unreadable picture.")] = False,
) -> None:
    """Compares two models, and writes a page: metrics with their paired difference, CMC curves, and each model's
    answers to each query.

    Examples:

      resight compare runs/baseline runs/slicenet2 my_data -o compare.html

      resight compare runs/a runs/b synthetic --protocol market1501 --json compare.json

      resight compare default default my_data --second-site my.site
    """
    from resight.core.files import write_whole
    from resight.embedding.loading import load
    from resight.report.compare import ComparedModel, comparison_page

    for option, path in (("--out", out), ("--json", json_file)):
        if path is not None:
            check_folder_of(path, option, first, second, data, first_site, second_site)
    names = _names(first, second, first_site, second_site)
    models = [load(path, device=device) for path in (first, second)]
    sites = [open_site(spec, model) for spec, model in zip((first_site, second_site), models, strict=True)]
    dataset = open_data(data, format, strict)
    both = [model.embed_dataset(dataset, strict=strict, progress=output.progress) for model in models]
    output.name_problems(both[0].problems)
    output.name_blank(both[0].blank)
    embedded = []
    for side, site in zip(both, sites, strict=True):
        pair = side.query, side.gallery
        if site is not None:
            tell_unknown(site, *(side.camera_names for side in pair))
        embedded.append(pair if site is None else (at_site(site, pair[0]), at_site(site, pair[1])))
    comparisons = _comparisons(embedded, protocol, seed)
    lists_by = comparisons[0].first.protocol
    sides = [
        _explain(name, model, dataset, pair, lists_by) if site is None else ComparedModel(name, *pair)
        for name, model, pair, site in zip(names, models, embedded, sites, strict=True)
    ]
    _print(names, comparisons, sides)
    if json_file is not None:
        values = {
            "schema": "resight.comparison/1",
            "data": str(dataset),
            "models": [
                {
                    "name": name,
                    "path": str(path),
                    "model_identity": model.identity,
                    "site": site.identity if site else None,
                }
                for name, path, model, site in zip(names, (first, second), models, sites, strict=True)
            ],
            "comparisons": [comparison.to_dict() for comparison in comparisons],
            "without_a_strip": {side.name: side.faithful.to_dict() for side in sides if side.faithful},
        }
        write_whole(json_file, json.dumps(values, indent=2).encode())
    page = comparison_page(
        f"{names[0]} and {names[1]}",
        [str(dataset)],
        (sides[0], sides[1]),
        comparisons,
        _crops_of(dataset.query, sides[0].query),
        _crops_of(dataset.gallery, sides[0].gallery),
        most=queries,
    )
    write_whole(out, page.encode())
    output.say(f"the page, to look at: {out}")


def _names(first: Path, second: Path, first_site: str | None, second_site: str | None) -> tuple[str, str]:
    """As short as they can be and still differ. Raises ConfigError where both are one."""
    if first_site != second_site:
        named = [
            path.resolve().name + ("" if site is None else f" at {Path(without_password(site)).name}")
            for path, site in ((first, first_site), (second, second_site))
        ]
        if named[0] != named[1]:
            return named[0], named[1]
    one, other = first.resolve().parts, second.resolve().parts
    for number in range(1, max(len(one), len(other)) + 1):
        short = "/".join(one[-number:]), "/".join(other[-number:])
        if short[0] != short[1]:
            return short
    raise ConfigError(f"{first} and {second} are one and the same model")


def _comparisons(
    embedded: Sequence[tuple[EmbeddedCrops, EmbeddedCrops]], protocol: list[str] | None, seed: int
) -> list[Comparison]:
    """Under each protocol asked for; where none is, under each that scores anything."""
    from resight.evaluation.compare import compare as compare_embeddings
    from resight.evaluation.protocols import PROTOCOLS

    found: list[Comparison] = []
    last: DataError | None = None
    for name in protocol or PROTOCOLS:
        try:
            found.append(compare_embeddings(embedded[0], embedded[1], name, seed=seed))
        except DataError as error:
            if protocol:
                raise
            output.say(f"left out: {error}")
            last = error
    if not found and last is not None:
        raise last
    return found


def _explain(
    name: str,
    model: Model,
    dataset: Dataset,
    embedded: tuple[EmbeddedCrops, EmbeddedCrops],
    protocol: str,
) -> ComparedModel:
    """With what its strips did, where it has any."""
    from resight.embedding.explain import equal_strips, measure_faithfulness
    from resight.evaluation.parts.strips import strip_importance
    from resight.report.compare import ComparedModel

    slices = equal_strips(model.parts)
    if slices == 1:
        return ComparedModel(name, *embedded)

    importance = strip_importance(*embedded, slices, protocol)
    faithful = measure_faithfulness(
        model,
        _crops_of(dataset.query, embedded[0]),
        _crops_of(dataset.gallery, embedded[1]),
        *embedded,
        importance,
        protocol,
        progress=output.progress,
    )
    return ComparedModel(name, *embedded, slices, importance, faithful)


def _crops_of(crops: Sequence[Crop], embedded: EmbeddedCrops) -> list[Crop]:
    """Those that were embedded, in that order."""
    by_name = {crop.name: crop for crop in crops}
    return [by_name[name] for name in embedded.names]


def _print(names: tuple[str, str], comparisons: list[Comparison], sides: Sequence[ComparedModel]) -> None:
    """What fits a terminal; the page and the JSON have each model's own intervals too."""
    from resight.evaluation.compare import LEAST_PEOPLE
    from resight.evaluation.metrics import METRICS
    from resight.report.compare import difference_cells, strips_table

    for comparison in comparisons:
        rows = []
        for name, difference in comparison.differences.items():
            signed, p, noise = difference_cells(difference)
            both = (f"{value:.3f}" for value in comparison.figures(name))
            rows.append((METRICS[name].title, *both, signed, p, noise and "noise"))
        people = f"{comparison.first.protocol}, {counted(comparison.num_people, 'person', 'people')}"
        _print_table(people, ("", *names, "difference", "p", ""), rows)
    for side in sides:
        if side.faithful:
            table = strips_table(side.name, side.faithful, comparisons[0].first.protocol)
            _print_table(table.caption, table.headings, table.rows)
    for comparison in comparisons:
        output.say(output.counts(comparison.first))
    output.say(
        "difference: second less first, with its 95% interval; p: paired bootstrap over people; noise: p above 0.05"
    )
    fewest = min(comparison.num_people for comparison in comparisons)
    if fewest < LEAST_PEOPLE:
        output.say(
            f"of {counted(fewest, 'person', 'people')} no difference can be told from noise: it takes "
            f"{LEAST_PEOPLE} at the least"
        )


def _print_table(caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, title=caption, title_justify="left")
    for column, heading in enumerate(map(folded, headings)):  # long names of models are broken; figures never
        width = max([*map(cell_len, heading.splitlines()), *(cell_len(row[column]) for row in rows)], default=0)
        table.add_column(heading, justify="right" if column else "left", width=width, overflow="fold")
    for row in rows:
        table.add_row(*row)
    output.console.print(table)


def folded(heading: str) -> str:
    """In lines of NAME_WIDTH at most, broken after a space, a dash or the like where there is one."""
    lines = [""]
    for piece in re.findall(r"[^-_/. ]*[-_/. ]|[^-_/. ]+", heading):
        for start in range(0, len(piece), NAME_WIDTH):
            part = piece[start : start + NAME_WIDTH]
            if lines[-1] and len(lines[-1]) + len(part.rstrip()) > NAME_WIDTH:
                lines.append("")
            lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)
