"""VIPeR (Gray et al., PETS 2007): 632 people, one picture each by two cameras.

It has no split of its own. The field draws half of the people for training, at random and ten times, and gives
the mean; so a split has a number here.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from resight.core.errors import ConfigError, DatasetError
from resight.data.crops import Crop, Dataset, Problem
from resight.data.listing import list_entries, picture_files

UNPACKED = ("VIPeR", "VIPeR.v1.0")
CAMERAS = {"cam_a": 1, "cam_b": 2}
RIGHTS = "research only; its makers ask for a citation and state no licence"
NAME = re.compile(r"(?P<pid>\d{1,9})_\d+\.\w+")  # 001_45.bmp: person, degrees of the view


def looks_like_viper(root: Path) -> bool:
    """Whether both cameras' folders are there."""
    base = _base(root)
    return all((base / folder).is_dir() for folder in CAMERAS)


def read_viper(root: Path, variant: str | None = None) -> Dataset:
    """Reads VIPeR. variant: the number of the split, 0 unless given. Train: half of the people; query: the rest by
    camera a; gallery: the rest by camera b. A pid is the file's own plus 1, since 0 is a distractor everywhere else.

    Raises DatasetError where fewer than two people are seen by both cameras, ConfigError for a variant that is no
    number.
    """
    split = _split_number(variant)
    base = _base(root)
    problems: list[Problem] = []
    seen: dict[str, dict[int, Crop]] = {}
    for folder, camid in CAMERAS.items():
        seen[folder] = {}
        for path in picture_files(base / folder) if (base / folder).is_dir() else ():
            name = f"{folder}/{path.name}"
            match = NAME.fullmatch(path.name)
            if match is None:
                problems.append(Problem(name, "the name is not <person>_<degrees>"))
            elif (pid := int(match["pid"]) + 1) in seen[folder]:
                problems.append(Problem(name, "a second picture of this person by this camera"))
            else:
                seen[folder][pid] = Crop(name, pid, camid, path=path)
    a, b = seen.values()
    alone = [side[pid] for side in (a, b) for pid in sorted(set(a) ^ set(b)) if pid in side]
    problems += [Problem(crop.name, "this person is seen by one camera only") for crop in alone]
    both = np.array(sorted(set(a) & set(b)), dtype=np.int64)
    if len(both) < 2:
        raise DatasetError(
            f"{root} holds no VIPeR: looked for cam_a/ and cam_b/ with names such as 001_45.bmp, of the same "
            f"people; found {list_entries(base)}"
        )
    drawn = np.random.default_rng(split).permutation(both)
    train, test = (np.sort(half).tolist() for half in (drawn[: len(both) // 2], drawn[len(both) // 2 :]))
    notes = (
        f"random split {split}; the field gives the mean over ten (--format viper:0 to viper:9). "
        "With one right picture a query, mAP is the mean of 1/rank.",
    )
    return Dataset(
        "viper",
        "viper",
        tuple(side[pid] for pid in train for side in (a, b)),
        tuple(a[pid] for pid in test),
        tuple(b[pid] for pid in test),
        RIGHTS,
        tuple(problems),
        notes,
    )


def _split_number(variant: str | None) -> int:
    if variant is None:
        return 0
    if not variant.isascii() or not variant.isdigit() or len(variant) > 9:
        raise ConfigError(f"viper:N takes the number of a random split, not {variant!r}")
    return int(variant)


def _base(root: Path) -> Path:
    return next((root / folder for folder in UNPACKED if (root / folder).is_dir()), root)
