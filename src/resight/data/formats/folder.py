"""A folder of your own: `<split>/<pid>/<camera>_<anything>.<ext>`, as the reference paper's data lie.

Splits: `train`, and `query` and `gallery`, which stand at the top or below `val` or `test`.
Person folders and camera prefixes that are all numbers (a camera also as `c2` or `cam2`) keep them; where
any is a name instead, all are numbered from 1 in the names' order over the whole data set.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from resight.core.errors import DatasetError
from resight.data.crops import Crop, Dataset, Problem

PLACES: Mapping[str, tuple[str, ...]] = {
    "train": ("train",),
    "query": ("query", "val/query", "test/query"),
    "gallery": ("gallery", "val/gallery", "test/gallery"),
}
# Files that lie about in data sets and claim to be no picture.
NO_PICTURES = {".txt", ".json", ".csv", ".md", ".xml", ".db", ".mat", ".html", ".yaml", ".yml"}
CAMERA_NUMBER = re.compile(r"(?:c|cam)?(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    name: str
    person: str
    camera: str


def looks_like_folder(root: Path) -> bool:
    """Whether any split is there."""
    return any((root / place).is_dir() for places in PLACES.values() for place in places)


def read_folder(root: Path) -> Dataset:
    """Reads a folder of this layout. Raises DatasetError where no picture is found in any split, saying what was looked
    for and found."""
    problems: list[Problem] = []
    splits = {split: list(_files(root, places, problems)) for split, places in PLACES.items()}
    if not any(splits.values()):
        raise DatasetError(
            f"{root} holds no pictures in the layout <split>/<person>/<camera>_<anything>.<ext> with the "
            f"splits train, query and gallery (or val/query, val/gallery). Found: {list_entries(root)}."
            + (f" First file that does not fit: {problems[0].name}, {problems[0].reason}." if problems else "")
        )
    files = [file for found in splits.values() for file in found]
    pids = number_names((file.person for file in files), re.compile(r"(\d+)"))
    camids = number_names((file.camera for file in files), CAMERA_NUMBER)

    def crops(found: Sequence[_File]) -> tuple[Crop, ...]:
        return tuple(Crop(f.name, pids[f.person], camids[f.camera], path=f.path) for f in found)

    return Dataset(
        root.resolve().name,
        "folder",
        crops(splits["train"]),
        crops(splits["query"]),
        crops(splits["gallery"]),
        problems=tuple(problems),
    )


def picture_files(folder: Path) -> Iterator[Path]:
    """The files of a folder that may be pictures, in the order of their names. Raises DatasetError where it cannot be
    read."""
    for entry in _entries(folder):
        hidden = entry.name.startswith(".") or entry.name == "Thumbs.db"
        if not hidden and Path(entry.name).suffix.lower() not in NO_PICTURES and not _is_folder(entry):
            yield folder / entry.name


def number_names(names: Iterable[str], pattern: re.Pattern[str]) -> dict[str, int]:
    """A number for each name: the one in the name where every name has one, else its position in sorted order, from
    1."""
    distinct = sorted(set(names))
    matches = [pattern.fullmatch(name) for name in distinct]
    if all(match and match[1].isascii() and len(match[1]) <= 18 for match in matches):
        return {name: int(match[1]) for name, match in zip(distinct, matches, strict=True) if match}
    return {name: place for place, name in enumerate(distinct, 1)}


def list_entries(root: Path, most: int = 8) -> str:
    """What a folder holds, for a message."""
    try:
        names = [entry.name + ("/" if _is_folder(entry) else "") for entry in _entries(root)]
    except DatasetError as error:
        return f"nothing ({error})"
    shown = ", ".join(names[:most]) or "nothing"
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """In the order of their names. Raises DatasetError where the folder cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read ({error.strerror})") from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """A link that leads nowhere or to itself is none; whoever reads it hears why."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _files(root: Path, places: Iterable[str], problems: list[Problem]) -> Iterator[_File]:
    for place in places:
        split = root / place
        if not split.is_dir():
            continue
        for person in (entry.name for entry in _entries(split) if _is_folder(entry)):
            if person.startswith("."):
                continue
            for path in picture_files(split / person):
                name = path.relative_to(root).as_posix()
                camera, separator, _ = path.name.partition("_")
                if separator and camera:
                    yield _File(path, name, person, camera)
                else:
                    problems.append(Problem(name, "the name is not <camera>_<anything>.<ext>"))
        for path in picture_files(split):
            name = path.relative_to(root).as_posix()
            problems.append(Problem(name, f"lies directly in {place}/, not in a person's folder"))
