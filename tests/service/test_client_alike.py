"""`resight.connect`: what it is given is checked as an open gallery checks it, and what it tells is what that tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import resight
from resight.cli.app import app
from resight.core.errors import (
    ConfigError,
    DataError,
    EmbeddingError,
    GalleryBusy,
    GalleryError,
    ResightError,
    UnreadableImage,
)
from resight.data.crops import Crop, Dataset
from resight.gallery.filters import Filter
from resight.gallery.records import Damage, Placed
from resight.gallery.transfer.live import LiveLines, added_live
from resight.gallery.transfer.rows import Row
from resight.service.api import jobs
from resight.service.client.remote import RemoteGallery
from tests.gallery.helpers import unit
from tests.service.conftest import Serve, Service
from tests.service.test_rest import picture

ROWS = unit(12, dim=256)


@pytest.fixture
def there(service: Service) -> Any:
    with resight.connect(service.url, service.keys["admin"], purpose="a test", wait_s=0) as gallery:
        yield gallery


def error_of(act: Callable[[], Any]) -> ResightError:
    with pytest.raises(ResightError) as told:
        act()
    return told.value


# One bad row among good ones.

BAD: dict[str, dict[str, Any]] = {
    "no model": {"model": ""},
    "another model": {"model": "x"},
    "time NaN": {"time": float("nan")},
    "time true": {"time": True},
    "time without a zone": {"time": datetime(2026, 3, 1, 8)},
    "time as a text": {"time": "2026-03-01T08:00Z"},
    "time in milliseconds": {"time": 1.8e12},
    "embedding as a text": {"embedding": "abc"},
    "embedding too short": {"embedding": ROWS[0][:5]},
    "embedding not finite": {"embedding": np.full(256, np.nan)},
    "pid no whole number": {"pid": 4.5},
    "pid and person": {"pid": 5, "person": "bob"},
    "attribute of bytes": {"attributes": {"a": b"x"}},
    "camera without a name": {"camera": ""},
    "no file": {"embedding": None, "picture": Crop("gone", -1, -1, path=Path("gone.jpg"))},
    "a path that is none": {"embedding": None, "picture": Crop("nul", -1, -1, path=Path("a\0b.jpg"))},
    "neither": {"embedding": None},
    "no picture": {"embedding": None, "picture": Crop("junk", -1, -1, data=b"no picture")},
}


def row(own: str, title: str, number: int, /, **facts: Any) -> Row:
    parts = {name: facts.pop(name) for name in ("camera", "picture", "embedding", "model") if name in facts}
    return Row(title, **{"camera": "gate", "embedding": ROWS[number], "model": own, **parts}, facts=facts)


@pytest.mark.parametrize("wrong", BAD)
def test_a_row_that_is_wrong_is_left_out_as_here(service: Service, there: RemoteGallery, wrong: str) -> None:
    model = there.settings.model
    rows = [row(model, "good", 0), row(model, "bad", 1, **BAD[wrong]), row(model, "too", 2)]
    (told,) = there.add_rows(rows)
    (here,) = service.desk.gallery.add_rows(rows)
    assert told.left_out == here.left_out != ()
    assert [type(each) for each in told.rows] == [int, str, int]
    assert told.ids == here.there
    with pytest.raises(DataError, match="bad: "):
        list(there.add_rows(rows, strict=True))


def test_rows_keep_what_they_say(service: Service, there: RemoteGallery) -> None:
    model = there.settings.model
    facts = {"pid": np.int64(7), "track": "", "attributes": MappingProxyType({"a": 1})}
    (added,) = there.add_rows([row(model, "a", 0, **facts)])
    (entry,) = service.desk.gallery.entries(ids=added.ids)
    assert (entry.pid, entry.track, dict(entry.attributes)) == (7, "", {"a": 1})
    (one,) = there.add_embeddings(ROWS[1:2], model=model, camera="gate", attributes=MappingProxyType({"b": 2}))
    found = there.entries(attributes=MappingProxyType({"b": 2}))
    assert [entry.id for entry in found] == [one]


def test_a_row_too_long_for_a_line_is_left_out_alone(there: RemoteGallery) -> None:
    large = Crop("", -1, -1, data=picture() + bytes(7_000_000))
    rows = [
        row("", "one", 0, embedding=None, picture=Crop("one", -1, -1, data=picture(seed=1))),
        row("", "large", 0, embedding=None, picture=large),
        row("", "two", 0, embedding=None, picture=Crop("two", -1, -1, data=picture(seed=2))),
    ]
    (added,) = there.add_rows(rows)
    assert [type(each) for each in added.rows] == [int, str, int]
    assert added.left_out[0].startswith("large: it is a line of 9,3")
    with pytest.raises(UnreadableImage, match="picture 1: it is a line"):
        there.add([picture(), large.read()], camera="gate")


def test_a_row_without_a_name_is_told_by_its_place(there: RemoteGallery) -> None:
    bad = Row("", "gate", Crop("x", -1, -1, data=b"no picture"), place="people.jsonl, line 131")
    (added,) = there.add_rows([row(there.settings.model, "a", 0), bad])
    assert added.left_out[0].startswith("people.jsonl, line 131: not a picture")


# Pictures that cannot be read.


@pytest.mark.parametrize("wrong", ["missing.jpg", "folder", "/dev/zero", "a\0b.jpg", "junk.jpg", "empty.jpg", "closed"])
def test_a_picture_that_cannot_be_read_is_named_as_here(
    service: Service, there: RemoteGallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("junk.jpg").write_bytes(b"junk")
    Path("empty.jpg").write_bytes(b"")
    with open("junk.jpg", "rb") as closed:
        pass
    given = closed if wrong == "closed" else wrong
    here = service.desk.gallery
    for act in (lambda each: each.search([picture(), given]), lambda each: each.add([picture(), given], camera="gate")):
        mine, its = error_of(lambda act=act: act(there)), error_of(lambda act=act: act(here))  # type: ignore[misc]
        assert (type(mine), str(mine)) == (type(its), str(its))
        assert isinstance(mine, UnreadableImage)
    bytes_alone = error_of(lambda: there.search([picture(), b"junk"]))
    assert str(bytes_alone).startswith("picture 1: not a picture")


def test_the_command_line_names_a_picture_that_is_not_there_and_searches_for_the_others(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIGHT_KEY", service.keys["searcher"])
    good = tmp_path / "good.jpg"
    good.write_bytes(picture())
    asked = ["gallery", "search", service.url, "missing.jpg", str(good), "--json", "--purpose", "a test"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    bad, found = (json.loads(line) for line in done.stdout.splitlines())
    assert (bad["picture"], bad["error"]) == ("missing.jpg", "No such file or directory")
    assert found["picture"] == str(good)


# What is told.


def test_settings_decisions_and_conditions_are_those_of_the_gallery(service: Service, people: Dataset) -> None:
    here = service.desk.gallery
    here.add_embeddings(
        ROWS[:2], model=here.settings.model, camera="gate", time=[100.0, 900.0], attributes=[{"end": 700.0}, {}]
    )
    with resight.connect(service.url, service.keys["searcher"], purpose="a test") as there:
        assert there.settings == here.settings
        asked: dict[str, Any] = {"after": 600.0, "lasting": True, "camera": "gate"}
        for conditions in (asked, {"filter": Filter(cameras=("gate",), after=600.0, lasting=True)}):
            listed = [[entry.id for entry in each.entries(**conditions)] for each in (there, here)]
            assert listed[0] == listed[1]
            assert len(listed[0]) == 2
        assert len(there.search_embeddings(ROWS[0], **asked)[0]) == 2
        rates: dict[str, Any] = {"false_positive_rate": 0.3, "false_negative_rate": 0.3}
        crop = people.query[1].read()
        mine, its = there.search(crop, 20, **rates), here.search(crop, 20, **rates)
        decisions = [match.decision for match in mine]
        assert decisions == [match.decision for match in its]
        assert len({decision.verdict for decision in decisions if decision}) > 1
        with pytest.raises(ConfigError, match="untimed goes with"):
            there.entries(before=100.0, untimed=5.0)


def test_the_site_is_told_as_it_is(serve: Serve, tmp_path: Path) -> None:
    place = tmp_path / "sited.db"
    rows = unit(400, dim=256)
    with resight.open_gallery(place, resight.load("city"), new=True) as gallery:
        tracks = [f"t{number // 4}" for number in range(400)]
        gallery.add_embeddings(rows, model=gallery.settings.model, camera=["north", "south"] * 200, track=tracks)
        gallery.site.fit()
    service = serve(place=str(place))
    with resight.connect(service.url, service.keys["viewer"]) as there:
        shown, own = there.site.transform, service.desk.gallery.site.transform
    assert shown is not None
    assert own is not None
    assert shown.facts == own.facts
    assert isinstance(shown.facts.warnings, tuple)
    assert [shown.knows(camera) for camera in ("north", "hall", None)] == [True, False, False]


def test_damages_that_are_not_named_are_counted(
    service: Service, there: RemoteGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    damages = [Damage(f"entry {number}", "it is damaged", "restore it") for number in (1, 2, 3)]
    monkeypatch.setattr(service.desk.gallery, "verify", lambda progress: iter(damages))
    assert list(there.verify()) == damages
    monkeypatch.setattr(jobs, "MOST_DAMAGES", 2)
    *first, last = there.verify()
    assert first == damages[:2]
    assert last.what.startswith("1 more place is damaged, 3 in all")


# While others write.


def busy_store(service: Service, times: int) -> Any:
    """Makes the gallery's store refuse to add, so often."""
    store: Any = service.desk.gallery.store
    add_once, left = store.add_once, [times]

    def refusing(entries: Any) -> Placed:
        if left[0]:
            left[0] -= 1
            raise GalleryBusy(f"{store.path}: another process is writing to it; try again, or wait longer")
        return add_once(entries)  # type: ignore[no-any-return]

    store.add_once = refusing
    return store


