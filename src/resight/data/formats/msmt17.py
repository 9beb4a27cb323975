"""MSMT17 (Wei et al., CVPR 2018), versions 1 and 2, by its own list files.

Its two halves count their people from 0 each, and 0 is a distractor everywhere else. So that no two people
share a number, a train pid here is its own plus 1, and a test pid its own plus 10,001.
"""

from __future__ import annotations

import re
from pathlib import Path

from resight.core.errors import ConfigError, DatasetError
from resight.data.crops import Crop, Dataset, Problem
from resight.data.listing import list_entries

UNPACKED = ("MSMT17_V2", "MSMT17_V1", "MSMT17")
FOLDERS = (("mask_train_v2", "mask_test_v2"), ("train", "test"))  # version 2 (faces masked), version 1
LISTS = ("list_train.txt", "list_val.txt", "list_query.txt", "list_gallery.txt")
FIRST_TRAIN_PID, FIRST_TEST_PID = 1, 10_001
TRAIN_AND_VAL = "trainval"
RIGHTS = "research only (MSMT17's own terms); version 1 was withdrawn in favour of version 2, whose faces are masked"
# 0000/0000_000_01_0303morning_0015_0.jpg 0: folder/pid, picture, camera, date and time of day, frame, box; pid
LINE = re.compile(r"(?P<path>\d+/\d+_\d+_(?P<camera>\d{1,9})_[^_/\s]+_(?P<frame>\d{1,18})_\d+\.\w+)\s+(?P<pid>\d{1,9})")

NAME = re.compile(r"(?P<pid>\d{1,9})_\d+_(?P<camera>\d{1,9})_[^_/\s]+_\d{1,18}_\d+\.\w+")  # of a picture alone


def looks_like_msmt17(root: Path) -> bool:
    """Whether a list file and a folder of pictures are there."""
    base = _base(root)
    return any((base / name).is_file() for name in LISTS) and _folders(base) is not None


def read_msmt17(root: Path, variant: str | None = None) -> Dataset:
    """Reads MSMT17. variant: `trainval` trains on list_val.txt too; without it, that list is left out. A note says
    which.

    Raises DatasetError where the lists or the folders are not there or hold nothing, ConfigError for an unknown
    variant.
    """
    if variant not in (None, TRAIN_AND_VAL):
        raise ConfigError(f"msmt17 has the variant {TRAIN_AND_VAL} only, not {variant!r}")
    base = _base(root)
    folders = _folders(base)
    if folders is None:
        raise DatasetError(
            f"{root} holds no MSMT17: looked for mask_train_v2/ and mask_test_v2/ (version 2) or train/ and test/ "
            f"(version 1) beside {', '.join(LISTS)}; found {list_entries(base)}"
        )
    problems: list[Problem] = []
    train, val, query, gallery = (
        _read_list(base, name, folder, first, problems)
        for name, folder, first in zip(
            LISTS,
            (folders[0], folders[0], folders[1], folders[1]),
            (FIRST_TRAIN_PID, FIRST_TRAIN_PID, FIRST_TEST_PID, FIRST_TEST_PID),
            strict=True,
        )
    )
    if not (train or query or gallery):
        raise DatasetError(
            f"{root} holds no MSMT17 pictures: looked for lines such as 0000/0000_000_01_0303morning_0015_0.jpg 0 "
            f"in {', '.join(LISTS)}; found {list_entries(base)}"
        )
    joined = variant == TRAIN_AND_VAL
    note = (
        f"list_val.txt ({len(val):,} pictures) is "
        + ("trained on too" if joined else f"not trained on; --format msmt17:{TRAIN_AND_VAL} trains on it")
        + ". Published figures differ in this."
    )
    return Dataset(
        "msmt17", "msmt17", train + val if joined else train, query, gallery, RIGHTS, tuple(problems), (note,)
    )


def _base(root: Path) -> Path:
    return next((root / folder for folder in UNPACKED if (root / folder).is_dir()), root)


def _folders(base: Path) -> tuple[str, str] | None:
    return next((pair for pair in FOLDERS if any((base / folder).is_dir() for folder in pair)), None)


def _read_list(base: Path, name: str, folder: str, first_pid: int, problems: list[Problem]) -> tuple[Crop, ...]:
    try:
        lines = (base / name).read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return ()
    crops = []
    for number, line in enumerate(lines, 1):
        match = LINE.fullmatch(line.strip().replace("\\", "/"))
        if match is not None:
            path = f"{folder}/{match['path']}"
            pid = first_pid + int(match["pid"])
            crops.append(Crop(path, pid, int(match["camera"]), path=base / path, frame=int(match["frame"])))
        elif line.strip():
            problems.append(
                Problem(f"{name}, line {number}", "not <pid>/<pid>_<n>_<camera>_<time>_<frame>_<box> <pid>")
            )
    return tuple(crops)
