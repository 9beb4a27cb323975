"""CUHK03 (Li et al., CVPR 2014) under the new protocol of 767 / 700 people (Zhong et al., CVPR 2017).

Either the extracted pictures (images_detected/ or images_labeled/, as 1_001_1_01.png) beside the protocol's own
split file (cuhk03_new_protocol_config_detected.mat or ..._labeled.mat), or the cuhk03-np folders, which hold
the same split as bounding_box_train/, query/ and bounding_box_test/ below detected/ or labeled/.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np

from resight.core.errors import ConfigError, DatasetError
from resight.core.records import IntArray
from resight.data.boxes import BoxNames, looks_like_boxes, read_boxes
from resight.data.crops import Crop, Dataset
from resight.data.listing import list_entries

BOXES = ("detected", "labeled")  # by a detector, by hand
FIELDS = ("filelist", "labels", "camId", "train_idx", "query_idx", "gallery_idx")
RIGHTS = "research only (CUHK03's own terms)"
NP_NAMES = BoxNames(
    name="cuhk03",
    pattern=re.compile(r"(?P<pid>\d{1,9})_c(?P<camera>\d{1,9})_\d+\.\w+"),
    example="0001_c1_1.png",
    shape="<pid>_c<camera>_<number>",
    rights=RIGHTS,
    unpacked=BOXES,
)


def looks_like_cuhk03(root: Path) -> bool:
    """Whether extracted pictures or the cuhk03-np folders are there. Raises DatasetError where a folder cannot be
    read."""
    return bool(_extracted(root)) or looks_like_boxes(root, NP_NAMES)


def read_cuhk03(root: Path, variant: str | None = None) -> Dataset:
    """Reads CUHK03. variant: `detected` or `labeled` boxes; unless given, the first of them that is there.

    Raises DatasetError where neither layout is there or the split file cannot be read, ConfigError for an unknown
    variant.
    """
    if variant not in (None, *BOXES):
        raise ConfigError(f"cuhk03 has the variants {' and '.join(BOXES)}, not {variant!r}")
    extracted = _extracted(root)
    if extracted:
        if variant is not None and variant not in extracted:
            raise DatasetError(f"{root} holds no images_{variant}/; found {list_entries(root)}")
        return _read_extracted(root, variant or extracted[0])
    if variant is not None and (root / variant).is_dir():
        root = root / variant
    if not looks_like_boxes(root, NP_NAMES):
        raise DatasetError(
            f"{root} holds no CUHK03: looked for images_detected/ or images_labeled/ beside the new protocol's "
            f"split file, or bounding_box_train/ with names such as {NP_NAMES.example}; found {list_entries(root)}"
        )
    return read_boxes(root, NP_NAMES)


def _extracted(root: Path) -> list[str]:
    return [boxes for boxes in BOXES if (root / f"images_{boxes}").is_dir()]


def _read_extracted(root: Path, boxes: str) -> Dataset:
    path = root / f"cuhk03_new_protocol_config_{boxes}.mat"
    fields = _read_mat(path)
    names = [str(np.asarray(name).item()) for name in fields["filelist"].ravel()]
    pids, camids = (_integers(fields[name], path) for name in ("labels", "camId"))
    if not len(names) == len(pids) == len(camids):
        raise DatasetError(f"{path}: {len(names)} names, {len(pids)} labels and {len(camids)} cameras disagree")

    def crops(field: str) -> tuple[Crop, ...]:
        rows = _integers(fields[field], path) - 1  # MATLAB counts from 1
        if rows.size and (rows.min() < 0 or rows.max() >= len(names)):
            raise DatasetError(f"{path}: {field} leads outside the list of names")
        folder = f"images_{boxes}"
        return tuple(
            # The name alone: a list that leads elsewhere finds nothing.
            Crop(name, int(pids[row]), int(camids[row]), path=root / name)
            for row in rows.tolist()
            for name in (f"{folder}/{Path(names[row]).name}",)
        )

    train, query, gallery = (crops(field) for field in FIELDS[3:])
    return Dataset("cuhk03", "cuhk03", train, query, gallery, RIGHTS, (), (f"{boxes} boxes",))


def _read_mat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat  # half a second

    try:
        fields: dict[str, Any] = loadmat(io.BytesIO(path.read_bytes()), variable_names=FIELDS)
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist: it is the split file of the new protocol") from None
    except Exception as error:  # whatever a damaged file makes the reader meet
        raise DatasetError(f"{path} cannot be read ({type(error).__name__}: {error})") from None
    missing = [name for name in FIELDS if name not in fields]
    if missing:
        raise DatasetError(f"{path} is no split file of the new protocol: {', '.join(missing)} not in it")
    return fields


def _integers(values: Any, path: Path) -> IntArray:
    try:
        return np.asarray(values).ravel().astype(np.int64)
    except (TypeError, ValueError):
        raise DatasetError(f"{path} holds something other than numbers") from None