def test_a_busy_gallery_is_waited_for(service: Service) -> None:
    busy_store(service, 2)
    with resight.connect(service.url, service.keys["operator"], wait_s=60) as there:
        (added,) = there.add_rows([row(there.settings.model, "a", 0), row(there.settings.model, "b", 1)])
    assert (len(added.ids), added.there, added.left_out) == (2, (), ())


def test_lines_that_come_wait_for_a_busy_gallery(service: Service, there: RemoteGallery, tmp_path: Path) -> None:
    busy_store(service, 2)
    lines = tmp_path / "lines.jsonl"
    told = {"embedding": ROWS[0].tolist(), "model": there.settings.model, "camera": "gate"}
    lines.write_text(json.dumps(told) + "\n")
    said: list[str] = []
    with lines.open("rb") as stream:
        (added,) = added_live(there, LiveLines(stream), lambda each: each, said.append)  # type: ignore[arg-type]
    assert (len(added.ids), added.there) == (1, ())
    assert len(said) == 2


def test_a_busy_gallery_is_told_without_its_path(service: Service, there: RemoteGallery) -> None:
    store = busy_store(service, 10)
    for act in (
        lambda: list(there.add_rows([row(there.settings.model, "a", 0)])),
        lambda: there.add_embeddings(ROWS[:1], model=there.settings.model, camera="gate"),
    ):
        error = error_of(act)
        assert isinstance(error, GalleryBusy)
        assert str(error).startswith("the gallery: another process is writing")

    def full() -> None:
        raise GalleryBusy(f"{store.path}: space was freed but in its log")

    store.compact = full
    error = error_of(there.compact)
    assert (type(error), str(error)) == (GalleryBusy, "the gallery: space was freed but in its log")


