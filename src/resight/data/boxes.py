"""Market-1501's layout, which others follow: folders bounding_box_train/, query/ and bounding_box_test/, whose file
names tell person and camera."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from resight.core.errors import DatasetError
from resight.data.crops import Crop, Dataset, Problem
from resight.data.listing import list_entries, picture_files

SPLITS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
NO_PERSON = "-1"  # a box that a detector drew around no person
PEEKED = 50  # names that are looked at to tell the formats of this layout apart


@dataclass(frozen=True)
class BoxNames:
    """How one data set names its files.

    pattern: has the groups pid and camera, and may have sequence and frame. example: one such name. shape: the names'
    form, in words. unpacked: the folders that its archives unpack to. splits: the folder of each split.
    """

    name: str
    pattern: re.Pattern[str]
    example: str
    shape: str
    rights: str
    unpacked: tuple[str, ...] = ()
    splits: Mapping[str, str] = field(default_factory=lambda: SPLITS)


def looks_like_boxes(root: Path, names: BoxNames) -> bool:
    """Whether any of the first files of a split are named in this way. Raises DatasetError where a folder cannot be
    read."""
    base = _base(root, names)
    folders = [base / folder for folder in names.splits.values() if (base / folder).is_dir()]
    return any(
        names.pattern.fullmatch(path.name) for folder in folders for path in islice(picture_files(folder), PEEKED)
    )


def read_boxes(root: Path, names: BoxNames) -> Dataset:
    """Reads a data set of this layout. Pictures of pid -1, which show no person, are dropped; those of pid 0 stay in
    the gallery as distractors.

    Raises DatasetError where no picture is found, or a folder cannot be read.
    """
    base = _base(root, names)
    problems: list[Problem] = []
    train, query, gallery = (
        _read_split(base, names.splits[split], names, problems) if (base / names.splits[split]).is_dir() else ()
        for split in SPLITS
    )
    if not (train or query or gallery):
        raise DatasetError(
            f"{root} holds no {names.name} pictures: looked for {', '.join(names.splits.values())} with names such as "
            f"{names.example}; found {list_entries(base)}"
            + (f". The first that does not fit is {problems[0].name}" if problems else "")
        )
    return Dataset(names.name, names.name, train, query, gallery, names.rights, tuple(problems))


def _base(root: Path, names: BoxNames) -> Path:
    return next((root / folder for folder in names.unpacked if (root / folder).is_dir()), root)


def _read_split(base: Path, folder: str, names: BoxNames, problems: list[Problem]) -> tuple[Crop, ...]:
    crops = []
    for path in picture_files(base / folder):
        name = f"{folder}/{path.name}"
        match = names.pattern.fullmatch(path.name)
        if match is None:
            problems.append(Problem(name, f"the name is not {names.shape}"))
        elif match["pid"] != NO_PERSON:
            fields = {key: int(value) for key, value in match.groupdict().items() if value is not None}
            crops.append(
                Crop(
                    name,
                    fields["pid"],
                    fields["camera"],
                    path=path,
                    sequence=fields.get("sequence"),
                    frame=fields.get("frame"),
                )
            )
    return tuple(crops)
