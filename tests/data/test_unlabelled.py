"""Pictures of nobody in particular, in each way that they are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from resight.core.errors import DatasetError
from resight.data.crops import Dataset
from resight.data.formats.catalogue import open_dataset
from resight.data.labels import camera_names
from resight.data.unlabelled import open_unlabelled
from tests.data.formats.test_manifest import table


def seen(data: Dataset) -> list[tuple[str, int, str | None]]:
    """Name, pid and track of each crop, whatever its split."""
    return [(crop.name, crop.pid, crop.track) for crop in (*data.train, *data.query, *data.gallery)]


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("path,camid,track", ("a.jpg,1,7", "b.jpg,2,8")),
        ("path,camera,track", ("a.jpg,cam1,7", "b.jpg,cam2,8")),
        ("path,camid,track,split", ("a.jpg,1,7,gallery", "b.jpg,2,8,gallery")),
        ("path,pid,camid,track,split", ("a.jpg,,1,7,gallery", "b.jpg,nan,2,8,")),
        ("path,pid,camid,track,split", ("a.jpg,-1,1,7,train", "b.jpg,-1,2,8,query")),
        ("path,pid,camid,track,split", ("a.jpg,-1.0,1,7,train", "b.jpg,-9,2,8,query")),
    ],
)
def test_a_table_takes_a_path_and_a_camera(tmp_path: Path, header: str, rows: tuple[str, ...]) -> None:
    data = open_unlabelled(table(tmp_path, *rows, header=header))
    assert seen(data) == [("a.jpg", -1, "7"), ("b.jpg", -1, "8")]
    assert not data.problems
    assert camera_names((*data.train, *data.query, *data.gallery)) == ("1", "2")


def test_of_a_table_what_it_has_is_kept(tmp_path: Path) -> None:
    """--split chooses among them, and whether a model was trained on them is known by their pids."""
    data = open_unlabelled(table(tmp_path, "a.jpg,5,north,train", "b.jpg,,south,train", "c.jpg,6,,train"))
    assert [(crop.pid, crop.camera) for crop in data.train] == [(5, "north"), (-1, "south")]
    assert [problem.reason for problem in data.problems] == ["no camid"]


def test_a_table_without_a_camera_is_refused_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"has no column camid. Looked for path, camid \(or camera\) \(and pid, split"
    ):
        open_unlabelled(table(tmp_path, "a.jpg,7", header="path,track"))
    with pytest.raises(DatasetError, match="has no column pid, split"):  # where labels are needed they stay so
        open_dataset(table(tmp_path, "a.jpg,1", header="path,camid"))


def test_a_parquet_table_too(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"path": ["a.jpg", "b.jpg"], "camera": ["cam1", "cam2"], "track": ["7", "8"], "pid": [None, 3.0]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    assert seen(open_unlabelled(tmp_path / "t.parquet")) == [("a.jpg", -1, "7"), ("b.jpg", 3, "8")]


def folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"not looked at yet")
    return root


@pytest.mark.parametrize("spelled", ["cam{}", "Camera_{}", "c{}", "cam-{}"])
def test_a_folder_of_cameras_is_known_by_their_names(tmp_path: Path, spelled: str) -> None:
    one, two = spelled.format(0), spelled.format(1)
    data = open_unlabelled(folders(tmp_path, f"{one}/a.jpg", f"{two}/b.jpg", f"{two}/deeper/c.png", "log/readme.txt"))
    assert seen(data) == [(f"{one}/a.jpg", -1, None), (f"{two}/b.jpg", -1, None), (f"{two}/deeper/c.png", -1, None)]
    assert len(set(camera_names(data.gallery[1:]))) == 1
    assert len(set(camera_names(data.gallery))) == 2
    assert f"each sub-folder is taken as a camera: {one}, {two}" in data.notes


def test_folders_that_may_be_people_are_asked_about(tmp_path: Path) -> None:
    root = folders(tmp_path, "north/a.jpg", "south/b.jpg")
    with pytest.raises(DatasetError, match=r"If each of those folders is a camera, say --format cameras"):
        open_unlabelled(root)
    assert camera_names(open_unlabelled(root, "cameras").gallery) == ("north", "south")
    with pytest.raises(DatasetError, match="no sub-folders with pictures, one for each camera"):
        open_unlabelled(folders(tmp_path / "flat", "a.jpg"), "cameras")
    with pytest.raises(DatasetError, match="is not a folder"):
        open_unlabelled(tmp_path / "nowhere", "cameras")


def test_other_data_are_opened_as_ever(tmp_path: Path) -> None:
    root = folders(tmp_path, "train/7/1_a.jpg", "train/8/2_b.jpg")
    assert open_unlabelled(root) == open_dataset(root)
