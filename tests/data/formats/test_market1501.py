from __future__ import annotations

from pathlib import Path

import pytest

from resight.core.errors import DatasetError
from resight.data.formats.market1501 import NAMES as BOX_NAMES
from resight.data.formats.market1501 import read_market1501


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


NAMES = (
    "bounding_box_train/0002_c1s1_000451_03.jpg",
    "query/0005_c6s3_000001_00.jpg",
    "bounding_box_test/0000_c1s1_000151_01.jpg",
    "bounding_box_test/-1_c3s2_000401_02.jpg",
    "bounding_box_test/0005_c2s1_000451_03.jpg",
    "bounding_box_test/Thumbs.db",
    "bounding_box_test/odd name.jpg",
)


@pytest.mark.parametrize("below", ["", *BOX_NAMES.unpacked])
def test_names_junk_and_distractors(tmp_path: Path, below: str) -> None:
    put(tmp_path / below, *NAMES)
    data = read_market1501(tmp_path)
    (crop,) = data.train
    assert (crop.pid, crop.camid, crop.sequence, crop.frame) == (2, 1, 1, 451)
    assert [c.pid for c in data.gallery] == [0, 5]  # -1 is dropped, 0000 stays
    assert [p.name for p in data.problems] == ["bounding_box_test/odd name.jpg"]
    assert "research" in data.rights


def test_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "bounding_box_train").mkdir()
    with pytest.raises(DatasetError, match=r"bounding_box_test.*found bounding_box_train/"):
        read_market1501(tmp_path)


def test_the_real_names(market501: Path) -> None:
    data = read_market1501(market501)
    assert [len(split) for split in (data.train, data.query, data.gallery)] == [8519, 442, 1166]
    assert [len({c.pid for c in split}) for split in (data.train, data.query)] == [501, 100]
    assert {c.camid for c in data.train} == {1, 2, 3, 4, 5, 6}
    assert not data.problems
