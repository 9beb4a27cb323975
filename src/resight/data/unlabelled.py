"""Crops of people whom nobody has named: folders of pictures, a place each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from resight.core.errors import DatasetError
from resight.data.crops import UNKNOWN_PID, Crop
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
