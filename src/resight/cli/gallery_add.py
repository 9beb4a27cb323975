"""`resight gallery add` and `import`: rows into a gallery, a batch at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.data import open_data
from resight.core.errors import ConfigError, DataError
from resight.data.crops import SPLITS
from resight.data.embeddings import holds_embeddings
from resight.gallery.engines import open_store
from resight.gallery.gallery import Gallery
from resight.gallery.opening import open_with_model
from resight.gallery.transfer.lines import header_of, rows_of_lines
from resight.gallery.transfer.rows import Row, crops_of, rows_of_crops, rows_of_embeddings

Uri = Annotated[
    str, typer.Argument(help="The gallery: a file, or an address such as postgresql://host/database?gallery=name.")
]
Model_ = Annotated[
    str | None,
    typer.Option("--model", "-m", help="The gallery's model, unless it is a packaged one: a run or a bundle."),
]
Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait while another process writes.")]


def add(
    uri: Uri,
    source: Annotated[
        str, typer.Argument(help="A data set, a folder, a file of embeddings, a .jsonl file, or - for lines of JSON.")
    ],
    *,
    model: Model_ = None,
    camera: Annotated[str | None, typer.Option(help="The name of the camera, for all rows.")] = None,
    only_camera: Annotated[
        list[str] | None, typer.Option(help="Add rows of this camera only. May be repeated.")
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="Of a data set: train, query or gallery. May be repeated.")
    ] = None,
    format: Annotated[str | None, typer.Option(help="The format of the data set, if it is not recognised.")] = None,
    unnamed: Annotated[bool, typer.Option("--unnamed", help="Do not store who the pictures show (pids).")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first row that cannot be added.")] = False,
    wait: Wait = 5.0,
) -> None:
    """Adds pictures or embeddings. Rows that cannot be added are named and left out.

    A line: {"path": "a.jpg", "camera": "north", "time": "2026-03-01T08:00:00Z", "track": "17"}.

    In place of `path`: `crop` (the encoded picture, base64), or `embedding` with `model` (its identity).

    Further fields: `pid`, `attributes` and `name`.

    Examples:

      resight gallery add site.db my_data

      camera-process | resight gallery add site.db -
    """
    if source == "-" or source.endswith(".jsonl"):
        if camera is not None or only_camera or split or format:
            raise ConfigError("lines of JSON name their cameras themselves: no --camera, --split or --format")
        rows: Iterator[Row | DataError] = rows_of_lines(_lines_of(source), source)
    else:
        if holds_embeddings(Path(source)):
            found = rows_of_embeddings(Path(source), camera, split or [], not unnamed)
        else:
            dataset = open_data(source, format, strict=False)
            found = rows_of_crops(crops_of(dataset, split or SPLITS), camera, not unnamed)
        rows = (row for row in found if not only_camera or row.camera in only_camera)
    with open_with_model(uri, model, wait_s=wait) as gallery:
        _add_all(gallery, rows, strict)


def import_lines(
    uri: Uri,
    source: Annotated[str, typer.Argument(help="What `resight gallery export` wrote, or - for standard input.")],
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first line that cannot be added.")] = False,
) -> None:
    """Creates a gallery from an export, with its ids and links. It holds the embeddings, so no model is needed."""
    lines = _lines_of(source)
    header = header_of(next(lines, ""), source)
    rows = rows_of_lines(lines, source)
    first, bad = next(rows, None), 0
    while isinstance(first, DataError):  # no gallery is created if there is nothing for it
        if strict:
            raise first
        bad += _name_left_out([str(first)])
        first = next(rows, None)
    if first is None and bad:
        raise DataError("not one row could be added")
    with Gallery(open_store(uri, header.settings, new=True)) as gallery:
        _add_all(gallery, chain([] if first is None else [first], rows), strict, keep_ids=True, left_out=bad)
        for pid, into in header.links:
            gallery.link(pid, into)


def _add_all(
    gallery: Gallery, rows: Iterable[Row | DataError], strict: bool, *, keep_ids: bool = False, left_out: int = 0
) -> None:
    count = 0
    for added in gallery.add_rows(rows, strict=strict, keep_ids=keep_ids):
        count += len(added.ids)
        left_out += _name_left_out(added.left_out)
    output.tell(f"{count:,} added, {left_out:,} left out; {len(gallery):,} entries")
    if left_out and not count:
        raise DataError("not one row could be added")


def _name_left_out(errors: Iterable[str]) -> int:
    """Names the rows that were left out, and counts them."""
    count = 0
    for error in errors:
        output.say(f"left out: {error}")
        count += 1
    return count


def _lines_of(source: str) -> Iterator[str]:
    """The lines of a file, or of standard input for `-`. Raises DataError if the file cannot be opened."""
    if source == "-":
        yield from sys.stdin
        return
    try:
        with Path(source).open(encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as error:
        raise DataError(f"{source}: {error.strerror}") from None
