"""What a name, a number, a time and a row mean, and keep meaning: the same tests, whatever the engine."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resight.core.errors import ConfigError, DataError, GalleryError
from resight.data.crops import Crop, Dataset
from resight.data.embeddings import read_rows
from resight.data.labels import PERSON_ZERO
from resight.gallery.engines import open_store as store_of
from resight.gallery.gallery import Gallery
from resight.gallery.migrate import migrate
from resight.gallery.people import NAMED, pid_of_name
from resight.gallery.transfer import placing
from resight.gallery.transfer.exporting import export, restore
from resight.gallery.transfer.rows import Row, rows_of_crops, rows_of_embeddings
from tests.gallery.helpers import CALIBRATED, DIM, MODEL, pictures, unit
from tests.gallery.test_contract import Open
from tests.gallery.test_contract import open_store as open_store

DAY_S = 86_400.0


def crops(*people: tuple[str, str], seed: int = 0, pid: int = 0) -> Dataset:
    """A day's data: (person, camera) of each picture, numbered by their places among this day's names."""
    names = sorted({person for person, _ in people})
    cameras = sorted({camera for _, camera in people})
    rows = unit(len(people), seed=seed)
    made = tuple(
        Crop(
            f"{person}/{number}.jpg",
            names.index(person) + 1,
            cameras.index(camera) + 1,
            data=rows[number].tobytes(),
            person=person,
            camera=camera,
        )
        for number, (person, camera) in enumerate(people)
    )
    return Dataset("day", "folder", (), (), made)


def test_a_name_is_one_person_on_each_day_and_engine(open_store: Open, tmp_path: Path) -> None:
    gallery = open_store(CALIBRATED)
    gallery.add_dataset(crops(("alice", "north"), ("bob", "north")))
    gallery.add_dataset(crops(("bob", "south"), ("carol", "south"), seed=1))
    by_name: dict[Any, set[Any]] = {}
    for entry in gallery.entries():
        by_name.setdefault(entry.pid, set()).add(entry.person)
    assert sorted(map(list, by_name.values())) == [["alice"], ["bob"], ["carol"]]
    assert gallery.stats().cameras == {"north": 2, "south": 2}
    (found,) = gallery.search(unit(2)[0].tobytes(), 1)
    assert (found.person, found.verdict, found.camera) == ("alice", "known as alice", "north")
    assert {match.person for match in gallery.search(unit(1)[0].tobytes(), None, people="bob")} == {"bob"}
    assert len(list(gallery.entries(exclude_people=["bob", "carol"]))) == 1
    with Gallery(store_of(tmp_path / "copy.db", gallery.settings)) as copy:
        migrate(gallery, copy)
        assert copy.forget(people="bob").entries == 2
        assert {entry.person for entry in copy.entries()} == {"alice", "carol"}
    assert gallery.forget(people=["bob"]).entries == 2
    assert {entry.person for entry in gallery.entries()} == {"alice", "carol"}
    assert not list(gallery.verify())


def test_linked_people_are_told_by_name(open_store: Open) -> None:
    gallery = open_store()
    gallery.add(pictures(unit(2)), camera="north", person=["bob", "robert"])
    gallery.link(pid_of_name("bob"), pid_of_name("robert"))
    assert gallery.search(unit(2)[0].tobytes(), 1)[0].person == "robert"  # whose own entry is not among the matches
    assert len(list(gallery.entries(people="bob"))) == 2


def test_two_names_are_never_one_number(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = open_store()
    monkeypatch.setattr("resight.gallery.arguments.pid_of_name", lambda name: NAMED + 5)
    gallery.add(pictures(unit(1)), camera="north", person="bob")
    for other in (gallery, open_store()):
        with pytest.raises(ConfigError, match="'bob', so it cannot be of 'carol'"):
            other.add(pictures(unit(1, seed=1)), camera="north", person="carol")
    assert len(gallery) == 1


def test_numbers_of_the_data_stay_its_own() -> None:
    assert (pid_of_name("7"), pid_of_name("007"), pid_of_name("0")) == (7, 7, PERSON_ZERO)
    for none in ("", " ", "-1"):
        with pytest.raises(ConfigError):
            pid_of_name(none)
    day = crops(("7", "c2"), ("bob", "gate"), ("12", "cam3"))  # one name among numbers: all are places
    facts = [(row.facts.get("pid"), row.facts.get("person"), row.camera) for row in rows_of_crops(day.gallery)]
    assert [(person, camera) for _, person, camera in facts] == [("7", "2"), ("bob", "gate"), ("12", "3")]
    both = crops(("7", "2"), ("007", "c2"), ("x", "y"))
    told = [(row.facts["person"], row.camera) for row in rows_of_crops(both.gallery)]
    assert told == [("7", "2"), ("007", "c2"), ("x", "y")]  # what the data hold apart stays apart


def test_nobody_has_no_pid(open_store: Open) -> None:
    rows = pictures(unit(3))
    gallery = open_store(CALIBRATED)
    made = tuple(Crop(f"{pid}.jpg", pid, 1, data=row) for pid, row in zip((0, -1, 7), rows, strict=True))
    gallery.add_dataset(Dataset("d", "x", (), (), made))
    assert [entry.pid for entry in gallery.entries()] == [None, None, 7]
    gallery.add(pictures(unit(2, seed=4)), camera="north", pid=[-1, 0])
    assert [entry.pid for entry in gallery.entries()] == [None, None, 7, None, 0]  # 0 by hand is a person
    assert gallery.stats().people == 5


def test_embeddings_carry_the_names(tmp_path: Path) -> None:
    path = tmp_path / "day.npz"
    names: dict[str, Any] = {"person": ["bob", "carol", ""], "camera": ["gate", "c2", ""]}
    np.savez(path, vector=unit(3), pid=[1, 2, 0], camid=[1, 2, 3], split=["gallery"] * 3, **names)
    assert read_rows(path).persons.tolist() == names["person"]
    rows = [row for row in rows_of_embeddings(path) if isinstance(row, Row)]
    assert [row.facts for row in rows] == [{"person": "bob"}, {"person": "carol"}, {}]
    assert [row.camera for row in rows] == ["gate", "2", "3"]


def test_adding_twice_is_adding_once(open_store: Open) -> None:
    gallery = open_store()
    day = crops(("alice", "north"), ("bob", "north"))
    first = gallery.add_dataset(day)
    again = open_store().add_dataset(day)
    assert (len(first.ids), again.ids, again.there) == (2, (), first.ids)
    facts: dict[str, Any] = {"camera": "north", "time": 1.5, "track": "t"}
    (number,) = gallery.add(pictures(unit(1)), **facts)
    assert gallery.add(pictures(unit(1)), **facts) == [number]
    others = [{**facts, "camera": "south"}, {**facts, "time": 2.5}, {**facts, "time": None}, {**facts, "track": None}]
    for other in others:
        assert gallery.add(pictures(unit(1)), **other) != [number]
        assert gallery.add(pictures(unit(1)), **other) == gallery.add(pictures(unit(1)), **other)
    assert gallery.add(pictures(unit(3)), **facts)[0] == number  # beside new ones
    gallery.forget(id=number)
    assert gallery.add(pictures(unit(1)), **facts) != [number]
    assert not list(gallery.verify())


def test_times_that_no_clock_tells_are_refused(open_store: Open) -> None:
    gallery = open_store()
    old = time.time() - 90 * DAY_S
    for factor, word in ((1e3, "milliseconds"), (1e6, "microseconds"), (1e9, "nanoseconds")):
        with pytest.raises(ConfigError, match=f"{word} look like this"):
            gallery.add(pictures(unit(1)), camera="north", time=old * factor)
        for limit in ("before", "after"):
            conditions: dict[str, Any] = {limit: old * factor}
            with pytest.raises(ConfigError, match=f"{word} look like this"):
                gallery.forget(**conditions)
    with pytest.raises(ConfigError, match="far ahead, in the year"):
        gallery.add(pictures(unit(1)), camera="north", time=time.time() + 30 * DAY_S)
    gallery.add(pictures(unit(1)), camera="north", time=time.time() + DAY_S)  # a clock may be off
    assert len(gallery) == 1


def test_retention_says_what_it_could_not_judge(open_store: Open) -> None:
    gallery = open_store()
    now = time.time()
    gallery.add(
        pictures(unit(4)), camera="north", time=[now - 90 * DAY_S, now, None, None], track=["t", "t", "t", None]
    )
    (entry,) = gallery.entries(track="t", after=now - DAY_S)
    gallery.store.add([replace(entry, id=0, time=now * 1e3)])  # as version 0.1.0 took it
    gone = gallery.forget(older_than=30 * DAY_S, track="t")
    assert (gone.entries, gone.untimed, gone.to_dict()["untimed"]) == (1, 2, 2)
    assert gallery.forget(track="x").untimed == 0  # nothing is asked of times
    gone = gallery.forget(older_than=30 * DAY_S, untimed=True)
    assert (gone.entries, gone.untimed, len(gallery)) == (3, 0, 1)
    assert list(gallery.audit())[-1].detail == {"entries": 3, "by": "before, untimed"}
    with pytest.raises(ConfigError, match="goes with older_than"):
        gallery.forget(track="t", untimed=True)


def test_a_part_of_an_export_is_no_gallery(open_store: Open, tmp_path: Path) -> None:
    gallery = open_store(keep_crops=True)
    rows = unit(150)
    gallery.add(pictures(rows), camera="north", person=["bob", "carol", "7"] * 50, track=[str(n) for n in range(150)])
    gallery.link(7, pid_of_name("bob"))
    gallery.forget(ids=[3, 77])
    assert export(gallery, tmp_path / "all.jsonl") == 148
    lines = (tmp_path / "all.jsonl").read_bytes().splitlines(keepends=True)
    with pytest.raises(DataError, match="it has 100 of 148 entries"):
        list(restore(str(tmp_path / "new.db"), iter(lines[:101]), "cut"))
    with Gallery(store_of(tmp_path / "new.db", None)) as new:
        assert (len(new), [damage.where for damage in new.verify()]) == (100, ["gallery"])
    with pytest.raises(GalleryError, match="of another import"):
        list(restore(str(tmp_path / "new.db"), iter([lines[0].replace(b"148", b"147"), *lines[1:]]), "other"))
    parts = list(restore(str(tmp_path / "new.db"), iter(lines), "whole"))
    assert sum(len(part.ids) for part in parts) == 48
    with Gallery(store_of(tmp_path / "new.db", None)) as new:
        assert not list(new.verify())
        assert [(link.pid, link.into) for link in new.links()] == [(7, pid_of_name("bob"))]
        assert export(new, tmp_path / "again.jsonl") == 148
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "all.jsonl").read_bytes()
    with pytest.raises(GalleryError, match="exists already"):
        list(restore(str(tmp_path / "new.db"), iter(lines), "whole"))


def test_an_incomplete_gallery_says_so_on_each_engine(open_store: Open) -> None:
    gallery = open_store()
    gallery.store.set_unfinished("something")
    (damage,) = open_store().verify()
    assert "has not ended" in damage.what
    gallery.store.set_unfinished("")
    assert not list(gallery.verify())


def test_an_export_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "all.jsonl"
    with Gallery(store_of(tmp_path / "a.db", None if (tmp_path / "a.db").exists() else _settings())) as gallery:
        gallery.add_embeddings(unit(9), model=MODEL.identity, camera="north")

        def cut(entry: Any, model: str) -> str:
            raise OSError("No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("resight.gallery.transfer.exporting.line_of", cut)
            with pytest.raises(OSError, match="No space"):
                export(gallery, out)
        assert [path.name for path in tmp_path.iterdir() if "jsonl" in path.name] == []
        assert export(gallery, out) == 9


def _settings() -> Any:
    from resight.gallery.records import Settings

    return Settings(MODEL.identity, "eight", DIM)


def test_names_are_looked_up_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: placing.Names = {}
    with Gallery(store_of(tmp_path / "a.db", _settings())) as gallery:
        gallery.add_embeddings(unit(1), model=MODEL.identity, camera="north", person="bob")
        (entry,) = gallery.entries()
        for seed in range(2):
            placing.place(gallery.store, [replace(entry, id=0, embedding=unit(1, seed=seed)[0])], names)
        assert names == {entry.pid: "bob"}
        assert len(gallery) == 2
