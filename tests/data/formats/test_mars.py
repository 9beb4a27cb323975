from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from resight.core.errors import DatasetError
from resight.data.formats.catalogue import open_dataset

TEST = (
    "bbox_test/0002/0002C1T0001F001.jpg",
    "bbox_test/0002/0002C1T0001F002.jpg",
    "bbox_test/0002/0002C1T0002F001.jpg",
    "bbox_test/0002/0002C2T0001F001.jpg",
    "bbox_test/0004/0004C3T0001F001.jpg",
    "bbox_test/0000/0000C1T0007F1234.jpg",
    "bbox_test/00-1/00-1C1T0001F001.jpg",
)


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def test_tracks_are_taken_from_the_names(tmp_path: Path) -> None:
    put(tmp_path / "MARS-v160809", "bbox_train/0001/0001C6T0012F034.jpg", *TEST, "bbox_test/0004/odd.jpg")
    data = open_dataset(tmp_path)
    (crop,) = data.train
    assert (crop.pid, crop.camid, crop.track, crop.frame) == (1, 6, "0001C6T0012", 34)
    # The first track of each person by each camera, where another camera saw the person too.
    assert {c.track for c in data.query} == {"0002C1T0001", "0002C2T0001"}
    assert [(c.pid, c.track) for c in data.gallery] == [(0, "0000C1T0007"), (2, "0002C1T0002"), (4, "0004C3T0001")]
    assert "1,980" in data.notes[0]
    assert [p.name for p in data.problems] == ["bbox_test/0004/odd.jpg"]


def test_its_own_queries_are_taken(tmp_path: Path) -> None:
    put(tmp_path, *TEST)
    names = [name.rpartition("/")[2] for name in TEST]
    info = tmp_path / "info"
    info.mkdir()
    (info / "test_name.txt").write_text("\r\n".join(names), encoding="utf-8-sig")
    tracks = [[1, 2, 2, 1], [3, 3, 2, 1], [4, 4, 2, 2], [5, 5, 4, 3]]
    savemat(info / "tracks_test_info.mat", {"track_test_info": np.array(tracks)})
    savemat(info / "query_IDX.mat", {"query_IDX": np.array([[2]])})
    data = open_dataset(tmp_path)
    assert [c.track for c in data.query] == ["0002C1T0002"]
    assert len(data.gallery) == 5
    assert not data.notes
    savemat(info / "query_IDX.mat", {"query_IDX": np.array([[9]])})
    with pytest.raises(DatasetError, match="the query 9 leads to no name"):
        open_dataset(tmp_path)
    (info / "query_IDX.mat").write_bytes(b"damaged")
    with pytest.raises(DatasetError, match=r"query_IDX\.mat cannot be read"):
        open_dataset(tmp_path)


def test_veri776_has_folders_of_its_own(tmp_path: Path) -> None:
    put(
        tmp_path / "VeRi",
        "image_train/0003_c012_00016450_0.jpg",
        "image_query/0002_c002_00030600_0.jpg",
        "image_test/0002_c002_00030600_0.jpg",
        "image_test/0002_c003_00030700_1.jpg",
    )
    data = open_dataset(tmp_path)
    assert data.format == "veri776"
    assert [(c.pid, c.camid, c.frame) for c in (*data.train, *data.query)] == [(3, 12, 16450), (2, 2, 30600)]
    assert [c.camid for c in data.gallery] == [2, 3]
    assert "its queries stand in image_test too" in data.notes[0]
