from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from resight.core.errors import DatasetError, EmbeddingError
from resight.core.records import EmbeddedCrops
from resight.data.embeddings import read_embeddings, read_rows
from resight.data.labels import PERSON_ZERO
from resight.evaluation.evaluate import evaluate

COLUMNS: dict[str, Any] = {
    "vector": np.array([[1, 0], [0, 1], [1, 0.1], [0.1, 1], [5, 5]], np.float64),
    "pid": np.array([1, 2, 1, 2, 9]),
    "camid": np.array([1, 1, 2, 2, 1]),
    "split": np.array(["query", "query", "gallery", "gallery", "train"]),
}


def read(*paths: Path, zeros: bool = False) -> tuple[EmbeddedCrops, EmbeddedCrops]:
    found = read_embeddings(*paths, zeros=zeros)
    return found.query, found.gallery


def write(path: Path, **changes: Any) -> Path:
    columns = {name: value for name, value in {**COLUMNS, **changes}.items() if value is not None}
    if path.suffix == ".npz":
        np.savez(path, **columns)
    else:
        lists = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in columns.items()}
        parquet.write_table(pyarrow.table(lists), path)
    return path


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_both_kinds_are_scored(kind: str, tmp_path: Path) -> None:
    query, gallery = read(write(tmp_path / f"e.{kind}"))
    assert (len(query), len(gallery)) == (2, 2)  # what is of the training set is left aside
    assert query.embeddings.dtype == np.float32
    assert evaluate(query, gallery).rank(1) == 1.0


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_rows_of_one_name_person_and_camera_are_one_picture(kind: str, tmp_path: Path) -> None:
    names, camids = np.array(["a", "b", "a", "b", "e"]), np.array([1, 1, 1, 2, 1])
    query, gallery = read(write(tmp_path / f"e.{kind}", name=names, camid=camids))
    assert (query.content_hashes == gallery.content_hashes).tolist() == [True, False]
    assert query.names == ("a", "b")
    assert evaluate(query, gallery, "no-camera").num_skipped == 1  # a's only match is itself


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_the_column_content_says_which_rows_are_one_picture(kind: str, tmp_path: Path) -> None:
    content = np.array([2**63 - 1, 3, 2**63 - 1, 4, 5], np.uint64)
    query, gallery = read(write(tmp_path / f"e.{kind}", content=content))
    assert query.content_hashes.tolist() == [2**63 - 1, 3]
    assert evaluate(query, gallery, "no-camera").num_skipped == 1
    with pytest.raises(DatasetError, match="content must have one whole number a row"):
        read(write(tmp_path / f"f.{kind}", content=content.astype(str)))


def test_rows_without_names_of_two_files_are_two_pictures(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    split, pids = np.array(["query", "query", "gallery", "gallery", "train"]), np.full(5, 7)
    paths = [write(at / "e.npz", split=split, pid=pids) for at in (tmp_path, tmp_path / "other")]
    query, gallery = read(*paths)
    assert len({*query.content_hashes.tolist(), *gallery.content_hashes.tolist()}) == 8


@pytest.mark.parametrize("kind", ["npz", "parquet"])
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"vector": None}, "no vector"),
        ({"camid": None, "split": None}, "no camid, split"),
        ({"split": np.array(["query"] * 5)}, "no rows of the split gallery"),
        ({"split": np.array(["query", "query", "gallery", "galery", "train"])}, "galery"),
        ({"pid": np.array([1, 2, 1.5, 2, 9])}, r"pid must be whole numbers of 64 bits, not 1\.5 \(row 2\)"),
        ({"camid": np.array([1, 2, np.inf, 2, 9])}, "camid must be whole numbers"),
        ({"vector": np.array([["a", "b"]] * 5)}, "vector must (be|hold lists of) numbers"),
        ({"vector": np.ones(5)}, "vector must"),
    ],
)
def test_what_is_not_as_it_must_be(kind: str, changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=says):
        read(write(tmp_path / f"e.{kind}", **changes))


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_people_and_cameras_by_names(kind: str, tmp_path: Path) -> None:
    names = np.array(["ann", "bob", "ann", "bob", "cy"])
    cameras = np.array(["hall", "hall", "door", "door", ""])
    for changes in ({"pid": names, "camid": cameras}, {"pid": None, "person": names, "camid": None, "camera": cameras}):
        path = write(tmp_path / f"e.{kind}", **changes)
        query, gallery = read(path)
        assert (query.pids.tolist(), gallery.pids.tolist()) == ([1, 2], [1, 2])
        assert (query.camids.tolist(), gallery.camids.tolist()) == ([2, 2], [1, 1])
        assert query.camera_names == ("hall", "hall")
        rows = read_rows(path)
        assert rows.persons.tolist() == names.tolist()
        assert rows.camids.tolist() == [2, 2, 1, 1, -1]


