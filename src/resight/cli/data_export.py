"""`resight data export`: writes a data set as a table, and its pictures as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.data import tell
from resight.core.errors import ConfigError
from resight.core.files import check_absent, check_folder_of, is_same
from resight.data.crops import Dataset
from resight.data.formats.catalogue import open_dataset

COLUMN_HELP = "What a table calls a column, as pid=person_id. Can be given again."


def data_export(
    data: Annotated[str, typer.Argument(help="A folder of crops, a manifest, or `synthetic`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The table: .csv or .parquet.")],
    pictures: Annotated[
        Path | None,
        typer.Option(help="Copy the pictures into this folder; else the table has the paths of where they are."),
    ] = None,
    format: Annotated[str | None, typer.Option(help="The data's format, where it is not to be guessed.")] = None,
    column: Annotated[list[str] | None, typer.Option(metavar="OURS=THEIRS", help=COLUMN_HELP)] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first file that does not fit.")] = False,
) -> None:
    """Writes a data set as a manifest, a table of path, pid, camid, split and what else is known, which every verb
    reads.

    Examples:

      resight data export Market-1501-v15.09.15 -o market.csv

      resight data export synthetic -o city/manifest.parquet --pictures city/pictures

      resight data export theirs.csv --column path=image --column pid=person_id -o ours.csv
    """
    if pictures is None:
        check_folder_of(out, "--out")
    if is_same(out, Path(data)):
        raise ConfigError(f"--out: {out} is what is read; name another file")
    check_absent(out, "--out")
    dataset = open_dataset(data, format, columns=columns_of(column or ()))
    tell(dataset, strict)
    write(dataset, out, pictures)


def columns_of(given: Sequence[str]) -> dict[str, str]:
    """What --column says. Raises ConfigError for another form, or one of ours named twice."""
    columns: dict[str, str] = {}
    for text in given:
        ours, _, theirs = (part.strip() for part in text.partition("="))
        if not (ours and theirs) or ours in columns:
            raise ConfigError(f"--column takes OURS=THEIRS, each of ours once, as pid=person_id, not {text!r}")
        columns[ours] = theirs
    return columns


def write(dataset: Dataset, out: Path, pictures: Path | None) -> None:
    """Writes the table, and says where it is."""
    from resight.data.formats.manifest import write_manifest

    out.parent.mkdir(parents=True, exist_ok=True)
    problems = write_manifest(dataset, out, pictures, output.progress)
    output.name_problems(problems)
    output.console.print(str(out), soft_wrap=True)
