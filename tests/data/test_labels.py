"""A label becomes a number in one way, and 0 and -1 mean what the data mean by them."""

from __future__ import annotations

from pathlib import Path

import pytest

from resight.core.errors import DatasetError
from resight.data.crops import SPLITS, Crop, Dataset
from resight.data.formats.catalogue import open_dataset
from resight.data.formats.manifest import write_manifest
from resight.data.labels import PERSON_ZERO, number_cameras, number_people, settled


def dataset(**pids: list[int]) -> Dataset:
    """Of crops of these pids in train, query and gallery."""
    train, query, gallery = (
        tuple(Crop(f"{split}/{n}", pid, n, data=b"") for n, pid in enumerate(pids.get(split, ()))) for split in SPLITS
    )
    return Dataset("it", "manifest", train, query, gallery)


def pids(data: Dataset) -> dict[str, list[int]]:
    return {split: [crop.pid for crop in getattr(data, split)] for split in SPLITS if getattr(data, split)}


def test_numbers_keep_their_own_value_and_names_get_places() -> None:
    assert number_people(["12", "007"]).numbers == {"12": 12, "007": 7}
    named = number_people(["carol", "alice", "carol"])
    assert named.numbers == {"alice": 1, "carol": 2}
    assert named.name_of("carol") == "carol"
    assert number_people(["7"]).name_of("7") is None
    assert number_people(["9" * 19, "8" * 19]).by_place  # more than 64 bits hold
    assert not number_people([]).numbers


def test_two_names_are_never_one_number_without_a_word() -> None:
    twice = number_people(["7", "007", "8"])
    assert twice.numbers == {"7": 7, "007": 7, "8": 8}
    assert twice.doubts == ("people that are written in two ways are taken as one: '007' and '7' are both 7",)
    alike = number_people(["Bob", "bob", "Ann  Lee", "ann lee", "e\u0301va", "\u00e9va"])
    assert len(set(alike.numbers.values())) == 6
    assert "'Bob' and 'bob'" in alike.doubts[0]
    assert "taken as different" in alike.doubts[0]
    assert number_people(["bob", "carol", "1"]).doubts[0] == (
        "'bob' is no number, so all people are numbered by their place among the sorted names: '1' is 1"
    )
    assert not number_people(["bob", "carol"]).doubts


def test_special_numbers_stay_special_among_names() -> None:
    assert number_people(["bob", "-1", "0000", "alice"]).numbers == {"-1": -1, "0000": 0, "alice": 1, "bob": 2}
    assert number_people(["bob", "-1"]).name_of("-1") is None
    assert number_people(["-1", "0", "5"]).numbers == {"-1": -1, "0": 0, "5": 5}


def test_nobody_and_distractors_as_mars_and_market_write_them() -> None:
    numbers = number_people(["00-1", "0000", "0001", "0017"]).numbers
    assert dict(numbers) == {"00-1": -1, "0000": 0, "0001": 1, "0017": 17}


def test_cameras_may_have_a_letter_before_their_number() -> None:
    assert number_cameras(["c2", "Cam10", "camera3", "4"]).numbers == {"c2": 2, "Cam10": 10, "camera3": 3, "4": 4}
    assert "'2' and 'c2' are both 2" in number_cameras(["c2", "2"]).doubts[0]
    assert number_cameras(["cam-1", "cam-2"]).numbers == {"cam-1": 1, "cam-2": 2}  # by their places
    assert number_cameras(["-1", "2"]).numbers == {"-1": -1, "2": 2}
    assert number_cameras(["north", "east"]).numbers == {"east": 1, "north": 2}


def test_zero_in_the_gallery_alone_is_a_distractor() -> None:
    data = dataset(train=[1, 2], query=[5], gallery=[5, 0, 0, -1])
    assert settled(data) == data


@pytest.mark.parametrize("where", ["query", "train"])
def test_zero_in_query_or_train_is_a_person_everywhere(where: str) -> None:
    data = settled(dataset(**{"train": [1, 2], "query": [5], "gallery": [5, 0], where: [0, 3]}))
    assert pids(data)[where] == [PERSON_ZERO, 3]  # the others keep their numbers
    assert pids(data)["gallery"] == [5, PERSON_ZERO]
    assert data.gallery[1].person == "0"
    assert data.notes == (
        f"pid 0 is a person here, not a distractor, since {where} holds it: the people are numbered from 0. That "
        f"person is told as {PERSON_ZERO}; all others keep their numbers",
    )


def test_two_people_are_never_one_number() -> None:
    with pytest.raises(DatasetError, match="are both people"):
        settled(dataset(query=[0, PERSON_ZERO], gallery=[1]))


def test_no_identity_is_nobody_to_learn_from_or_to_search_for() -> None:
    data = settled(dataset(train=[1, -1], query=[-1, 5], gallery=[5, -1]))
    assert pids(data) == {"train": [1], "query": [5], "gallery": [5, -1]}
    assert [(p.name, p.reason) for p in data.problems] == [
        ("train/1", "pid -1 is no identity: there is nobody to learn from"),
        ("query/0", "pid -1 is no identity: there is nobody to search for"),
    ]


def test_a_table_keeps_names_and_the_person_zero_when_it_is_written_again(tmp_path: Path) -> None:
    header = "path,pid,camid,split\n"
    for name, rows in {
        "zero": "a.jpg,0,1,query\nb.jpg,0,2,gallery\nc.jpg,3,2,gallery\n",
        "named": "a.jpg,bob,north,query\nb.jpg,bob,south,gallery\nc.jpg,alice,south,gallery\nd.jpg,-1,north,gallery\n",
    }.items():
        (tmp_path / f"{name}.csv").write_text(header + rows)
        data = open_dataset(tmp_path / f"{name}.csv")
        for suffix in ("csv", "parquet"):
            table = tmp_path / f"{name} again.{suffix}"
            write_manifest(data, table)
            again = open_dataset(table)
            assert (again.query, again.gallery) == (data.query, data.gallery)
    assert [(crop.person, crop.camera) for crop in data.query] == [("bob", "north")]
    assert [crop.pid for crop in data.gallery] == [2, 1, -1]
