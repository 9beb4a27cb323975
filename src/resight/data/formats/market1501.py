"""Market-1501 (Zheng et al., ICCV 2015), in its own folders and file names."""

from __future__ import annotations

import re
from pathlib import Path

from resight.data.boxes import BoxNames, looks_like_boxes, read_boxes
from resight.data.crops import Dataset

NAMES = BoxNames(
    name="market1501",
    # pid, camera, sequence, frame, box
    pattern=re.compile(r"(?P<pid>-1|\d{1,9})_c(?P<camera>\d{1,9})s(?P<sequence>\d{1,9})_(?P<frame>\d{1,18})_\d+\.\w+"),
    example="0002_c1s1_000451_03.jpg",
    shape="<pid>_c<camera>s<sequence>_<frame>_<box>",
    rights="research only (Market-1501's own terms)",
    unpacked=("Market-1501-v15.09.15",),
)


def looks_like_market1501(root: Path) -> bool:
    """Whether its folders hold pictures with its names. Raises DatasetError where a folder cannot be read."""
    return looks_like_boxes(root, NAMES)


def read_market1501(root: Path) -> Dataset:
    """Reads Market-1501, as `read_boxes` does, and raises DatasetError as it: pid -1 is dropped, pid 0 stays in the
    gallery as a distractor."""
    return read_boxes(root, NAMES)
