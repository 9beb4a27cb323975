"""VeRi-776 (Liu et al., ECCV 2016): vehicles instead of people, in its own folders and file names."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from resight.data.boxes import BoxNames, looks_like_boxes, read_boxes
from resight.data.crops import Dataset

NAMES = BoxNames(
    name="veri776",
    pattern=re.compile(r"(?P<pid>\d{1,9})_c(?P<camera>\d{1,9})_(?P<frame>\d{1,18})_\d+\.\w+"),
    example="0001_c001_00016450_0.jpg",
    shape="<vehicle>_c<camera>_<frame>_<number>",
    rights="research only (VeRi-776's own terms)",
    unpacked=("VeRi", "VeRi-776"),
    splits={"train": "image_train", "query": "image_query", "gallery": "image_test"},
)
NOTE = (
    "its queries stand in image_test too: under market1501 the query's own camera is left out, and they with it; "
    "no-camera leaves out the query's own picture"
)


def looks_like_veri776(root: Path) -> bool:
    """Whether its folders hold boxes with its names."""
    return looks_like_boxes(root, NAMES)


def read_veri776(root: Path) -> Dataset:
    """As `read_boxes`; a pid is a vehicle's number. Raises DatasetError where no picture is found."""
    dataset = read_boxes(root, NAMES)
    return replace(dataset, notes=(NOTE,)) if dataset.query else dataset
