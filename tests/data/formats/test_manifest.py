from __future__ import annotations

from pathlib import Path

import pytest

from resight.core.errors import ConfigError, DatasetError
from resight.data.crops import Crop, Dataset
from resight.data.formats.catalogue import open_dataset
from resight.data.formats.manifest import read_manifest, write_manifest


def table(folder: Path, *rows: str, header: str = "path,pid,camid,split") -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def test_names_are_numbered_and_numbers_kept(tmp_path: Path) -> None:
    data = read_manifest(table(tmp_path, "a.jpg,0012,north,Train", "b.jpg,7,east,query", "/c.jpg,7,north,gallery"))
    assert [c.pid for c in (*data.train, *data.query, *data.gallery)] == [12, 7, 7]
    assert [c.camid for c in (*data.train, *data.query, *data.gallery)] == [2, 1, 2]
    assert data.train[0].path == tmp_path / "a.jpg"
    assert data.gallery[0].path == Path("/c.jpg")


def test_optional_columns(tmp_path: Path) -> None:
    header = "time,path,pid,camid,split,track,frame,mine"
    data = read_manifest(
        table(tmp_path, "1.5,a.jpg,1,1,train,t9,42,x", "2026-03-01T08:00:00Z,b.jpg,1,2,train,,,", header=header)
    )
    assert (data.train[0].time, data.train[0].track, data.train[0].frame) == (1.5, "t9", 42)
    assert (data.train[1].time, data.train[1].track, data.train[1].frame) == (1772352000.0, None, None)


def test_bad_rows_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    header = "path,pid,camid,split,time"
    rows = (
        "a.jpg,1,1,train,0",
        ",1,1,train,0",
        "b.jpg,1,1,holiday,0",
        "c.jpg,1,1,train,noon",
        "d.jpg,1,1,train,inf",
        "a.jpg,1,1,train,0",
        "a.jpg,1,1,query,0",
        "short",
    )
    data = read_manifest(table(tmp_path, *rows, header=header))
    assert [c.name for c in data.train] == ["a.jpg"]
    assert [c.name for c in data.query] == ["a.jpg (query)"]  # names stay unique
    assert [p.name for p in data.problems] == [f"table.csv, row {n}" for n in (2, 3, 8, 4, 5, 6)]
    with pytest.raises(DatasetError, match=r"no picture that can be used, in 1 rows. First: table.csv, row 1, no path"):
        read_manifest(table(tmp_path, ",1,1,train"))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0\0", b"path,pid\na,1\n", b"path,pid,camid,split\n" + b"\xff"])
def test_what_is_no_table(tmp_path: Path, content: bytes) -> None:
    for suffix in ("csv", "parquet"):
        path = tmp_path / f"t.{suffix}"
        path.write_bytes(content)
        with pytest.raises(DatasetError):
            read_manifest(path)


