"""Rows to add to a gallery, of data sets and of files of embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resight.core.errors import ConfigError, EmbeddingError, unknown_name
from resight.data.crops import SPLITS, Crop, Dataset
from resight.data.embeddings import read_rows
from resight.embedding.card import short_of
from resight.gallery.arguments import camera_of
from resight.gallery.records import Settings


@dataclass(frozen=True, eq=False)
class Row:
    """One row to add: a picture, or an embedding with the identity of its model.

    name: for messages, and the entry's unless the facts have another. facts: `time`, `track`, `pid`, `attributes`, `id`
    and `name`, as far as they are known; they are checked when it is added.
    """

    name: str
    camera: str
    picture: Crop | None = None
    embedding: Any = None
    model: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def crops_of(dataset: Dataset, splits: Sequence[str] = SPLITS) -> list[Crop]:
    """The crops of some splits. Raises ConfigError for an unknown one."""
    for split in splits:
        if split not in SPLITS:
            raise unknown_name("split", split, SPLITS)
    return [crop for split in splits for crop in getattr(dataset, split)]


def rows_of_crops(crops: Iterable[Crop], camera: str | None = None, with_pids: bool = True) -> Iterator[Row]:
    """A row for each crop. camera: a name for all, in place of the data's camid. Raises ConfigError if it is none."""
    camera = None if camera is None else camera_of(camera)
    for crop in crops:
        facts = {"time": crop.time, "track": crop.track, "pid": crop.pid if with_pids and crop.pid >= 0 else None}
        yield Row(crop.name, camera or str(crop.camid), crop, facts=facts)


def rows_of_embeddings(
    path: Path, camera: str | None = None, splits: Sequence[str] = (), with_pids: bool = True
) -> Iterator[Row]:
    """A row for each row of a file of embeddings, as `resight embed` writes it. camera: as in `rows_of_crops`.

    Raises DatasetError if it cannot be read, ConfigError if neither it nor `camera` tells the camera.
    """
    camera = None if camera is None else camera_of(camera)
    found = read_rows(path)
    if camera is None and (found.camids < 0).any():
        raise ConfigError(f"{path} does not say which camera its crops are from; name it with --camera (camera=)")
    for row in range(len(found.vectors)):
        if splits and str(found.splits[row]) not in splits:
            continue
        pid = int(found.pids[row])
        facts = {"pid": pid if with_pids and pid >= 0 else None}
        where = camera or str(int(found.camids[row]))
        yield Row(str(found.names[row]), where, None, found.vectors[row], found.model, facts)


def columns_of(rows: Sequence[Row], made: Sequence[Any], settings: Settings, keep_ids: bool) -> dict[str, Any]:
    """The rows as arguments of `Gallery.add_embeddings`. made: the embeddings of those that have pictures, in order.

    Raises EmbeddingError if an embedding is of another model than the gallery's, UnreadableImage if a picture that is
    to be stored cannot be read.
    """
    foreign = {row.model for row in rows if row.embedding is not None} - {settings.model}
    if foreign:
        name = short_of(min(foreign)) or "that is not named"
        raise EmbeddingError(f"an embedding of a model {name}; the gallery is of {short_of(settings.model)}")
    embeddings = iter(made)
    return {
        "embeddings": [row.embedding if row.embedding is not None else next(embeddings) for row in rows],
        "model": settings.model,
        "camera": [row.camera for row in rows],
        "time": [row.facts.get("time") for row in rows],
        "track": [row.facts.get("track") for row in rows],
        "pid": [row.facts.get("pid") for row in rows],
        "attributes": [row.facts.get("attributes") or {} for row in rows],
        "names": [row.facts.get("name", row.name) for row in rows],
        "crops": [row.picture.read() if settings.keep_crops and row.picture else None for row in rows],
        "ids": [row.facts.get("id") or 0 for row in rows] if keep_ids else None,
    }
