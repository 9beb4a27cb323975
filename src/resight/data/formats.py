"""The data set formats by name. Another one is a file beside this and a line here."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from resight.core.errors import DatasetError, unknown_name
from resight.data.crops import Dataset
from resight.data.folder import list_entries, looks_like_folder, read_folder
from resight.data.market1501 import looks_like_market1501, read_market1501
from resight.data.synthetic import draw_city, parse_city


@dataclass(frozen=True)
class Format:
    """layout: what it looks for, in words. looks_like: whether a folder is of it."""

    layout: str
    looks_like: Callable[[Path], bool]
    read: Callable[[Path], Dataset]


FORMATS: dict[str, Format] = {
    "market1501": Format("bounding_box_train/, query/, bounding_box_test/", looks_like_market1501, read_market1501),
    "folder": Format(
        "train/, query/, gallery/ (or val/query/, val/gallery/) with <person>/<camera>_<anything>.<ext>",
        looks_like_folder,
        read_folder,
    ),
}
SYNTHETIC = "synthetic"  # drawn by code, so it has no folder to look at


def open_dataset(spec: str | Path, format: str | None = None) -> Dataset:
    """A folder of any known format, or `synthetic`, or `synthetic:seed=3,test_people=50`.

    format: its name, where it is not to be found by looking. Raises DatasetError where the folder is not
    there or is of no known format, ConfigError for an unknown format.
    """
    if format is not None and format not in (*FORMATS, SYNTHETIC):
        raise unknown_name("format", format, (*FORMATS, SYNTHETIC))
    text = str(spec)
    if format == SYNTHETIC or (format is None and text.split(":")[0] == SYNTHETIC and not os.path.exists(text)):
        return draw_city(parse_city(text))
    root = Path(spec)
    if not os.path.isdir(root):  # unlike Path's, never an OSError, however long the name
        what = "is a file, not a folder" if os.path.exists(root) else "does not exist"
        raise DatasetError(f"{root} {what}. Name a folder of crops, or `synthetic`.")
    return FORMATS[format or find_format(root)].read(root)


def find_format(root: Path) -> str:
    """The name of the first format that the folder looks like; the stricter formats stand first."""
    for name, format in FORMATS.items():
        if format.looks_like(root):
            return name
    looked = "; ".join(f"{name}: {format.layout}" for name, format in FORMATS.items())
    raise DatasetError(f"{root} is of no known format. Looked for {looked}. Found: {list_entries(root)}.")
