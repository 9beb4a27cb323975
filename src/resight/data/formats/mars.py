"""MARS (Zheng et al., ECCV 2016): tracks of people, in its own folders, file names and lists.

`0065C1T0002F0016.jpg`: person, camera, track, frame. `00-1` is no person and is dropped; `0000` is a distractor. Which
tracks are the queries stands in info/query_IDX.mat, by places in info/tracks_test_info.mat, whose rows are places in
info/test_name.txt (all three from the MARS-evaluation repository).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from resight.core.errors import DatasetError
from resight.core.records import DISTRACTOR_PID, IntArray
from resight.data.crops import Crop, Dataset, Problem
from resight.data.listing import list_entries, picture_files, subfolders

UNPACKED = ("MARS-v160809", "MARS", "mars")
TRAIN, TEST = "bbox_train", "bbox_test"
INFO = ("query_IDX.mat", "tracks_test_info.mat", "test_name.txt")
NO_PERSON = "00-1"
RIGHTS = "research only (MARS's own terms)"
NAME = re.compile(r"(?P<track>(?P<pid>\d{4}|00-1)C(?P<camera>\d{1,3})T(?P<number>\d{1,9}))F(?P<frame>\d{1,9})\.\w+")
PEEKED = 5  # people who are looked at to tell the format


def looks_like_mars(root: Path) -> bool:
    """Whether the folders of its boxes hold names of its kind."""
    base = _base(root)
    return any(
        NAME.fullmatch(path.name)
        for folder in (TRAIN, TEST)
        if (base / folder).is_dir()
        for person in list(subfolders(base / folder))[:PEEKED]
        for path in picture_files(base / folder / person)
    )


def read_mars(root: Path) -> Dataset:
    """Every box of every track, with its track. Queries are the tracks of info/query_IDX.mat; where that is not there,
    the first track of each person by each camera, and a note says so.

    Raises DatasetError where no picture is found, or a list in info/ cannot be read.
    """
    base = _base(root)
    problems: list[Problem] = []
    notes: tuple[str, ...] = ()
    train, test = (_read_split(base, folder, problems) for folder in (TRAIN, TEST))
    if not (train or test):
        raise DatasetError(
            f"{root} holds no MARS: looked for bbox_train/ and bbox_test/ with 0001/0001C1T0001F001.jpg; "
            f"found {list_entries(base)}"
        )
    if all((base / "info" / name).is_file() for name in INFO):
        queries = _queries(base / "info")
    else:
        queries = _first_tracks(test)
        notes = (
            f"info/ does not hold {', '.join(INFO)}, so the queries are the first track of each person by each camera: "
            "published figures take MARS's own 1,980",
        )
    return Dataset(
        "mars",
        "mars",
        tuple(train),
        tuple(crop for crop in test if crop.track in queries),
        tuple(crop for crop in test if crop.track not in queries),
        RIGHTS,
        tuple(problems),
        notes,
    )


def _base(root: Path) -> Path:
    return next((root / folder for folder in UNPACKED if (root / folder).is_dir()), root)


def _read_split(base: Path, folder: str, problems: list[Problem]) -> list[Crop]:
    if not (base / folder).is_dir():
        return []
    return [crop for person in subfolders(base / folder) for crop in _read_person(base, f"{folder}/{person}", problems)]


def _read_person(base: Path, folder: str, problems: list[Problem]) -> Iterator[Crop]:
    for path in picture_files(base / folder):
        name = f"{folder}/{path.name}"
        match = NAME.fullmatch(path.name)
        if match is None:
            problems.append(Problem(name, "the name is not <person>C<camera>T<track>F<frame>"))
        elif match["pid"] != NO_PERSON:
            yield Crop(
                name,
                int(match["pid"]),
                int(match["camera"]),
                path=path,
                frame=int(match["frame"]),
                track=match["track"],
            )


def _first_tracks(crops: list[Crop]) -> set[str]:
    first: dict[tuple[int, int], str] = {}
    for crop in crops:
        if crop.pid != DISTRACTOR_PID and crop.track is not None:
            first.setdefault((crop.pid, crop.camid), crop.track)
    cameras: dict[int, int] = {}
    for pid, _ in first:
        cameras[pid] = cameras.get(pid, 0) + 1
    # One that no other camera saw would be a query that nothing answers.
    return {track for (pid, _), track in first.items() if cameras[pid] > 1}


def _queries(info: Path) -> set[str]:
    """The tracks of the queries, as the names call them."""
    places = _matrix(info / INFO[0], "query_IDX").ravel()
    tracks = _matrix(info / INFO[1], "track_test_info")
    names = (info / INFO[2]).read_text(encoding="utf-8-sig", errors="replace").split()
    if tracks.ndim != 2 or tracks.shape[1] != 4:
        raise DatasetError(f"{info / INFO[1]} holds {tracks.shape}; a row is first and last name, person, camera")
    found = set()
    for place in places.tolist():
        first = int(tracks[place - 1, 0]) if 1 <= place <= len(tracks) else 0  # MATLAB counts from 1
        match = NAME.fullmatch(names[first - 1]) if 1 <= first <= len(names) else None
        if match is None:
            raise DatasetError(f"{info}: the query {place} leads to no name of {INFO[2]}")
        found.add(match["track"])
    return found


def _matrix(path: Path, name: str) -> IntArray:
    from scipy.io import loadmat  # half a second

    try:
        fields: dict[str, Any] = loadmat(io.BytesIO(path.read_bytes()), variable_names=(name,))
        return np.asarray(fields[name]).astype(np.int64)
    except KeyError:
        raise DatasetError(f"{path} holds no {name}") from None
    except Exception as error:  # whatever a damaged file makes the reader meet
        raise DatasetError(f"{path} cannot be read ({type(error).__name__}: {error})") from None
