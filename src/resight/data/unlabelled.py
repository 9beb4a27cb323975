"""Crops of people whom nobody has named: folders of pictures, a place each."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from resight.core.errors import DatasetError
from resight.data.crops import UNKNOWN_PID, Crop
from resight.data.folder import picture_files


def read_unlabelled(folders: Iterable[Path], first_camid: int) -> tuple[Crop, ...]:
    """Every picture in the folders and below, in the order of their names; each folder is one camera, counted from
    `first_camid`. Raises DatasetError for a folder that cannot be listed or holds no picture."""
    crops: list[Crop] = []
    for camid, folder in enumerate(folders, first_camid):
        found = [path for below in _folders(folder) for path in picture_files(below)]
        if not found:
            raise DatasetError(f"{folder} holds no pictures")
        place = folder.resolve()
        crops += (Crop(f"{place.name}/{path.relative_to(folder)}", UNKNOWN_PID, camid, path=path) for path in found)
    return tuple(crops)


def _folders(root: Path) -> list[Path]:
    return [Path(folder) for folder, _, _ in sorted(os.walk(root))] or [root]
