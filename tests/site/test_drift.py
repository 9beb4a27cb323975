from __future__ import annotations

from dataclasses import replace

import numpy as np

from resight.site.drift import drift_of
from resight.site.fitting import fit_site
from tests.site.places import place


def test_a_camera_that_changed_is_told_from_one_that_did_not() -> None:
    before, after = place(seed=1), place(seed=2)  # other people by the same cameras
    site = fit_site(before.embeddings, before.cameras, before.tracks)
    assert {drift.state for drift in drift_of(site, after.embeddings, after.cameras, after.tracks)} == {"as it was"}
    lit = after.embeddings + 0.3 * (np.array(after.cameras) == "c1")[:, None].astype(np.float32)
    found = {drift.camera: drift for drift in drift_of(site, lit, after.cameras, after.tracks)}
    assert {name: drift.state for name, drift in found.items()} == {"c0": "as it was", "c1": "moved", "c2": "as it was"}
    assert found["c1"].moved is not None
    assert found["c1"].moved > 3 * (found["c1"].by_chance or 0)
    untracked = {drift.camera: drift.state for drift in drift_of(site, lit, after.cameras)}
    assert untracked["c1"] == "moved"


def test_new_cameras_and_few_pictures_are_told() -> None:
    before = place()
    site = fit_site(before.embeddings, before.cameras)
    found = drift_of(site, before.embeddings[:40], ["c0"] * 29 + ["c9"] * 11)
    assert [(drift.camera, drift.pictures, drift.state) for drift in found] == [
        ("c0", 29, "too few"),
        ("c9", 11, "no mean"),
    ]


def test_a_camera_of_a_number_has_other_names() -> None:
    """A data set's camera 2 is what a gallery was told to call camera2."""
    before = place(seed=1)
    numbers = [name.replace("c", "") for name in before.cameras]
    site = fit_site(before.embeddings, numbers)
    for names in (before.cameras, [f"camera{number}" for number in numbers], [f"cam0{number}" for number in numbers]):
        assert (site.apply(before.embeddings, names) == site.apply(before.embeddings, numbers)).all()
        assert {drift.state for drift in drift_of(site, before.embeddings, names)} == {"as it was"}
    named = fit_site(before.embeddings, [f"camera{number}" for number in numbers])
    assert (named.apply(before.embeddings, numbers) == site.apply(before.embeddings, numbers)).all()
    assert named.own_name("2") == "camera2"
    assert named.own_name("north") is None
    both = replace(site, cameras=("1", "c1", "2"))
    assert (both.own_name("c1"), both.own_name("1"), both.own_name("cam1")) == ("c1", "1", None)


def test_pictures_without_tracks_count_beside_a_few_with_them() -> None:
    before, after = place(seed=1), place(seed=2)
    site = fit_site(before.embeddings, before.cameras)
    few = [None if number % 60 else track for number, track in enumerate(after.tracks)]
    alone, beside = (drift_of(site, after.embeddings, after.cameras, tracks) for tracks in (None, few))
    for one, other in zip(alone, beside, strict=True):
        assert one.by_chance is not None
        assert other.by_chance is not None
        assert other.by_chance < 1.5 * one.by_chance
