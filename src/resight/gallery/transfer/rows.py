"""Rows to add to a gallery, of data sets and of files of embeddings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from resight.core.errors import ConfigError, DataError, EmbeddingError, unknown_name
from resight.core.pictures.cells import NOTHING
from resight.core.records import DISTRACTOR_PID
from resight.data.crops import SPLITS, Crop, Dataset
from resight.data.embeddings import read_rows
from resight.data.labels import camera_names
from resight.embedding.card import is_model, short_of
from resight.gallery.arguments import camera_of
from resight.gallery.people import person_label
from resight.gallery.records import Settings


@dataclass(frozen=True, eq=False)
class Row:
    """One row to add: a picture, or an embedding with the identity of its model.

    facts: `time`, `track`, `pid`, `person`, `attributes` and `id`, as far as they are known; they are checked when it
    is added. place: what to call the row in a message, if it has no name.
    """

    name: str
    camera: str
    picture: Crop | None = None
    embedding: Any = None
    model: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    place: str = ""


def crops_of(dataset: Dataset, splits: Sequence[str] = SPLITS) -> list[Crop]:
    """The crops of some splits. Raises ConfigError for an unknown one."""
    for split in splits:
        if split not in SPLITS:
            raise unknown_name("split", split, SPLITS)
    return [crop for split in splits for crop in getattr(dataset, split)]


def rows_of_crops(crops: Iterable[Crop], camera: str | None = None, with_pids: bool = True) -> Iterator[Row]:
    """A row for each crop, of the data's own names, so that a person or a camera is the same whichever data show it.
    Distractors and people without identity (pids 0 and -1) have no pid.

    camera: a name for all, in place of the data's. Raises ConfigError if it is none.
    """
    camera = None if camera is None else camera_of(camera)
    crops = list(crops)
    people = {crop.person for crop in crops if crop.person is not None}
    for crop, where in zip(crops, camera_names(crops), strict=True):
        facts = {"time": crop.time, "track": crop.track}
        if with_pids:
            facts |= who_of(crop.pid, crop.person, people)
        yield Row(crop.name, camera or where, crop, facts=facts)


def who_of(pid: int, person: str | None, people: Collection[str]) -> dict[str, Any]:
    """The facts about a person of data: `pid`, or `person` by name, or neither. people: all names of the data."""
    if pid <= DISTRACTOR_PID:
        return {}
    return {"pid": pid} if person is None else {"person": person_label(person, people)}


def rows_of_embeddings(
    path: Path, camera: str | None = None, splits: Sequence[str] = (), with_pids: bool = True
) -> Iterator[Row | DataError]:
    """A row for each row of a file of embeddings, as `resight embed` writes it; a DataError in place of one whose
    picture shows nothing. camera: as in `rows_of_crops`.

    Raises DatasetError if it cannot be read, ConfigError if neither it nor `camera` tells the camera.
    """
    camera = None if camera is None else camera_of(camera)
    found = read_rows(path)
    if camera is None and ((found.camids < 0) & (found.cameras == "")).any():
        raise ConfigError(
            f"{path} does not say which camera each of its crops is from, in camid or camera; name one for all with "
            "--camera (camera=)"
        )
    people, cameras = set(found.persons.tolist()) - {""}, found.camera_names
    for row in range(len(found.vectors)):
        if splits and str(found.splits[row]) not in splits:
            continue
        if found.blank[row]:
            yield DataError(f"{found.names[row]}: {NOTHING}")
            continue
        person = str(found.persons[row]) or None
        facts = who_of(int(found.pids[row]), person, people) if with_pids else {}
        facts |= {"track": str(found.tracks[row])} if found.tracks[row] else {}
        facts |= {} if np.isnan(found.times[row]) else {"time": float(found.times[row])}
        yield Row(str(found.names[row]), camera or cameras[row], None, found.vectors[row], found.model, facts)


def columns_of(rows: Sequence[Row], made: Sequence[Any], settings: Settings, keep_ids: bool) -> dict[str, Any]:
    """The rows as `embeddings` and the arguments of `entries_of`. made: the embeddings of those that have pictures, in
    order.

    Raises EmbeddingError if an embedding is of another model than the gallery's, UnreadableImage if a picture that is
    to be stored cannot be read, ConfigError if a row has neither a picture nor an embedding.
    """
    if any(row.embedding is None and row.picture is None for row in rows):
        raise ConfigError("a row needs a picture or an embedding")
    named = {row.model for row in rows if row.embedding is not None}
    if foreign := {model for model in named if not is_model(model, settings.model)}:
        if "" in foreign:
            raise EmbeddingError(
                "it is not said which model the embedding is of: give the model's identity as `model`, as `resight "
                f"embed` does; the gallery is of {settings.model}"
            )
        if any(model.startswith(f"{settings.model}+") for model in foreign):
            raise EmbeddingError(
                "an embedding that a site transform has changed: a gallery keeps them as the model gave them, without "
                "--site, and applies its own transform"
            )
        raise EmbeddingError(f"an embedding of a model {short_of(min(foreign))}; the gallery is of {settings.model}")
    embeddings = iter(made)
    return {
        "embeddings": [row.embedding if row.embedding is not None else next(embeddings) for row in rows],
        "camera": [row.camera for row in rows],
        "time": [row.facts.get("time") for row in rows],
        "track": [row.facts.get("track") for row in rows],
        "pid": [row.facts.get("pid") for row in rows],
        "person": [row.facts.get("person") for row in rows],
        "attributes": [row.facts.get("attributes") or {} for row in rows],
        "names": [row.name for row in rows],
        "crops": [row.picture.read() if settings.keep_crops and row.picture else None for row in rows],
        "ids": [row.facts.get("id") or 0 for row in rows] if keep_ids else None,
    }
