"""DukeMTMC-reID (Zheng et al., ICCV 2017), in its own folders and file names."""

from __future__ import annotations

import re
from pathlib import Path

from resight.data.boxes import BoxNames, looks_like_boxes, read_boxes
from resight.data.crops import Dataset

NAMES = BoxNames(
    name="dukemtmc",
    pattern=re.compile(r"(?P<pid>\d{1,9})_c(?P<camera>\d{1,9})_f(?P<frame>\d{1,18})\.\w+"),
    example="0001_c2_f0046182.jpg",
    shape="<pid>_c<camera>_f<frame>",
    rights="withdrawn by its makers in 2019; research only before that. Whoever uses it answers for it",
    unpacked=("DukeMTMC-reID",),
)


def looks_like_dukemtmc(root: Path) -> bool:
    """Whether its folders hold pictures with its names. Raises DatasetError where a folder cannot be read."""
    return looks_like_boxes(root, NAMES)


def read_dukemtmc(root: Path) -> Dataset:
    """Reads DukeMTMC-reID, as `read_boxes` does, and raises DatasetError as it. Its 408 distractors have pids of their
    own, which no query has."""
    return read_boxes(root, NAMES)
