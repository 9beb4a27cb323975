"""`resight data export`: a data set as a table, and its pictures as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.data import open_data
from resight.core.errors import ConfigError


def data_export(
    data: Annotated[str, typer.Argument(help="A folder of crops, a manifest, or `synthetic`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The table: .csv or .parquet.")],
    pictures: Annotated[
        Path | None, typer.Option(help="Copy the pictures into this folder; else the table leads to where they are.")
    ] = None,
    format: Annotated[str | None, typer.Option(help="The data's format, where it is not to be guessed.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first file that does not fit.")] = False,
) -> None:
    """Writes path, pid, camid, split and what else is known as a manifest that every verb reads again.

    Examples:

      resight data export Market-1501-v15.09.15 -o market.csv

      resight data export synthetic -o city/manifest.parquet --pictures city/pictures
    """
    from resight.data.formats.manifest import write_manifest

    if not out.parent.is_dir() and pictures is None:
        raise ConfigError(f"--out: the folder {out.parent} does not exist")
    dataset = open_data(data, format, strict)
    out.parent.mkdir(parents=True, exist_ok=True)
    problems = write_manifest(dataset, out, pictures, output.progress)
    output.name_problems(problems)
    output.console.print(str(out), soft_wrap=True)
