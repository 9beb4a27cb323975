"""Labelled people, divided into train, query and gallery."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from resight.core.errors import ConfigError, DatasetError
from resight.data.crops import SPLITS, Crop, Dataset
from resight.data.formats.catalogue import open_dataset
from resight.data.formats.manifest import write_manifest
from resight.data.splitting import open_unsplit, split_people
from tests.data.formats.test_manifest import table


def of(*people: Sequence[int]) -> Dataset:
    """The people 1, 2, ...; each as the number of pictures by camera 0, 1, ...."""
    crops = [
        Crop(f"{pid}-{camid}-{number}", pid, camid, data=b"")
        for pid, cameras in enumerate(people, 1)
        for camid, count in enumerate(cameras)
        for number in range(count)
    ]
    return Dataset("town", "folder", (), (), tuple(crops))


def whose(crops: Sequence[Crop]) -> set[int]:
    return {crop.pid for crop in crops}


def test_who_is_searched_for_is_not_trained_on_and_every_picture_is_somewhere() -> None:
    data = of(*[(3, 2, 1)] * 10)
    split = split_people(data, test=0.3)
    assert len(whose(split.train)) == 7
    assert len(whose(split.query)) == 3
    assert whose(split.query) == whose(split.gallery)
    assert not whose(split.train) & whose(split.gallery)
    everything = [*split.train, *split.query, *split.gallery]
    assert sorted(c.name for c in everything) == sorted(c.name for c in data.gallery)
    assert split_people(data, test=1).train == ()


@pytest.mark.parametrize(
    ("pictures", "queries"),
    [((3, 2), [(0,), (1,)]), ((2, 1), [(0,)]), ((1, 1), [(0,), (1,)]), ((1, 1, 4), [(2,)]), ((5, 0, 2), [(0,), (2,)])],
)
def test_each_query_has_a_match_by_another_camera(pictures: Sequence[int], queries: list[tuple[int]]) -> None:
    """One query a camera with several pictures; of one picture by each camera, one is the query."""
    for seed in range(8):
        split = split_people(of(pictures), test=1, seed=seed)
        for query in split.query:
            assert any(found.pid == query.pid and found.camid != query.camid for found in split.gallery)
        cameras = [query.camid for query in split.query]
        assert len(cameras) == len(set(cameras))
        if pictures == (1, 1):
            assert cameras in ([0], [1])
        else:
            assert cameras == [camera for (camera,) in queries]


def test_the_order_of_the_files_does_not_matter_and_the_seed_does() -> None:
    data = of(*[(3, 3)] * 12)
    split = split_people(data)
    shuffled = list(data.gallery)
    random.Random(1).shuffle(shuffled)
    assert split_people(replace(data, gallery=tuple(shuffled))) == split
    assert split_people(data, seed=1).query != split.query


def test_whoever_one_camera_saw_is_divided_too_and_no_query() -> None:
    split = split_people(of(*[(2, 2)] * 6, *[(4,)] * 4))
    assert [len(whose(part)) for part in (split.train, split.query, split.gallery)] == [5, 3, 5]
    assert whose(split.query) < set(range(1, 7))
    assert "4 people are seen by one camera only" in split.notes[0]


def test_where_all_are_seen_by_one_camera_they_are_searched_for_there() -> None:
    split = split_people(of(*[(3,)] * 4, (1,)), test=1)
    assert len(split.query) == 4
    assert "--protocol no-camera" in split.notes[0]


def test_nobody_in_particular_is_in_the_gallery() -> None:
    crops = of((2, 2), (2, 2)).gallery
    strangers = (replace(crops[0], name="a", pid=0), replace(crops[0], name="b", pid=-1))
    split = split_people(Dataset("town", "folder", (), (), (*crops, *strangers)))
    assert {crop.name for crop in split.gallery} >= {"a", "b"}
    assert not {0, -1} & whose((*split.train, *split.query))
    assert split.notes[0].startswith("pid 0 is nobody in particular: 1 picture of it is in the gallery")


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan")])
def test_a_share_is_between_none_and_all(share: float) -> None:
    with pytest.raises(ConfigError, match="above 0 and at most 1"):
        split_people(of((2, 2)), test=share)


@pytest.mark.parametrize(
    ("data", "test", "reason"),
    [
        (of(*[(2, 2)] * 3), 0.1, "3 people whom two cameras saw, and that share"),
        (of((1,), (1,)), 1.0, "nobody to find again"),
        (Dataset("town", "folder", (), (), (Crop("a", 0, 1),)), 1.0, "no picture of a person"),
    ],
)
def test_nobody_to_search_for_is_told(data: Dataset, test: float, reason: str) -> None:
    with pytest.raises(DatasetError, match=reason):
        split_people(data, test=test)


def test_what_is_written_reads_as_the_same_split(tmp_path: Path) -> None:
    """And of a data set with splits of its own new ones are made."""
    rows = [
        f"{pid}-{camid}-{number}.jpg,{pid},{camid}" for pid in (9, 1, 2, 3) for camid in (1, 2) for number in (1, 2)
    ]
    split = split_people(table(tmp_path, *rows, header="path,pid,camid"))
    out = tmp_path / "split.csv"
    write_manifest(split, out)
    again = open_dataset(out)
    assert told(again) == told(split)
    assert sum(map(len, told(again).values())) == 16
    anew = told(split_people(out, seed=5))
    assert anew != told(split)
    assert {row for rows in anew.values() for row in rows} == {row for rows in told(split).values() for row in rows}


def told(data: Dataset) -> dict[str, list[tuple[str, int, int]]]:
    return {split: [(c.name, c.pid, c.camid) for c in getattr(data, split)] for split in SPLITS}


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize(
    "names",
    [
        ("Ann/c1_a.jpg", "Ann/c2_b.jpg", "Bob/c1_a.jpg"),
        ("Ann/cam1/a.jpg", "Ann/cam2/b.jpg", "Bob/cam1/a.jpg"),
        ("cam1/Ann/a.jpg", "cam2/Ann/b.jpg", "cam1/Bob/a.jpg"),
        ("Ann/c1_a.jpg", "Ann/cam2/b.jpg", "Bob/camera-1/a.jpg"),
    ],
)
def test_folders_of_people_are_read_in_each_layout(tmp_path: Path, names: tuple[str, ...]) -> None:
    data = open_unsplit(touch(tmp_path / "people", *names))
    assert not data.problems
    assert sorted((crop.person, crop.name) for crop in data.gallery) == sorted(
        ("Ann" if "Ann" in name else "Bob", name) for name in names
    )
    assert len({crop.camid for crop in data.gallery if crop.person == "Ann"}) == 2


def test_names_of_known_data_sets_are_read_without_folders(tmp_path: Path) -> None:
    data = open_unsplit(touch(tmp_path / "all", "0002_c1s1_000451_03.jpg", "0007_c3s1_000451_03.jpg"), "people")
    assert [(crop.pid, crop.camid) for crop in data.gallery] == [(2, 1), (7, 3)]


def test_a_folder_that_is_none_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"cam1/<person>/<anything>.<ext>. Found: nothing"):
        open_unsplit(tmp_path)
    with pytest.raises(DatasetError, match="does not exist"):
        open_unsplit(tmp_path / "none")
    with pytest.raises(DatasetError, match="not a folder"):
        open_unsplit(tmp_path / "none", "people")


def test_a_tables_own_names_of_columns(tmp_path: Path) -> None:
    source = table(tmp_path, "a.jpg,x,7,north,old", "b.jpg,x,7,south,old", header="Image,path,Person,cam,camid")
    data = open_unsplit(source, columns={"path": "image", "pid": "Person", "camid": "cam"})
    assert [(c.name, c.pid, c.camera) for c in data.gallery] == [("a.jpg", 7, "north"), ("b.jpg", 7, "south")]
    with pytest.raises(DatasetError, match="has no column who; found image, path"):
        open_unsplit(source, columns={"pid": "who"})
    with pytest.raises(ConfigError, match="unknown column 'person'"):
        open_unsplit(source, columns={"person": "Person"})
    with pytest.raises(ConfigError, match="is no table"):
        open_unsplit(touch(tmp_path / "p", "Ann/c1_a.jpg"), columns={"pid": "Person"})
    with pytest.raises(DatasetError, match="--column pid=person_id -o "):
        open_dataset(table(tmp_path, "a,1,1", header="path,person_id,camid"))