def test_names_of_shards_are_numbered_together(tmp_path: Path) -> None:
    first = write(tmp_path / "1.npz", pid=np.array(["b", "c", "b", "c", "c"]), split=np.array(["query"] * 5))
    second = write(tmp_path / "2.npz", pid=np.array(["a", "b", "-1", "", "c"]), split=np.array(["gallery"] * 5))
    query, gallery = read(first, second)
    assert query.pids.tolist() == [2, 3, 2, 3, 3]
    assert gallery.pids.tolist() == [1, 2, -1, -1, 3]
    numbers = write(tmp_path / "3.npz", pid=np.array(["7", "8", "7", "8", "9"]), camid=np.array(["c1", "c1", *"222"]))
    query, gallery = read(numbers)
    assert (query.pids.tolist(), query.camids.tolist(), query.cameras) == ([7, 8], [1, 1], ())


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_whole_numbers_of_any_type(kind: str, tmp_path: Path) -> None:
    pids = np.array([1.0, 2.0, 1.0, np.nan, 9.0])
    query, gallery = read(write(tmp_path / f"e.{kind}", pid=pids, camid=np.array([1, 1, 2, 2, 1], np.uint8)))
    assert (query.pids.tolist(), gallery.pids.tolist()) == ([1, 2], [1, -1])
    parquet.write_table(
        pyarrow.table({**{name: column.tolist() for name, column in COLUMNS.items()}, "pid": [1, 2, 1, None, 9]}),
        tmp_path / "none.parquet",
    )
    assert read_rows(tmp_path / "none.parquet").pids.tolist() == [1, 2, 1, -1, 9]


@pytest.mark.filterwarnings("error")
def test_rows_of_no_camera_are_told(tmp_path: Path) -> None:
    evaluate(*read(write(tmp_path / "e.npz", camid=np.array([1, 1, 2, 2, -1]))))  # of train
    unknown = read(write(tmp_path / "e.npz", camid=np.array([1, -1, 2, -1, 1])))
    evaluate(*unknown, "no-camera")
    with pytest.warns(UserWarning, match="2 of 4 pictures are by no known camera"):
        evaluate(*unknown)


def test_vectors_that_cannot_be_compared_are_named_by_row(tmp_path: Path) -> None:
    vectors = np.array([[1, 0], [np.nan, 1], [1, 0.1], [np.inf, 1], [np.nan, 5]])
    with pytest.raises(EmbeddingError, match=r"e\.npz: 2 embeddings hold NaN or infinity, of 4: rows 1, 3, counted"):
        read(write(tmp_path / "e.npz", vector=vectors))
    zeros = write(tmp_path / "e.npz", vector=np.array([[1, 0], [0, 1], [1, 0.1], [0, 0], [0, 0]]))
    with pytest.raises(EmbeddingError, match=r"e\.npz: 1 embedding holds zeros alone.*row 3"):
        read(zeros)
    query, gallery = read(zeros, zeros=True)
    assert evaluate(query, gallery, distance="euclidean").num_query == 2
    with pytest.raises(DatasetError, match="complex"):
        read(write(tmp_path / "e.npz", vector=COLUMNS["vector"] * 1j))


