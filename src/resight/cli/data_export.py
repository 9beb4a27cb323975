"""`resight data export`: writes a data set as a table, and its pictures as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.data import open_data
from resight.core.files import check_folder_of


def data_export(
    data: Annotated[str, typer.Argument(help="A folder of crops, a manifest, or `synthetic`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The table: .csv or .parquet.")],
    pictures: Annotated[
        Path | None,
        typer.Option(help="Copy the pictures into this folder; else the table has the paths of where they are."),
    ] = None,
    format: Annotated[str | None, typer.Option(help="The data's format, where it is not to be guessed.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first file that does not fit.")] = False,
) -> None:
    """Writes a data set as a manifest, a table of path, pid, camid, split and what else is known, which every verb
    reads.

    Examples:

      resight data export Market-1501-v15.09.15 -o market.csv

      resight data export synthetic -o city/manifest.parquet --pictures city/pictures
    """
    from resight.data.formats.manifest import write_manifest

    if pictures is None:
        check_folder_of(out, "--out")
    dataset = open_data(data, format, strict)
    out.parent.mkdir(parents=True, exist_ok=True)
    problems = write_manifest(dataset, out, pictures, output.progress)
    output.name_problems(problems)
    output.console.print(str(out), soft_wrap=True)
