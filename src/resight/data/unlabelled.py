"""Crops of people whom nobody has named: folders of pictures, a place each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from resight.core.errors import DatasetError
from resight.data.crops import Crop
from resight.data.pictures import open_pictures


def read_unlabelled(folders: Iterable[Path], first_camid: int) -> tuple[Crop, ...]:
    """Every picture in the folders and below, in the order of their names; each folder is one camera, counted from
    `first_camid`. Raises DatasetError for what is not a folder, or holds no picture."""
    crops: list[Crop] = []
    for camid, folder in enumerate(folders, first_camid):
        if not folder.is_dir():
            raise DatasetError(f"{folder} cannot be read: it is not a folder")
        place = folder.resolve().name
        for crop in open_pictures(folder):
            below = Path(crop.name).relative_to(folder)
            crops.append(replace(crop, name=f"{place}/{below}", camid=camid))
    return tuple(crops)
