"""The drawn town that moves: the same from the same seed, and its truth is true."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from resight.core.errors import ConfigError, MissingExtra
from resight.data.city.moving.filming import film
from resight.data.city.moving.town import START, Town, TownConfig, parse_town
from resight.data.city.moving.writing import save_town, site_file
from resight.video.boxes import ious
from resight.video.linking.site import read_site
from resight.video.scoring.reading import read_truth

SMALL = TownConfig(seed=2, people=6, cameras=2, seconds=8, rate=4, height=120, width=200)


def test_the_same_seed_films_the_same() -> None:
    one, other = (list(film(Town(SMALL), 1)) for _ in range(2))
    assert [frame.truth for frame in one] == [frame.truth for frame in other]
    assert all((a.pixels == b.pixels).all() for a, b in zip(one, other, strict=True))  # type: ignore[union-attr]
    another = list(film(Town(TownConfig(**{**SMALL.__dict__, "seed": 3})), 1))
    assert any((a.pixels != b.pixels).any() for a, b in zip(one, another, strict=True))  # type: ignore[union-attr]


def test_nobody_is_at_two_places_and_nobody_is_faster_than_the_site_file_says(tmp_path: Path) -> None:
    town = Town(TownConfig(seed=1, people=80, cameras=4, seconds=300))
    (tmp_path / "site.toml").write_text(site_file(town))
    site = read_site(tmp_path / "site.toml")
    ways = 0
    for person in range(80):
        visits = sorted((visit for visit in town.visits if visit.person == person), key=lambda visit: visit.begin)
        for one, other in itertools.pairwise(visits):
            way = other.begin - one.begin - one.lasting_s
            names = frozenset((town.names[one.camera], town.names[other.camera]))
            assert way > (site.travel[names].least_s if len(names) == 2 else 0)
            ways += 1
    assert ways > 60


def test_boxes_hold_the_people_and_visibility_what_is_seen_of_them() -> None:
    town = Town(TownConfig(seed=4, people=14, cameras=1, seconds=16, rate=2.5, height=120, width=214))
    empty = np.median([frame.pixels for frame in film(town, 0) if frame.pixels is not None][:60], axis=0)
    hidden = shown = 0
    for frame in film(town, 0):
        assert frame.pixels is not None
        changed = np.abs(frame.pixels.astype(float) - empty).sum(axis=2) > 90
        for each in frame.truth:
            left, top, right, bottom = (int(side) for side in each.box)
            hidden += each.visibility < 0.9
            if each.visibility > 0.95:
                shown += 1
                assert changed[top:bottom, left:right].mean() > 0.15
    assert shown > 15
    assert hidden > 2


def test_without_pixels_boxes_are_nearly_the_same() -> None:
    town = Town(TownConfig(seed=4, people=14, cameras=1, seconds=20, rate=3, height=120, width=214, occluders=0))
    overlaps = []
    for drawn, measured in zip(film(town, 0), film(town, 0, pixels=False), strict=True):
        boxes = {each.pid: each for each in measured.truth}
        for each in drawn.truth:
            if each.visibility > 0.9 and each.pid in boxes:
                overlaps.append(float(ious([each.box], [boxes[each.pid].box])[0, 0]))
    assert len(overlaps) > 50
    assert np.median(overlaps) > 0.75


def test_dropped_frames_and_a_wrong_clock() -> None:
    town = Town(TownConfig(**{**SMALL.__dict__, "dropped": 0.5, "wrong_clock_s": 90.0}))
    assert len(town.times(0)) < 25
    assert next(iter(film(town, 0, pixels=False))).time - START < 5
    assert next(iter(film(town, 1, pixels=False))).time - START > 85


def test_a_town_on_disk(tmp_path: Path) -> None:
    town = Town(TownConfig(**{**SMALL.__dict__, "wrong_clock_s": 90.0}))
    save_town(town, tmp_path / "town")
    root = tmp_path / "town"
    assert {path.name for path in root.iterdir()} == {"camera1.mp4", "camera2.mp4", "site.toml", "starts.json", "truth"}
    assert read_site(root / "site.toml").clock_s == {"camera2": -90.0}
    whole = read_truth(root / "truth")
    assert set(whole.cameras.tolist()) == {"camera1", "camera2"}
    (root / "truth" / "truth.jsonl").rename(tmp_path / "truth.jsonl")
    starts = json.loads((root / "starts.json").read_text())
    (root / "truth" / "starts.json").write_text(json.dumps(starts))
    by_camera = read_truth(root / "truth", rate=4)
    assert sorted(by_camera.times.round(3).tolist()) == sorted(whole.times.round(3).tolist())
    with pytest.raises(ConfigError, match="not empty"):
        save_town(town, root)


def test_without_pyav_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtra, match="PyAV"):
        save_town(Town(SMALL), tmp_path / "town")
    assert not list(tmp_path.iterdir())


def test_words_for_a_town() -> None:
    assert parse_town("town:seed=3,people=60") == TownConfig(seed=3, people=60)
    for words, told in (
        ("city", "no drawn town"),
        ("town:age=3", "no setting 'age'"),
        ("town:people=x", "takes a number"),
    ):
        with pytest.raises(ConfigError, match=told):
            parse_town(words)
    with pytest.raises(ConfigError, match="cameras must be between"):
        TownConfig(cameras=0)
