"""`resight data split`: divides labelled pictures into train, query and gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.data import tell
from resight.cli.data_export import COLUMN_HELP, columns_of, write
from resight.core.files import check_new_file
from resight.data.splitting import PEOPLE, split_people

FORMAT_HELP = f"The data's format, where it is not to be guessed; `{PEOPLE}`: each sub-folder is a person."


def data_split(
    data: Annotated[str, typer.Argument(help="A table of path, pid and camid, a folder of people, or any data set.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The table: .csv or .parquet; a new file.")],
    test: Annotated[float, typer.Option(help="The share of people to search for: up to 1, which is all.")] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Draws who is searched for, and the queries.")] = 0,
    pictures: Annotated[
        Path | None,
        typer.Option(help="Copy the pictures into this folder; else the table has the paths of where they are."),
    ] = None,
    format: Annotated[str | None, typer.Option(help=FORMAT_HELP)] = None,
    column: Annotated[list[str] | None, typer.Option(metavar="OURS=THEIRS", help=COLUMN_HELP)] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first file that does not fit.")] = False,
) -> None:
    """Divides the pictures of people who are labelled into train, query and gallery: whoever is searched for is not
    trained on, and each query has a match by another camera.

    Folders of people: <person>/<camera>_<anything>.jpg, <person>/cam1/<anything>.jpg or cam1/<person>/<anything>.jpg.

    Examples:

      resight data split people -o mine.csv

      resight data split labels.csv --column path=image --column pid=person_id -o mine.csv --test 0.3

      resight data split people -o test.csv --test 1   # all of them, for a model that was trained elsewhere
    """
    if pictures is None or out.exists():
        check_new_file(out, "--out")
    dataset = split_people(data, test=test, seed=seed, format=format, columns=columns_of(column or ()))
    tell(dataset, strict)
    write(dataset, out, pictures)
    output.say(f"next: resight doctor {out}")
