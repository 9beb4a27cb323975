"""What a folder of a data set holds: its files that may be pictures, and its entries for a message."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from resight.core.errors import DatasetError
from resight.core.words import first_of

# Files that lie about in data sets and claim to be no picture.
NO_PICTURES = {".txt", ".json", ".csv", ".md", ".xml", ".db", ".mat", ".html", ".yaml", ".yml"}
# Folders that systems and storages keep beside people's own: thumbnails, bins, halves of archives.
NOT_OURS = frozenset({"@eaDir", "__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found"})


def picture_files(folder: Path) -> Iterator[Path]:
    """The files of a folder that may be pictures, in the order of their names."""
    for entry in _entries(folder):
        if not _is_hidden(entry) and Path(entry.name).suffix.lower() not in NO_PICTURES and not _is_folder(entry):
            yield folder / entry.name


def subfolders(folder: Path) -> Iterator[str]:
    """The names of the folders in a folder, in their order, without hidden ones."""
    for entry in _entries(folder):
        if not _is_hidden(entry) and _is_folder(entry):
            yield entry.name


def files_below(folder: Path) -> Iterator[Path]:
    """All files in a folder and in those below it, without hidden ones, bins and thumbnails; a linked folder once."""
    seen: set[tuple[int, int]] = set()

    def below(place: Path) -> Iterator[Path]:
        facts = place.stat()
        if (facts.st_dev, facts.st_ino) in seen:
            return
        seen.add((facts.st_dev, facts.st_ino))
        for entry in _entries(place):
            if _is_hidden(entry):
                continue
            if _is_folder(entry):
                yield from below(place / entry.name)
            else:
                yield place / entry.name

    return below(folder)


def holds_folders_of_pictures(root: Path, looked_at: int = 8) -> bool:
    """Whether any of the first folders in a folder has files that may be pictures in it."""
    try:
        return any(any(picture_files(root / name)) for name in islice(subfolders(root), looked_at))
    except DatasetError:
        return False


def list_entries(root: Path, most: int = 8) -> str:
    """What a folder holds, for a message."""
    try:
        names = [entry.name + ("/" if _is_folder(entry) else "") for entry in _entries(root)]
    except DatasetError as error:
        return f"nothing ({error})"
    return first_of(names, most) or "nothing"


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """In the order of their names. Raises DatasetError where the folder cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read ({error.strerror})") from None


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(".") or entry.name == "Thumbs.db" or entry.name in NOT_OURS


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """A link that leads nowhere or to itself is none; whoever reads it hears why."""
    try:
        return entry.is_dir()
    except OSError:
        return False