def test_the_city_needs_a_folder_for_its_pictures(small_city: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--pictures"):
        write_manifest(small_city, tmp_path / "city.csv")
    with pytest.raises(ConfigError, match="ends in"):
        write_manifest(small_city, tmp_path / "city.txt", tmp_path)
    assert not write_manifest(small_city, tmp_path / "city.csv", tmp_path / "pictures")
    data = read_manifest(tmp_path / "city.csv")
    assert [c.read() for c in data.query] == [c.read() for c in small_city.query]
    assert data.rights == small_city.rights
    assert data.query[0].time == small_city.query[0].time
    assert data.query[0].track == small_city.query[0].track
    first = small_city.query[0]  # at its own path below the split
    assert (tmp_path / "pictures" / "query" / first.name).read_bytes() == first.read()
    (tmp_path / "pictures").rename(tmp_path / "elsewhere")  # the folder is whole without the table beside it
    folder = open_dataset(tmp_path / "elsewhere")
    for split in ("train", "query", "gallery"):
        told = [
            [(c.pid, c.camid, c.time, c.track, c.read()) for c in getattr(each, split)] for each in (folder, small_city)
        ]
        assert told[0] == told[1]


def test_what_pandas_makes_of_columns_with_gaps(tmp_path: Path) -> None:
    header = "path,pid,camid,split,time,frame"
    data = read_manifest(table(tmp_path, "a.jpg,7.0,2.0,train,nan,12.0", "b.jpg,8.0,2.0,train,1.5,", header=header))
    assert [(c.pid, c.camid, c.time, c.frame) for c in data.train] == [(7, 2, None, 12), (8, 2, 1.5, None)]


def test_file_names_need_not_be_utf8(tmp_path: Path) -> None:
    name = b"1_\xff.jpg".decode("utf-8", "surrogateescape")
    crop = Crop(name, 1, 1, path=tmp_path / name)
    (tmp_path / name).write_bytes(b"x")
    dataset = Dataset("odd", "folder", (crop,), (), ())
    write_manifest(dataset, tmp_path / "odd.csv")
    assert read_manifest(tmp_path / "odd.csv").notes == ()
    assert read_manifest(tmp_path / "odd.csv").train[0].path == tmp_path / name
    with pytest.raises(ConfigError, match=r"write a \.csv"):
        write_manifest(dataset, tmp_path / "odd.parquet")


def test_pictures_are_not_written_among_others(small_city: Dataset, tmp_path: Path) -> None:
    (tmp_path / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(ConfigError, match="holds files already"):
        write_manifest(small_city, tmp_path / "city.csv", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.jpg"]


def test_a_name_that_climbs_stays_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "outside.jpg").write_bytes(b"x")
    data = read_manifest(table(tmp_path / "in", "../outside.jpg,1,1,train", "gone.jpg,1,1,train"))
    (problem,) = write_manifest(data, tmp_path / "in" / "new.csv", tmp_path / "in" / "pictures")
    assert problem.name == "gone.jpg"
    assert (tmp_path / "in" / "pictures" / "train" / "outside.jpg").read_bytes() == b"x"


def test_pictures_that_would_have_one_path_are_kept_apart(tmp_path: Path) -> None:
    labels = (("../b.jpg", "bob", "north"), ("b.jpg", "x/y", "1"), ("/", "..", "a_b"))
    crops = tuple(
        Crop(name, number, 1, data=bytes([number]), person=person, camera=camera)
        for number, (name, person, camera) in enumerate(labels, 1)
    )
    assert not write_manifest(Dataset("odd", "folder", crops, (), ()), tmp_path / "t.parquet", tmp_path / "pictures")
    for place in (tmp_path / "t.parquet", tmp_path / "pictures"):
        found = open_dataset(place)
        assert [crop.read() for crop in found.train] == [bytes([n]) for n in (1, 2, 3)]
        assert [(crop.person, crop.camera) for crop in found.train] == [label[1:] for label in labels]


def test_a_picture_in_two_splits_keeps_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    data = read_manifest(table(tmp_path, "a.jpg,1,1,query", "a.jpg,1,1,gallery"))
    assert not write_manifest(data, tmp_path / "pictures" / "manifest.csv", tmp_path / "pictures")
    found = read_manifest(tmp_path / "pictures")
    assert sorted(c.name for c in (*found.query, *found.gallery)) == ["gallery/a.jpg", "query/a.jpg"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_tables_as_other_programs_write_them(encoding: str, delimiter: str, tmp_path: Path) -> None:
    text = "Path,PID,camid, split\r\nä.jpg,7,1,query\r\nb.jpg,7,2,gallery\r\n".replace(",", delimiter)
    (tmp_path / "t.csv").write_text(text, encoding=encoding, newline="")
    data = read_manifest(tmp_path / "t.csv")
    assert [(c.name, c.pid) for c in (*data.query, *data.gallery)] == [("ä.jpg", 7), ("b.jpg", 7)]


def test_backslashes_of_windows_are_slashes_where_no_file_has_them(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"a")
    (tmp_path / "odd\\b.jpg").write_bytes(b"b")
    data = read_manifest(table(tmp_path, r"in\a.jpg,1,1,query", r"odd\b.jpg,1,2,gallery", r"C:\d\c.jpg,1,1,gallery"))
    assert [(c.name, c.read()) for c in (*data.query, *data.gallery)] == [("in/a.jpg", b"a"), ("odd\\b.jpg", b"b")]
    assert [p.reason for p in data.problems] == [
        r"C:\d\c.jpg is a path of Windows with a drive; write it relative to the table's folder"
    ]
    data = read_manifest(table(tmp_path, r"in\gone.jpg,1,1,query"))
    assert data.query[0].path == tmp_path / "in" / "gone.jpg"


def test_what_tables_write_for_nothing_is_nobody(tmp_path: Path) -> None:
    rows = (
        f"{n}.jpg,{pid},1,gallery" for n, pid in enumerate(("None", "NaN", "NULL", "<NA>", "-3", "-1", "-1.0", "4"))
    )
    data = read_manifest(table(tmp_path, *rows))
    assert [c.pid for c in data.gallery] == [-1, -1, 4]
    assert [p.reason for p in data.problems] == ["no pid"] * 4 + ["pid -3: of those below 0 only -1 has a meaning"]


def test_a_table_of_windows_is_read_and_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "Jürgen").mkdir()
    (tmp_path / "Jürgen" / "a.jpg").write_bytes(b"a")
    odd = b"1_\xfc.jpg".decode("utf-8", "surrogateescape")  # a file's name that is no UTF-8
    (tmp_path / odd).write_bytes(b"b")
    text = "path;pid;camid;split;mine\nJürgen\\a.jpg;Jürgen1;Süd;query;ä\n1_ü.jpg;Jürgen1;Nord;gallery;\n"
    (tmp_path / "t.csv").write_bytes(text.encode("cp1252"))
    data = read_manifest(tmp_path / "t.csv")
    assert [(c.person, c.camera, c.read()) for c in (*data.query, *data.gallery)] == [
        ("Jürgen1", "Süd", b"a"),
        ("Jürgen1", "Nord", b"b"),
    ]
    assert data.notes == (
        "t.csv is no UTF-8: 4 values were read as Windows-1252, the first Jürgen\\a.jpg (path in row 1). If that is "
        "wrong, save the table as UTF-8",
    )
    (tmp_path / "1_ü.jpg").write_bytes(b"c")  # now its name as text is there too
    assert read_manifest(tmp_path / "t.csv").gallery[0].read() == b"c"
    (tmp_path / "t.csv").write_bytes(b"path,pid,camid,split\na.jpg,J\x81,1,query\n")
    with pytest.raises(DatasetError, match=r"row 1: pid is neither UTF-8 nor Windows-1252 .the byte 0x81.; save"):
        read_manifest(tmp_path / "t.csv")


def test_labels_that_contradict_each_other(tmp_path: Path) -> None:
    rows = ("a.jpg,7,1,train", "a.jpg,8,1,train", "a.jpg,007,1,train", "b.jpg,7,1,query", "b.jpg,7,2,gallery")
    data = read_manifest(table(tmp_path, *rows))
    assert [(p.name, p.reason) for p in data.contradictions] == [
        ("a.jpg", "pid 7 in row 1 and pid 8 in row 2"),
        ("b.jpg", "camid 1 in row 4 and camid 2 in row 5"),
    ]
    assert [p.reason for p in data.problems] == [
        "a.jpg is listed twice in train, as pid 7 in row 1 and pid 8 in row 2: the first is taken",
        "a.jpg is listed twice in train",
    ]
    assert [crop.pid for crop in data.train] == [7]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_column_that_is_there_twice_is_refused(suffix: str, tmp_path: Path) -> None:
    path = table(tmp_path, "a.jpg,7,8,1,train", header="path,pid,PID,camid,split")
    if suffix == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        path = tmp_path / "t.parquet"
        columns = ["a.jpg", "7", "8", "1", "train"]
        names = ["path", "pid", "pid", "camid", "split"]
        parquet.write_table(pyarrow.Table.from_arrays([pyarrow.array([each]) for each in columns], names), path)
    with pytest.raises(DatasetError, match="has the column pid more than once"):
        read_manifest(path)


def test_lines_of_json_are_a_table(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"path": "a.jpg", "pid": 7, "camid": "c1", "split": "query", "time": 2.5}\n\n{"Path": "ü.jpg"}\n')
    data = read_manifest(path)
    assert [(c.name, c.pid, c.camid, c.time) for c in data.query] == [("a.jpg", 7, 1, 2.5)]
    assert [p.reason for p in data.problems] == ["no pid, camid, split"]
    for text, message in (("[1]", "line 1: a list of JSON"), ("{", "line 1: not JSON"), ("\n{}", "no column path")):
        path.write_text(text)
        with pytest.raises(DatasetError, match=message):
            read_manifest(path)


def test_what_is_wrong_with_a_table_is_said(tmp_path: Path) -> None:
    header = "image,id,Camera,set"
    with pytest.raises(
        DatasetError,
        match=r"say --column path=image --column pid=id --column camid=camera --column split=set to",
    ):
        read_manifest(table(tmp_path, "a.jpg,7,1,train", header=header))
    with pytest.raises(DatasetError, match="That is one column: separate them by commas, semicolons, tabs or"):
        read_manifest(table(tmp_path, "a.jpg:7:1:train", header="path:pid:camid:split"))
    with pytest.raises(DatasetError) as caught:
        read_manifest(table(tmp_path, "a.jpg,7,1,test", "b.jpg,7,1,test", "c.jpg,7,1,val"))
    assert "Its splits are test (2), val (1); those that are read: train, query, gallery;" in str(caught.value)
    assert "write query for those that are searched for, gallery for those that are searched" in str(caught.value)
    for name, what in (("a.zip", "an archive: unpack"), ("a.xlsx", "a spreadsheet: save"), ("a.tsv", "rename it")):
        (tmp_path / name).write_bytes(b"PK\x03\x04")
        with pytest.raises(DatasetError, match=what):
            open_dataset(tmp_path / name)


def test_times_of_a_table_are_dates_or_seconds_from_any_beginning(tmp_path: Path) -> None:
    rows = ["a.jpg,1,1,train,20260301T0800Z", "b.jpg,1,1,train,2026", "c.jpg,1,1,train,20261301", "d.jpg,1,1,train,inf"]
    path = tmp_path / "times.csv"
    path.write_text("\n".join(["path,pid,camid,split,time", *rows]))
    data = read_manifest(path)
    assert [crop.time for crop in data.train] == [1772352000.0, 2026.0]
    assert ["can be meant as a date" in data.problems[0].reason, "is no time" in data.problems[1].reason] == [True] * 2


@pytest.mark.parametrize("labels", [{"person": "NA"}, {"camera": " none"}])
def test_names_that_mean_nothing_are_not_written(labels: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    crop = Crop("a.jpg", 1, 1, path=tmp_path / "a.jpg", **labels)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="cannot be in a table"):
        write_manifest(Dataset("d", "folder", (crop,), (), ()), tmp_path / "t.csv")
    assert not (tmp_path / "t.csv").exists()


def test_a_track_of_minus_one_is_none(tmp_path: Path) -> None:
    data = read_manifest(
        table(tmp_path, "a.jpg,1,1,train,-1", "b.jpg,1,1,train,7", header="path,pid,camid,split,track")
    )
    assert [crop.track for crop in data.train] == [None, "7"]


def test_half_a_character_of_json_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"path": "a\\ud83d.jpg", "pid": 1, "camid": 1, "split": "train"}')
    with pytest.raises(DatasetError, match="line 1: not JSON in UTF-8"):
        read_manifest(tmp_path / "t.jsonl")