def test_a_link_that_was_made_is_told_however_busy_the_service_is(service: Service, there: RemoteGallery) -> None:
    store, lane = service.desk.gallery.store, service.desk.reading
    first, second = (person.pid for person in service.desk.gallery.people(limit=2))
    link = store.link

    def linking(*args: Any) -> int:
        lane.busy += 10**6
        return link(*args)

    store.link = linking  # type: ignore[method-assign, assignment]
    assert there.link(np.int64(first), np.int64(second)) == 1  # type: ignore[arg-type]
    lane.busy -= 10**6
    assert [(each.pid, each.into) for each in there.links()] == [(first, second)]


def test_a_deletion_is_asked_for_again_while_others_add(service: Service, there: RemoteGallery) -> None:
    here, previews = service.desk.gallery, service.desk.previews
    put, rows = previews.put, iter(ROWS)

    def meanwhile(token: str, shown: object) -> None:
        put(token, shown)
        if (more := next(rows, None)) is not None:
            here.add_embeddings(more, model=here.settings.model, camera="gate")

    previews.put = meanwhile  # type: ignore[assignment,method-assign]
    with pytest.raises(GalleryError, match="other entries match now"):
        there.forget(camera="gate")  # ten times
    assert there.forget(camera="gate").entries == 12  # at the third


# Arguments.


def test_arguments_are_checked_as_here(service: Service, there: RemoteGallery) -> None:
    here = service.desk.gallery
    wrong: tuple[Callable[[Any], Any], ...] = (
        lambda each: each.entry(1.7),
        lambda each: each.entry(True),
        lambda each: each.person("1"),
        lambda each: each.page(limit=-1),
        lambda each: each.page(after=2.5),
        lambda each: each.people(limit=True),
        lambda each: each.entries(bogus=1),
        lambda each: each.link(None, 2),
        lambda each: each.cannot_link(1.0, 2),
        lambda each: each.unlink("99"),
        lambda each: each.search(picture(), hidden=(0.2, 0.1)),
        lambda each: each.search(picture(), pool="bogus"),
    )
    for act in wrong:
        mine, its = error_of(lambda act=act: act(there)), error_of(lambda act=act: act(here))  # type: ignore[misc]
        assert (type(mine), str(mine)) == (type(its), str(its))
    assert len(there.people(limit=None)) == len(here.people(limit=None))  # type: ignore[arg-type]
    for purpose in ("x" * 501, "a\0b", 5):
        with pytest.raises(ConfigError):
            there.unlink(1, purpose=purpose)  # type: ignore[arg-type]
    assert "500 letters" in service.delete("/links/1", headers={"X-Purpose": "x" * 501}).json["detail"]
    with pytest.raises(EmbeddingError, match="not named"):
        there.add_embeddings(ROWS[:1], model="", camera="gate")


def test_a_closed_gallery_is_closed(service: Service) -> None:
    gallery = resight.connect(service.url, f"{service.keys['viewer']}\n")
    assert gallery.entry(1) is not None
    gallery.close()
    for act in (lambda: len(gallery), lambda: next(gallery.entries()), lambda: next(gallery.export_lines())):
        with pytest.raises(GalleryError, match="closed"):
            act()
