"""A gallery with a site transform: what it finds is what the transform says, and nothing of the forgotten is left."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resight.core.calibration import Decision
from resight.core.errors import ConfigError, DataError, GalleryError
from resight.gallery.gallery import Gallery
from resight.gallery.migrate import migrate
from resight.gallery.opening import open_gallery
from resight.gallery.results import Match, SearchResult
from resight.gallery.transfer.exporting import export, restore
from resight.site.fitting import fit_site
from resight.site.transform import SiteTransform
from tests.gallery.helpers import CALIBRATED, DIM, MODEL, EightValues, calibration, unit
from tests.site.places import Place, place


def _place(seed: int = 0, people: int = 40) -> Place:
    """A drawn place in eight values."""
    drawn = place(people=people, cameras=2, pictures=3, seed=seed)
    rows = drawn.embeddings[:, 4 : 4 + DIM]
    return replace(drawn, embeddings=(rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))


def _filled(path: Path, drawn: Place, model: EightValues = CALIBRATED) -> Gallery:
    gallery = open_gallery(path, model, new=True, who="test")
    gallery.add_embeddings(
        drawn.embeddings, model=model.identity, camera=drawn.cameras, track=drawn.tracks, pid=drawn.pids.tolist()
    )
    return gallery


def _decision(match: SearchResult | Match) -> Decision:
    assert match.decision is not None
    return match.decision


def _brute(site: SiteTransform, drawn: Place, query: np.ndarray, camera: str) -> list[int]:
    """Ids in the order in which they must be found."""
    rows = site.apply(drawn.embeddings, drawn.cameras).astype(np.float64)
    similarity = rows @ site.apply(query[None], camera)[0].astype(np.float64)
    return [int(row) + 1 for row in np.argsort(-similarity, kind="stable")]


def test_searches_are_those_of_the_transformed_embeddings(tmp_path: Path) -> None:
    drawn = _place()
    with _filled(tmp_path / "a.db", drawn) as gallery:
        query = drawn.embeddings[5]
        raw = [match.id for match in gallery.search_embeddings(query, None)[0]]
        site = gallery.site.fit()
        assert site.identity == fit_site(drawn.embeddings, drawn.cameras, drawn.tracks, model=MODEL.identity).identity
        found = gallery.search_embeddings(query, None, seen_by="c0")[0]
        assert [match.id for match in found] == _brute(site, drawn, query, "c0") != raw
        assert found.site == found.to_dict()["site"] == site.identity
        assert found[0].similarity == pytest.approx(1.0)
        new = gallery.add_embeddings(unit(1, seed=9), model=MODEL.identity, camera="c1")  # joins the index
        again = gallery.search_embeddings(unit(1, seed=9), 1, seen_by="c1")[0]
        assert again[0].id == new[0]
        assert again[0].similarity == pytest.approx(1.0)
        gallery.forget(id=new[0])
        gallery.site.use(None)
        assert [match.id for match in gallery.search_embeddings(query, None)[0]] == raw
        stored = np.stack([entry.embedding for entry in gallery.entries()])
        assert stored.tobytes() == drawn.embeddings.tobytes()  # raw embeddings stay the truth


def test_another_opening_sees_the_transform_at_its_next_search(tmp_path: Path) -> None:
    drawn = _place()
    with _filled(tmp_path / "a.db", drawn) as gallery, open_gallery(tmp_path / "a.db", CALIBRATED) as other:
        assert other.search_embeddings(drawn.embeddings[5], 1)[0].site == ""
        site = gallery.site.fit()
        found = other.search_embeddings(drawn.embeddings[5], None, seen_by="c0")[0]
        assert found.site == site.identity
        assert [match.id for match in found] == _brute(site, drawn, drawn.embeddings[5], "c0")


def test_approximate_searches_are_at_the_site_too(tmp_path: Path) -> None:
    drawn = _place()
    with _filled(tmp_path / "a.db", drawn) as gallery:
        site = gallery.site.fit()
        gallery.approximate(5)
        found = gallery.search_embeddings(drawn.embeddings[5], 3, seen_by="c0")[0]
        assert found.recall > 0.9
        assert [match.id for match in found] == _brute(site, drawn, drawn.embeddings[5], "c0")[:3]


def test_pictures_of_different_people_in_one_search_are_told(tmp_path: Path) -> None:
    drawn = _place()
    with _filled(tmp_path / "a.db", drawn) as gallery:
        one = np.flatnonzero(drawn.pids == drawn.pids[5])[:2]
        other = [int(np.argmin(drawn.embeddings @ drawn.embeddings[5]))]
        assert gallery.search_embeddings(drawn.embeddings[one], 1, pool="mean")[0].notes == ()
        mixed = drawn.embeddings[np.concatenate((one, other))]
        (note,) = gallery.search_embeddings(mixed, 1, pool="mean")[0].notes
        assert "3 of 3 is less like the others" in note
        assert gallery.search_embeddings(mixed, 1)[0].notes == ()  # a search each


def test_without_a_mean_or_a_calibration_there_is_no_verdict(tmp_path: Path) -> None:
    drawn = _place()
    with _filled(tmp_path / "a.db", drawn) as gallery:
        query = drawn.embeddings[5]
        assert gallery.search_embeddings(query, 1)[0].verdict == "known as 2"
        site = gallery.site.fit()
        assert gallery.search_embeddings(query, 1, seen_by="c0")[0].decision is None  # the model's is of raw ones
        gallery.site.use(site.with_calibration(calibration()))
        assert gallery.search_embeddings(query, 1, seen_by="c0")[0].verdict == "known as 2"
        numbers = gallery.search_embeddings(query, 1, seen_by="c0")[0]
        assert numbers.strangers == numbers[0].strangers == calibration().strangers_as_alike(numbers[0].similarity, 82)
        alone = calibration().same_among(numbers[0].similarity, numbers.num_people)
        assert numbers[0].probability is not None
        assert alone is not None
        assert numbers[0].probability.value < alone.value  # others who are nearly as alike may be who is searched for
        shown = numbers.to_dict()["matches"][0]["probability"]
        assert 0 < shown["low"] < shown["value"] < shown["high"] < 1
        for camera, why in ((None, "not said which camera"), ("c7", "no mean of the camera c7")):
            found = gallery.search_embeddings(query, 1, seen_by=camera)[0]
            assert (found.verdict, found[0].verdict) == ("unsure", "unsure")
            assert why in _decision(found).reason
            assert found.strangers is found[0].probability is None
        new = gallery.add_embeddings(query[None], model=MODEL.identity, camera="c9", pid=99)
        told = {match.id: _decision(match) for match in gallery.search_embeddings(query, None, seen_by="c0")[0]}
        assert told[new[0]].verdict == "unsure"
        assert "camera c9" in told[new[0]].reason


def test_p_same_of_people_who_are_told_apart_adds_up_to_one_at_the_most(tmp_path: Path) -> None:
    drawn = _place()
    with _filled(tmp_path / "a.db", drawn) as gallery:
        query = drawn.embeddings[5]
        alone = gallery.search_embeddings(query, 1)[0][0].probability
        gallery.add_embeddings(query[None], model=MODEL.identity, camera="c1", pid=98)
        unnamed = gallery.add_embeddings(query[None], model=MODEL.identity, camera="c1", track="t")[0]
        found = gallery.search_embeddings(query, None)[0]
        by_person = {
            match.person: match.probability for match in reversed(found.matches) if match.entry.pid is not None
        }
        assert sum(rate.value for rate in by_person.values() if rate) <= 1
        assert by_person["98"] == by_person["2"] != alone
        told = gallery.search_embeddings(query)[0]
        for top_k, least in ((1, None), (1, 0.999), (None, 0.999)):  # however few are asked for
            few = gallery.search_embeddings(query, top_k, min_similarity=least)[0]
            assert len(few) == (top_k or 3)
            assert few[0].probability == told[0].probability
        # A picture without a person may be of anybody.
        assert next(match.probability for match in found if match.id == unnamed) == calibration().same_among(
            found[0].similarity, found.num_people
        )


def test_pictures_of_several_cameras_are_pooled_at_the_site(tmp_path: Path) -> None:
    drawn = _place()
    with _filled(tmp_path / "a.db", drawn) as gallery:
        site = gallery.site.fit()
        rows, cameras = drawn.embeddings[[5, 130]], ["c0", "c1"]
        mean = site.apply(rows, cameras).mean(axis=0)
        expected = site.apply(drawn.embeddings, drawn.cameras) @ (mean / np.linalg.norm(mean))
        found = gallery.search_embeddings(rows, 1, pool="mean", seen_by=cameras)
        assert len(found) == 1
        assert found[0][0].similarity == pytest.approx(expected.max(), abs=1e-5)


def test_nothing_of_the_forgotten_is_left_in_the_transform(tmp_path: Path) -> None:
    drawn = _place()
    with _filled(tmp_path / "a.db", drawn) as gallery:
        before = gallery.site.fit()
        gallery.site.use(before.with_calibration(calibration()))
        gallery.search_embeddings(drawn.embeddings[5], 1, seen_by="c0")
        gone = gallery.forget(pids=[1, 2, 3])
        assert gone.site.startswith("the site transform was fitted anew; its calibration is gone: `resight calibrate")
        assert gone.traces == ()
        after = gallery.site.transform
        assert after is not None
        kept = ~np.isin(drawn.pids, [1, 2, 3])
        cameras, tracks = (np.array(column)[kept].tolist() for column in (drawn.cameras, drawn.tracks))
        never = fit_site(drawn.embeddings[kept], cameras, tracks, model=MODEL.identity)
        assert after.identity == never.identity != before.identity  # as if they had never been there
        assert after.calibration is None
        raw = b"".join(path.read_bytes() for path in tmp_path.glob("a.db*"))
        assert after.matrix.tobytes() in raw
        for part in (*before.means, before.site_mean, before.matrix):
            assert part.tobytes() not in raw
        assert gallery.search_embeddings(drawn.embeddings[20], 1, seen_by="c0")[0].site == after.identity
        assert dict(list(gallery.audit())[-1].detail)["site"] == gone.site


def test_a_transform_of_what_is_too_little_goes_with_the_forgotten(tmp_path: Path) -> None:
    drawn = _place()
    with _filled(tmp_path / "a.db", drawn) as gallery:
        before = gallery.site.fit()
        gone = gallery.forget(pids=list(range(1, 20)))
        assert "is deleted too, and none can be fitted to what is left" in gone.site
        assert gallery.site.transform is None
        assert before.matrix.tobytes() not in (tmp_path / "a.db").read_bytes()
        assert gallery.search_embeddings(drawn.embeddings[100], 1)[0].site == ""


def test_forgetting_what_the_fit_did_not_take_changes_nothing(tmp_path: Path) -> None:
    drawn = _place()
    with _filled(tmp_path / "a.db", drawn) as gallery:
        extra = gallery.add_embeddings(unit(1, seed=3), model=MODEL.identity, camera="c9")
        site = gallery.site.fit()
        gallery.site.use(site.with_calibration(calibration()))
        assert gallery.forget(id=extra[0]).site == ""
        after = gallery.site.transform
        assert after is not None
        assert (after.identity, after.calibration) == (site.identity, calibration())
        assert (site.facts.left_out, after.facts.left_out) == ({"c9": 1}, {})


def test_a_killed_fit_leaves_the_old_transform_or_the_new(tmp_path: Path) -> None:
    drawn = _place()
    with _filled(tmp_path / "a.db", drawn, MODEL) as gallery:
        old = gallery.site.fit(exponent=0)
    code = (
        "import os, sys\nfrom resight.gallery.opening import open_gallery\n"
        "from resight.gallery.sqlite import siting\nwrite = siting.write\n"
        "def killed(*given):\n    write(*given)\n    os.kill(os.getpid(), 9)\n"
        "siting.write = killed\nopen_gallery(sys.argv[1]).site.fit()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.db"], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    with open_gallery(tmp_path / "a.db", MODEL) as gallery:
        there = gallery.site.transform
        assert there is not None
        assert there.identity == old.identity
        assert list(gallery.verify()) == []


def test_a_damaged_transform_is_an_error_and_can_be_taken_away(tmp_path: Path) -> None:
    drawn = _place()
    with _filled(tmp_path / "a.db", drawn, MODEL) as gallery:
        gallery.site.fit()
    import sqlite3

    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("UPDATE meta SET value = x'00' WHERE key = 'site'")
    db.close()
    with open_gallery(tmp_path / "a.db", MODEL) as gallery:
        with pytest.raises(GalleryError, match="fit it anew"):
            gallery.search_embeddings(drawn.embeddings[5], 1)
        assert [damage.where for damage in gallery.verify()] == ["site transform"]
        gallery.site.use(None)
        assert len(gallery.search_embeddings(drawn.embeddings[5], 1)[0]) == 1


def test_a_site_of_another_model_is_refused(tmp_path: Path) -> None:
    drawn, other = _place(), place()
    with _filled(tmp_path / "a.db", drawn, MODEL) as gallery:
        with pytest.raises(ConfigError, match="dimension 24; the gallery is of eight"):
            gallery.site.use(fit_site(other.embeddings, other.cameras))
        with pytest.raises(ConfigError, match="this site is of the model another"):
            gallery.site.use(fit_site(drawn.embeddings, drawn.cameras, model="another"))
        with pytest.raises(ConfigError, match="no site transform"):
            gallery.site.check()
        old = gallery.site.fit()
        with pytest.raises(
            DataError, match=r"here 1 of 2 has as many\. Without a mean: camera c0 \(\d+ pictures, to get n"
        ):
            gallery.site.fit(without=["c0"])
        assert gallery.site.transform is not None
        assert gallery.site.transform.identity == old.identity


def test_exports_and_migrations_take_the_transform_along(tmp_path: Path) -> None:
    drawn = _place()
    with _filled(tmp_path / "a.db", drawn, MODEL) as gallery:
        site = gallery.site.fit()
        export(gallery, tmp_path / "a.jsonl")
        with open_gallery(tmp_path / "b.db", MODEL) as other:
            migrate(gallery, other)
            assert other.site.transform is not None
            assert other.site.transform.identity == site.identity
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert "site" in json.loads(lines[0])
    for _ in restore(str(tmp_path / "c.db"), iter(lines), "a.jsonl"):
        pass
    with open_gallery(tmp_path / "c.db", MODEL) as other:
        assert other.site.transform is not None
        assert other.site.transform.identity == site.identity


def test_check_tells_the_camera_that_changed(tmp_path: Path) -> None:
    drawn = _place()
    with open_gallery(tmp_path / "a.db", MODEL, new=True) as gallery:
        where, walks = drawn.cameras, drawn.tracks
        gallery.add_embeddings(drawn.embeddings, model=MODEL.identity, time=1000.0, camera=where, track=walks)
        gallery.site.fit()
        later = _place(seed=1)
        lit = later.embeddings + 1.5 * (np.array(later.cameras) == "c1")[:, None] * unit(1, seed=4)
        lit = (lit / np.linalg.norm(lit, axis=1, keepdims=True)).astype(np.float32)
        gallery.add_embeddings(lit, model=MODEL.identity, time=2000.0, camera=where, track=walks)
        assert {drift.camera: drift.state for drift in gallery.site.check(after=1500)} == {
            "c0": "as it was",
            "c1": "moved",
        }
        assert gallery.site.fit(before=1500).facts.before == 1500


def test_a_site_that_is_fitted_again_and_is_the_same_keeps_its_calibration(tmp_path: Path) -> None:
    """So that a nightly fit does not take every verdict away."""
    with _filled(tmp_path / "a.db", _place()) as gallery:
        first = gallery.site.fit()
        gallery.site.use(first.with_calibration(calibration()))
        assert gallery.site.fit().identity == first.identity
        kept = gallery.site.transform
        assert kept is not None
        assert kept.calibration == calibration()
        gallery.site.fit(exponent=0.7)
        other = gallery.site.transform
        assert other is not None
        assert (other.identity != first.identity, other.calibration) == (True, None)
