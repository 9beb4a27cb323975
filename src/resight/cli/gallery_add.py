"""`resight gallery add` and `import`: rows into a gallery, a batch at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from resight.cli import output
from resight.cli.gallery_input import Row, crops_of, open_lines, rows_of_crops, rows_of_embeddings, rows_of_lines
from resight.core.errors import ConfigError, DataError, EmbeddingError, ResightError, UnreadableImage
from resight.data.embeddings import holds_embeddings
from resight.embedding.card import short_of
from resight.embedding.loading import load
from resight.embedding.packaged import packaged_bundle, packaged_models
from resight.gallery.gallery import Gallery, open_gallery
from resight.gallery.place import told_place
from resight.gallery.records import Settings
from resight.gallery.stores import open_store

BATCH = 64  # rows that are kept together: what a kill costs at the most
Place = Annotated[str, typer.Argument(help="The gallery: a file, or an address as postgresql://host/database.")]
Model_ = Annotated[str | None, typer.Option("--model", "-m", help="A bundle, or a packaged model's name.")]
Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait while another process writes.")]


def add(
    place: Place,
    source: Annotated[
        str, typer.Argument(help="A data set, a folder, a file of embeddings, a .jsonl file, or - for lines.")
    ],
    *,
    model: Model_ = None,
    camera: Annotated[str | None, typer.Option(help="The camera's name, for all.")] = None,
    only_camera: Annotated[list[str] | None, typer.Option(help="Only those of this camera. May be repeated.")] = None,
    split: Annotated[list[str] | None, typer.Option(help="Of a data set: train, query or gallery. Repeatable.")] = None,
    format: Annotated[str | None, typer.Option(help="The data's format, where it is not to be guessed.")] = None,
    unnamed: Annotated[bool, typer.Option("--unnamed", help="Do not take over who the pictures show.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first row that cannot be added.")] = False,
    wait: Wait = 5.0,
) -> None:
    """Adds pictures or embeddings. Rows that cannot be are named and left out.

    A line of JSON: {"path": "a.jpg", "camera": "north", "time": "2026-03-01T08:00:00Z", "track": "17"}; or `crop`
    (base64), or `embedding` with `model` (its identity); and `pid`, `attributes`, `name`.

    Examples:

      resight gallery add site.db my_data

      camera-process | resight gallery add site.db -
    """
    if source == "-" or source.endswith(".jsonl"):
        if camera is not None or only_camera or split or format:
            raise ConfigError("lines of JSON name their cameras themselves")
        rows: Iterator[Row | DataError] = rows_of_lines(open_lines(source), source)
    else:
        if holds_embeddings(Path(source)):
            found = rows_of_embeddings(source, camera, split or [], not unnamed)
        else:
            found = rows_of_crops(crops_of(source, format, split or []), camera, not unnamed)
        rows = (row for row in found if not only_camera or row.camera in only_camera)
    with opened(place, model, wait=wait) as gallery:
        _add_all(gallery, rows, strict)


def import_lines(
    place: Place,
    source: Annotated[str, typer.Argument(help="What `resight gallery export` wrote, or - for standard input.")],
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first line that cannot be added.")] = False,
) -> None:
    """Makes a gallery of what `export` wrote, ids and links included. No model is needed: the embeddings are in it."""
    lines = open_lines(source)
    try:
        header = json.loads(next(lines, ""))
        settings = Settings(**header["gallery"])
        links = [(int(link["pid"]), int(link["into"])) for link in header.get("links", [])]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataError(f"{source}: its first line is not that of `resight gallery export`") from None
    kinds_fit = all(type(getattr(settings, field.name)).__name__ == field.type for field in fields(settings))
    if not kinds_fit or settings.dim < 1:
        raise DataError(f"{source}: its first line is not what `resight gallery export` wrote: {settings}")
    rows = rows_of_lines(lines, source)
    first, bad = next(rows, None), 0
    while isinstance(first, DataError):  # no gallery is made where there is nothing for it
        bad += _left_out(first, strict)
        first = next(rows, None)
    if first is None and bad:
        raise DataError("not one row could be added")
    with Gallery(open_store(place, settings, new=True)) as gallery:
        _add_all(gallery, chain([] if first is None else [first], rows), strict, keep_ids=True)
        for pid, into in links:
            gallery.link(pid, into)


@contextmanager
def opened(
    place: str, model: str | None, *, wait: float = 5.0, who: str | None = None, purpose: str = ""
) -> Iterator[Gallery]:
    """The gallery with its model: the one named, or the packaged one whose embeddings it holds."""
    with open_gallery(place, wait_s=wait) as gallery:
        settings = gallery.settings
    if model is None:
        fitting = (name for name in packaged_models() if packaged_bundle(name).manifest.identity == settings.model)
        model = next(fitting, None)
    if model is None:
        named = f"{settings.model_name} ({short_of(settings.model)})"
        raise ConfigError(
            f"{told_place(place)} is of the model {named}, which is not packaged; name its bundle: --model"
        )
    with open_gallery(place, load(model), wait_s=wait, who=who, purpose=purpose) as gallery:
        yield gallery


def _add_all(gallery: Gallery, rows: Iterator[Row | DataError], strict: bool, *, keep_ids: bool = False) -> None:
    added, problems = 0, 0
    for batch in _batches(rows):
        for bad in (row for row in batch if isinstance(row, DataError)):
            problems += _left_out(bad, strict)
        kept, wrong = _add_batch(gallery, [row for row in batch if isinstance(row, Row)], strict, keep_ids)
        added, problems = added + kept, problems + wrong
    print(f"{added:,} added, {problems:,} left out; {len(gallery):,} entries")
    if problems and not added:
        raise DataError("not one row could be added")


def _batches(rows: Iterator[Row | DataError]) -> Iterator[list[Row | DataError]]:
    batch: list[Row | DataError] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


def _add_batch(gallery: Gallery, rows: list[Row], strict: bool, keep_ids: bool) -> tuple[int, int]:
    """How many were added and how many left out. Together where all can be; one by one where one cannot."""
    if not rows:
        return 0, 0
    try:
        return len(_add_rows(gallery, rows, keep_ids)), 0
    except (UnreadableImage, ConfigError, EmbeddingError) as error:
        if len(rows) == 1:
            return 0, _left_out(DataError(f"{rows[0].name}: {error}"), strict)
    kept = [_add_batch(gallery, [row], strict, keep_ids) for row in rows]
    return sum(added for added, _ in kept), sum(wrong for _, wrong in kept)


def _add_rows(gallery: Gallery, rows: list[Row], keep_ids: bool) -> list[int]:
    pictures = [row.picture for row in rows if row.embedding is None and row.picture]
    made = iter(gallery.needed_model().embed([picture.read() for picture in pictures]) if pictures else ())
    model = gallery.settings.model
    foreign = {row.model for row in rows if row.embedding is not None} - {model}
    if foreign:
        name = short_of(min(foreign)) or "that is not named"
        raise EmbeddingError(f"an embedding of a model {name}; the gallery is of {short_of(model)}")
    keep = gallery.settings.keep_crops
    return gallery.add_embeddings(
        [row.embedding if row.embedding is not None else next(made) for row in rows],
        model=model,
        camera=[row.camera for row in rows],
        time=[row.facts.get("time") for row in rows],
        track=[row.facts.get("track") for row in rows],
        pid=[row.facts.get("pid") for row in rows],
        attributes=[row.facts.get("attributes") or {} for row in rows],
        names=[row.name for row in rows],
        crops=[row.picture.read() if keep and row.picture else None for row in rows],
        ids=[row.facts.get("id") or 0 for row in rows] if keep_ids else None,
    )


def _left_out(error: ResightError, strict: bool) -> int:
    if strict:
        raise error
    output.say(f"left out: {error}")
    return 1
