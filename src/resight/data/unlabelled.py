"""Crops of people whom nobody has named: tables without pids, folders of pictures, a place or a camera each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from resight.core.errors import DatasetError
from resight.core.words import first_of
from resight.data.crops import UNKNOWN_PID, Crop, Dataset
from resight.data.formats.catalogue import FORMATS, open_dataset
from resight.data.formats.manifest import looks_like_manifest, read_manifest
from resight.data.formats.tables import OF_NOBODY
from resight.data.labels import LIKE_A_CAMERA, number_cameras
from resight.data.listing import files_below, list_entries, subfolders
from resight.data.pictures import is_picture, open_pictures

CAMERAS = "cameras"  # a format of theirs: a folder whose sub-folders are a camera each


def open_unlabelled(spec: str | Path, format: str | None = None) -> Dataset:
    """Opens pictures for what does not ask who is in them. Takes what `open_dataset` takes; a table with `path` and
    `camid` or `camera` alone; and a folder with a sub-folder for each camera, by itself where those are called cam0,
    camera_1 or c2, else by the format `cameras`.

    Pictures without a pid have -1, and lie in the split gallery where no other is named. Raises as `open_dataset`.
    """
    root = Path(spec)
    if format == CAMERAS:
        return read_cameras(root)
    if format == "manifest" or (format is None and looks_like_manifest(root)):
        return read_manifest(root, OF_NOBODY)
    if format is None and root.is_dir() and not any(known.looks_like(root) for known in FORMATS.values()):
        names = [name for name in subfolders(root) if _holds_pictures(root / name)]
        if names and all(map(LIKE_A_CAMERA.fullmatch, names)):
            return read_cameras(root)
        if names:
            raise DatasetError(
                f"{root} is of no known format: it has {list_entries(root)}. If each of those folders is a camera, say "
                f"--format {CAMERAS} (format=); if each is a person, move them into {root / 'train'}/; or list the "
                "pictures in a table with the columns path and camid"
            )
    return open_dataset(spec, format)


def read_cameras(root: Path) -> Dataset:
    """Each sub-folder a camera of that name, and all pictures in it and below; nobody has a pid. Raises DatasetError
    where there is no sub-folder with pictures."""
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder, so it has no sub-folder for each camera")
    names = [name for name in subfolders(root) if _holds_pictures(root / name)]
    if not names:
        raise DatasetError(
            f"{root} has no sub-folders with pictures, one for each camera (as cam1/0001.jpg); found "
            f"{list_entries(root)}"
        )
    cameras = number_cameras(names)
    crops = tuple(
        replace(
            crop,
            name=Path(crop.name).relative_to(root).as_posix(),
            camid=cameras.numbers[name],
            camera=cameras.name_of(name),
        )
        for name in names
        for crop in open_pictures(root / name)
    )
    told = f"each sub-folder is taken as a camera: {first_of(names, 8)}"
    return Dataset(root.resolve().name, CAMERAS, (), (), crops, notes=(told,), doubts=cameras.doubts)


def _holds_pictures(folder: Path) -> bool:
    return any(map(is_picture, files_below(folder)))


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


def hide_people(crops: Sequence[Crop], seed: int = 0) -> tuple[Crop, ...]:
    """The same pictures, with nothing left that says who is in them: neither pid nor person, sequence nor frame.

    Tracks become numbers, other ones at each camera, since names of tracks tell persons. The order becomes one of
    chance, since files lie side by side by person. Names stay: they are for messages.
    """
    shuffled = [crops[row] for row in np.random.default_rng(seed).permutation(len(crops)).tolist()]
    known: dict[tuple[int, str | None, str], str] = {}
    return tuple(
        replace(
            crop,
            pid=UNKNOWN_PID,
            person=None,
            sequence=None,
            frame=None,
            track=None
            if crop.track is None
            else known.setdefault((crop.camid, crop.camera, crop.track), str(len(known))),
        )
        for crop in shuffled
    )
