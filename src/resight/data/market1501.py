"""Market-1501 (Zheng et al., ICCV 2015), in its own folders and file names."""

from __future__ import annotations

import re
from pathlib import Path

from resight.core.errors import DatasetError
from resight.data.crops import Crop, Dataset, Problem
from resight.data.folder import list_entries, picture_files

SPLITS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
UNPACKED = "Market-1501-v15.09.15"  # the folder that the archive unpacks to
RIGHTS = "research only (Market-1501's own terms)"
# 0002_c1s1_000451_03.jpg: pid, camera, sequence, frame, box
NAME = re.compile(r"(?P<pid>-1|\d{1,9})_c(?P<camera>\d+)s(?P<sequence>\d+)_(?P<frame>\d+)_\d+\.\w+")


def looks_like_market1501(root: Path) -> bool:
    """Whether its training or its test folder is there."""
    base = _base(root)
    return (base / SPLITS["train"]).is_dir() or (base / SPLITS["gallery"]).is_dir()


def read_market1501(root: Path) -> Dataset:
    """Boxes that are no person (pid -1) are dropped; pid 0 stays in the gallery as a distractor.

    Raises DatasetError where no picture is found.
    """
    base = _base(root)
    problems: list[Problem] = []
    train, query, gallery = (
        _read_split(base, folder, problems) if (base / folder).is_dir() else () for folder in SPLITS.values()
    )
    if not (train or query or gallery):
        raise DatasetError(
            f"{root} holds no Market-1501 pictures: looked for {', '.join(SPLITS.values())} with names such as "
            f"0002_c1s1_000451_03.jpg; found {list_entries(base)}"
        )
    return Dataset("market1501", "market1501", train, query, gallery, RIGHTS, tuple(problems))


def _base(root: Path) -> Path:
    return root / UNPACKED if (root / UNPACKED).is_dir() else root


def _read_split(base: Path, folder: str, problems: list[Problem]) -> tuple[Crop, ...]:
    crops = []
    for path in picture_files(base / folder):
        name = f"{folder}/{path.name}"
        match = NAME.fullmatch(path.name)
        if match is None:
            problems.append(Problem(name, "the name is not <pid>_c<camera>s<sequence>_<frame>_<box>"))
        elif match["pid"] != "-1":
            crops.append(
                Crop(
                    name,
                    int(match["pid"]),
                    int(match["camera"]),
                    path=path,
                    sequence=int(match["sequence"]),
                    frame=int(match["frame"]),
                )
            )
    return tuple(crops)
