"""What a Python user does with a gallery, in a line or two each; and the old names of arguments."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import resight
from resight import Dataset, Gallery, open_gallery
from resight.core.errors import ConfigError, DataError, MissingExtra
from resight.data.city.synthetic import CityConfig, draw_city, save_city
from resight.gallery.audit import ACTIONS
from resight.gallery.filters import Filter
from resight.gallery.migrate import migrate
from resight.gallery.opening import open_with_model
from resight.gallery.store import without_password
from resight.gallery.transfer.lines import rows_of_lines
from tests.gallery.helpers import CALIBRATED, DIM, MODEL, pictures, unit


@pytest.fixture(scope="module")
def city() -> Dataset:
    return draw_city(CityConfig(train_people=1, test_people=6, cameras=3, crops_per_camera=2))


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with open_gallery(tmp_path / "site.db", MODEL) as opened:
        yield opened


def test_a_gallery_opens_with_a_model_by_name(tmp_path: Path) -> None:
    with resight.open_gallery(tmp_path / "site.db", "city", new=True) as gallery:
        assert gallery.settings.model_name == "city"
        assert gallery.needed_model().dim == 256


def test_a_gallery_from_a_folder_of_crops(city: Dataset, tmp_path: Path) -> None:
    save_city(city, tmp_path / "crops")
    with resight.open_gallery(tmp_path / "site.db", resight.load("city")) as gallery:
        added = gallery.add_dataset(tmp_path / "crops", splits=["gallery"])
        assert len(added.ids) == len(gallery) == len(city.gallery)
        assert not added.left_out
        expected = {(crop.pid if crop.pid >= 0 else None, str(crop.camid)) for crop in city.gallery}
        assert {(entry.pid, entry.camera) for entry in gallery.entries()} == expected


def test_what_cannot_be_read_is_named_and_left_out(city: Dataset, tmp_path: Path) -> None:
    save_city(city, tmp_path / "crops")
    broken = sorted((tmp_path / "crops").rglob("gallery/*/*.jpg"))[0]
    broken.write_bytes(b"no picture")
    with resight.open_gallery(tmp_path / "site.db", resight.load("city")) as gallery:
        added = gallery.add_dataset(tmp_path / "crops", splits=["gallery"], camera="gate", with_pids=False)
        assert len(added.ids) == len(city.gallery) - 1
        assert broken.name in "".join(added.left_out)
        assert {(entry.pid, entry.camera) for entry in gallery.entries()} == {(None, "gate")}
        with pytest.raises(DataError, match=broken.name):
            gallery.add_dataset(tmp_path / "crops", splits=["gallery"], strict=True)
        with pytest.raises(ConfigError, match="unknown split"):
            gallery.add_dataset(city, splits=["test"])


def test_a_search_with_several_pictures_of_one_person(city: Dataset, tmp_path: Path) -> None:
    model = resight.load("city")
    theirs = [crop.read() for crop in city.query if crop.pid == city.query[0].pid]
    assert len(theirs) > 1
    with resight.open_gallery(tmp_path / "site.db", model) as gallery:
        gallery.add_dataset(city, splits=["gallery"])
        result = gallery.search(theirs, top_k=5)
        best = gallery.search(theirs, top_k=5, pool="best")
        each = gallery.search_embeddings(model.embed(theirs), top_k=5)
    mean = model.embed(theirs).astype(np.float64).mean(axis=0)
    mean /= np.linalg.norm(mean)
    expected = [float(match.entry.embedding.astype(np.float64) @ mean) for match in result]
    assert [match.similarity for match in result] == pytest.approx(expected, abs=1e-6)
    assert len(each) == len(theirs)
    assert any([m.id for m in one] == [m.id for m in best] for one in each)
    with open_with_model(tmp_path / "site.db") as again:  # with the packaged model that it is of
        assert [match.id for match in again.search(theirs, top_k=5)] == [match.id for match in result]


def test_pooled_embeddings_are_one_query(gallery: Gallery) -> None:
    rows = unit(30)
    gallery.add(pictures(rows), camera="north")
    (one,) = gallery.search_embeddings(rows[:3], 5, pool="mean")
    mean = rows[:3].astype(np.float64).mean(axis=0)
    assert [m.id - 1 for m in one] == np.argsort(-(rows @ mean), kind="stable")[:5].tolist()
    for wrong in ({"pool": "max"}, {"pool": 3}):
        with pytest.raises(ConfigError, match="unknown pool"):
            gallery.search_embeddings(rows[:3], **wrong)
    with pytest.raises(ConfigError, match="no pictures"):
        gallery.search_embeddings(np.zeros((0, DIM), np.float32), pool="mean")


def test_a_filter_is_an_object_or_keywords(gallery: Gallery) -> None:
    gallery.add(pictures(unit(6)), camera=["north", "south", "west"] * 2, time=[float(n) for n in range(6)])
    wanted = Filter(cameras=("north", "south"), after=2.0)
    assert [entry.id for entry in gallery.entries(wanted)] == [4, 5]
    assert {match.id for match in gallery.search(pictures(unit(1))[0], filter=wanted)} == {4, 5}
    with pytest.raises(ConfigError, match="either filter"):
        gallery.search(pictures(unit(1))[0], filter=wanted, camera="north")
    with pytest.raises(ConfigError, match="a time is"):
        gallery.forget(filter=Filter(before=float("nan")))
    assert gallery.forget(filter=wanted).entries == 2
    assert len(gallery) == 4


def test_results_are_plain_values(gallery: Gallery) -> None:
    with open_gallery(gallery.store.path, CALIBRATED) as calibrated:  # type: ignore[attr-defined]
        calibrated.add(pictures(unit(3)), camera="north", pid=[1, 2, 3], attributes={"bag": True})
        result = calibrated.search(pictures(unit(1))[0], 2)
        told = json.loads(json.dumps(result.to_dict()))
        assert told["schema"] == "resight.answer/1"
        assert (told["verdict"], told["num_people"], told["recall"]) == ("known as 1", 3, 1.0)
        assert told["decision"]["verdict"] == "known"
        first = told["matches"][0]
        assert (first["id"], first["person"], first["camera"], first["attributes"]) == (1, "1", "north", {"bag": True})
        stats = json.loads(json.dumps(calibrated.stats().to_dict()))
        assert (stats["schema"], stats["entries"]) == ("resight.gallery-stats/1", 3)
        assert json.loads(json.dumps(calibrated.forget(pid=1).to_dict()))["entries"] == 1
        assert result[:1] == (result[0],)


def test_rows_of_a_camera_process_are_added_as_they_come(gallery: Gallery) -> None:
    line = {"camera": "north", "model": MODEL.identity, "time": "2026-03-01T08:00:00Z"}
    lines = [json.dumps({**line, "embedding": row.tolist()}) for row in unit(100)]
    lines[70] = "nonsense"
    came: list[int] = []

    def camera() -> Iterator[str]:
        for text in lines:
            came.append(len(gallery))
            yield text

    added = list(gallery.add_rows(rows_of_lines(camera(), "camera")))
    assert [len(part.ids) for part in added] == [64, 35]
    assert ["line 71" in text for part in added for text in part.left_out] == [True]
    assert came[63] == 0  # a batch at a time
    assert came[64] == 64
    others = [line.replace('"north"', '"south"') for line in lines]
    with pytest.raises(DataError, match="line 71"):
        list(gallery.add_rows(rows_of_lines(others, "camera"), strict=True))
    assert len(gallery) == 99 + 64


def test_old_names_still_work_with_a_warning(tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="place is called uri now"):
        gallery = open_gallery(place=tmp_path / "site.db", model=MODEL)  # type: ignore[call-arg]
    with gallery:
        with pytest.warns(DeprecationWarning, match="join is called pool"):
            gallery.add(pictures(unit(2)), camera="north", time=0.0, join="mean")  # type: ignore[call-arg]
        assert len(gallery) == 1
        query = pictures(unit(1))[0]
        with pytest.warns(DeprecationWarning, match="called min_similarity"):
            assert not gallery.search(query, at_least=1.5).matches
        with pytest.warns(DeprecationWarning, match="top is called top_k"):
            assert len(gallery.search_embeddings(unit(1), top=1)[0]) == 1
        with pytest.raises(ConfigError, match="given twice"):
            gallery.search(query, top=1, top_k=1)
        with pytest.warns(DeprecationWarning, match="keep is called older_than"):
            assert gallery.forget(keep=60).entries == 1


def test_a_retention_rule_takes_a_period(gallery: Gallery) -> None:
    gallery.add(pictures(unit(2)), camera="north", time=[0.0, time.time()])
    for wrong in (-1, float("nan"), True, "30d", 1e12):
        with pytest.raises(ConfigError, match="older_than is"):
            gallery.forget(older_than=wrong)
    with pytest.raises(ConfigError, match="either older_than"):
        gallery.forget(older_than=60, before=3.0)
    assert gallery.forget(older_than=timedelta(days=30)).entries == 1
    assert len(gallery) == 1


def test_every_action_of_the_audit_is_listed(gallery: Gallery, tmp_path: Path) -> None:
    settings = {"audit_searches": True}
    with open_gallery(tmp_path / "other.db", MODEL, **settings) as other:  # type: ignore[arg-type]
        gallery.add(pictures(unit(2)), camera="north", pid=[1, 2])
        migrate(gallery, other)
        other.search(pictures(unit(1))[0])
        other.unlink(other.link(1, 2))
        other.allow_link(other.cannot_link(1, 2))
        other.forget(pid=1)
        other.site.use(None)
        of_a_service = {"add", "view", "export", "denied", "key", "job"}
        assert {line.action for line in other.audit()} == set(ACTIONS) - of_a_service


@pytest.mark.parametrize(
    ("uri", "driver", "engine", "extra"),
    [
        ("postgresql://localhost/x", "pg8000", "postgres", "postgres"),
        ("milvus://localhost/x", "pymilvus", "milvus", "milvus"),
        ("milvus-lite:x.db", "pymilvus", "milvus", "milvus"),
    ],
)
def test_a_missing_driver_says_what_to_install(
    uri: str, driver: str, engine: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, driver, None)
    monkeypatch.delitem(sys.modules, f"resight.gallery.{engine}.connection", raising=False)
    with pytest.raises(MissingExtra, match=rf"\.\[{extra}\]") as raised:
        open_gallery(uri, MODEL)
    assert raised.value.exit_code == 6


def test_a_missing_hnsw_library_says_what_to_install(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery.add(pictures(unit(2)), camera="north")
    monkeypatch.setitem(sys.modules, "usearch", None)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    with pytest.raises(MissingExtra, match=r"\.\[approximate\]") as raised:
        gallery.approximate()
    assert raised.value.exit_code == 6


def test_a_message_has_no_password_wherever_in_the_address_it_stands() -> None:
    for address, told in {
        "postgresql://ada:secret@host/d": "postgresql://host/d",
        "postgresql://host/d?user=ada&password=secret": "postgresql://host/d",
        "postgresql://host/d?gallery=a@b&pass%77ord=secret&sslmode=require": "postgresql://host/d?gallery=a@b&sslmode=require",
        "postgresql://host/d?options=x@secret": "postgresql://host/d",
        "postgresql://ada:secret?secret=1@host/d": "postgresql://host/d",
        "postgresql://ada:secret/secret@host/d?gallery=g": "postgresql://host/d?gallery=g",
        "milvus://ada:sec@secret@host:1/d?secure=true": "milvus://host:1/d?secure=true",
        "folder/what?.db": "folder/what?.db",
    }.items():
        assert without_password(address) == told