def test_files_that_are_none(tmp_path: Path) -> None:
    for name, content in (("e.npz", b""), ("e.npz", b"PK\x03\x04junk"), ("e.parquet", b"junk"), ("e.txt", b"1,2")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DatasetError):
            read(tmp_path / name)
    with pytest.raises(DatasetError):
        read(tmp_path / "nowhere.npz")
    np.savez(tmp_path / "pickled.npz", **{**COLUMNS, "pid": np.array([print] * 5)}, allow_pickle=True)
    with pytest.raises(DatasetError):
        read(tmp_path / "pickled.npz")
    np.save(tmp_path / "single.npy", COLUMNS["vector"])
    with pytest.raises(DatasetError, match=r"single array.*numpy\.savez\('\w+\.npz', vector=numpy\.load\("):
        read(tmp_path / "single.npy")
    ragged = [[1.0, 2.0], [1.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]
    with pytest.raises(DatasetError, match="one length"):
        read(write(tmp_path / "ragged.parquet", vector=ragged))
    with pytest.raises(EmbeddingError, match="NaN"):
        read(write(tmp_path / "nan.npz", vector=np.full((5, 2), np.nan)))


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_pid_zero_means_what_the_data_mean(kind: str, tmp_path: Path) -> None:
    alone = write(tmp_path / f"alone.{kind}", pid=np.array([1, 2, 1, 0, 9]))
    assert read(alone)[1].pids.tolist() == [1, 0]
    from_zero = write(tmp_path / f"zero.{kind}", pid=np.array([0, 1, 0, 1, 9]))
    with pytest.warns(UserWarning, match="pid 0 is a person here, not a distractor, since query holds it"):
        query, gallery = read(from_zero)
    assert query.pids.tolist() == gallery.pids.tolist() == [PERSON_ZERO, 1]
    assert evaluate(query, gallery).num_scored == 2


def test_pid_zero_is_the_same_in_every_shard(tmp_path: Path) -> None:
    first = write(tmp_path / "1.npz", pid=np.array([0, 1, 9, 9, 9]), split=np.array(["query"] * 2 + ["train"] * 3))
    second = write(tmp_path / "2.npz", pid=np.array([0, 1, 0, 1, 9]), split=np.array(["gallery"] * 5))
    with pytest.warns(UserWarning, match="person here"):
        _, gallery = read(first, second)
    assert gallery.pids.tolist() == [PERSON_ZERO, 1, PERSON_ZERO, 1, 9]


def test_other_files_are_told_what_to_do(tmp_path: Path) -> None:
    table = tmp_path / "e.csv"
    table.write_text("pid,camid,split,f0\n1,0,query,0.1\n")
    with pytest.raises(DatasetError, match=r"neither npz nor Parquet.*numpy\.savez") as caught:
        read(table)
    assert "allow_pickle" not in str(caught.value)
    with pytest.raises(DatasetError, match=r"Python objects.*numpy\.asarray\(column, str\)"):
        read(write(tmp_path / "o.npz", split=np.array(COLUMNS["split"], object)))
    np.save(tmp_path / "one.npy", COLUMNS["vector"])
    with pytest.raises(DatasetError, match=r"single array.*numpy\.savez\('\w+\.npz', vector=numpy\.load\("):
        read(tmp_path / "one.npy")
    named_otherwise = tmp_path / "table.pq"
    write(tmp_path / "e.parquet").rename(named_otherwise)
    assert len(read(named_otherwise)[0]) == 2


def test_tracks_times_and_names_of_cameras_are_read(tmp_path: Path) -> None:
    path = tmp_path / "walk.npz"
    vectors = np.eye(3, dtype=np.float32)
    common: dict[str, Any] = {
        "vector": vectors,
        "pid": [1, 2, 3],
        "camid": [1, 2, 3],
        "split": ["query", "gallery", "gallery"],
    }
    np.savez(path, **common, track=["7", "", "8"], time=[1.5, np.nan, 3], camera=["gate", "c2", ""])
    found = read_rows(path)
    assert found.tracks.tolist() == ["7", "", "8"]
    np.savez(tmp_path / "numbers.npz", **common, track=[7.0, np.nan, 8.0])  # as pandas has numbers, some missing
    assert read_rows(tmp_path / "numbers.npz").tracks.tolist() == ["7", "", "8"]
    assert found.times.tolist()[::2] == [1.5, 3.0]
    assert found.camera_names == ["gate", "2", "3"]
    query, gallery = read(path)
    assert (query.camera_names, gallery.camera_names) == (("gate",), ("2", "3"))
    np.savez(path, **common)
    assert read(path)[1].camera_names == ("2", "3")
    assert read_rows(path).tracks.tolist() == ["", "", ""]
    np.savez(path, **common, time=["noon"] * 3)
    with pytest.raises(DatasetError, match="time must be seconds"):
        read_rows(path)


@pytest.mark.parametrize("unit", ["us", "ns", "s"])
def test_timestamps_are_seconds(unit: str, tmp_path: Path) -> None:
    times = np.array(["2024-01-01T00:00:00", "NaT"], f"M8[{unit}]")
    np.savez(tmp_path / "e.npz", vector=np.eye(2), time=times)
    assert read_rows(tmp_path / "e.npz").times[0] == 1704067200.0
    assert np.isnan(read_rows(tmp_path / "e.npz").times[1])


@pytest.mark.parametrize("changes", [{"name": "x"}, {"track": np.zeros((2, 2))}, {"split": "query"}])
def test_columns_have_one_value_a_row(changes: dict[str, Any], tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", vector=np.eye(2), **changes)
    with pytest.raises(DatasetError, match="one value a row"):
        read_rows(tmp_path / "e.npz")


def test_what_c_and_trackers_write(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "e.npz",
        vector=np.eye(2),
        person=np.array([b"Ann", b"Bob"]),
        camera=np.array([b"gate", b"door"]),
        split=np.array([b"query", b"gallery"]),
        name=np.array([b"a.jpg", b"b.jpg"]),
        track=np.array([-1, 7]),
    )
    rows = read_rows(tmp_path / "e.npz")
    assert rows.persons.tolist() == ["Ann", "Bob"]
    assert rows.camera_names == ["gate", "door"]
    assert rows.names.tolist() == ["a.jpg", "b.jpg"]
    assert rows.tracks.tolist() == ["", "7"]
    np.savez(tmp_path / "e.npz", vector=np.eye(2), blank=["False", "True"])
    with pytest.raises(DatasetError, match="blank must be true or false"):
        read_rows(tmp_path / "e.npz")
    parquet.write_table(pyarrow.table({"vector": [[1.0], [2.0]], "blank": [None, True]}), tmp_path / "e.parquet")
    assert read_rows(tmp_path / "e.parquet").blank.tolist() == [False, True]
