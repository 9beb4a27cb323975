"""`resight site`, and `--site` of the other verbs, on a drawn town in a file of embeddings."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import resight as package
from resight.core.distances import unit_rows
from resight.evaluation.decisions.support import supported
from resight.gallery.people import TRACKLETS
from tests.cli.calling import CITY, resight


@pytest.fixture(scope="module")
def model() -> package.Model:
    return package.load("city")


@pytest.fixture
def town(tmp_path: Path, model: package.Model) -> Path:
    """60 people past two cameras, thrice each: one embedding each, moved by what their camera adds."""
    rng = np.random.default_rng(0)
    casts = rng.normal(size=(2, model.dim))
    people = rng.normal(size=(60, model.dim))
    rows, camids, pids, tracks = [], list[int](), list[int](), list[str]()
    for camera in range(2):
        for person in range(60):
            rows += [people[person] + casts[camera] + rng.normal(size=model.dim) for _ in range(3)]
            camids += [camera + 1] * 3
            pids += [person + 1] * 3
            tracks += [f"{camera}/{person}"] * 3
    split = ["query" if row % 3 == 0 and camids[row] == 1 else "gallery" for row in range(len(rows))]
    path = tmp_path / "town.npz"
    vectors = unit_rows(np.array(rows, np.float32))
    np.savez(path, vector=vectors, pid=pids, camid=camids, split=split, track=tracks, model=np.array(model.identity))
    return path


def test_a_site_from_fit_to_verdicts(tmp_path: Path, town: Path) -> None:
    site = tmp_path / "town.site"
    fitted = resight("site", "fit", town, "-o", site)
    assert "EER within cameras" in fitted.stdout
    assert "whitened by the scatter within tracklets" in fitted.stdout
    raw = resight("evaluate", "--embeddings", town, "--json", tmp_path / "raw.json")
    at = resight("evaluate", "--embeddings", town, "--site", site, "--json", tmp_path / "at.json")
    assert "at the site" not in raw.stderr
    assert "at the site" in at.stderr
    figures = [json.loads((tmp_path / name).read_text()) for name in ("raw.json", "at.json")]
    shown = json.loads(resight("site", "show", site, "--json").stdout)
    assert [one["site"] for one in figures] == [None, shown["identity"]]
    raw_ap, ap = (one["evaluations"][0]["mean_ap"] for one in figures)
    assert ap > raw_ap + 0.05
    resight("calibrate", "city", town, "--unlabelled", "--site", site, "--far", "0.1")
    told = resight("site", "show", site).stdout
    assert "without labels" in told
    assert re.search(r"a search: nobody we know +none +0.05: never", told)
    assert "threshold" in told
    assert json.loads(resight("site", "show", site, "--json").stdout)["calibration"]["site"] == shown["identity"]


def test_a_gallery_with_a_site(tmp_path: Path, town: Path) -> None:
    uri = tmp_path / "town.db"
    picture = tmp_path / "one.jpg"
    assert "its rates need not hold" in " ".join(resight("gallery", "create", uri, "-m", "city").stderr.split())
    resight("gallery", "add", uri, town)
    picture.write_bytes(next(iter(package.open_dataset(CITY).query)).read())
    told = resight("gallery", "search", uri, picture, "--false-negative-rate", "0.0001").stderr
    calibration = package.load("city").calibration
    assert calibration is not None
    least = supported(calibration, 1)  # the lowest, not what half of them are told at
    rates = f"supports --false-positive-rate {least.known.least:g} --false-negative-rate {least.nobody.least:g} or more"
    assert rates in " ".join(told.split())
    assert "in force in" in resight("site", "fit", uri).stdout
    answer = json.loads(resight("gallery", "search", uri, picture, "--seen-by", "1", "--json").stdout)
    assert answer["site"].startswith("site:")
    asked = ("gallery", "search", uri, picture, "--seen-by")
    assert "no mean" not in resight(*asked, "cam1").stderr  # its 1, by another spelling
    assert "no mean of the camera hall" in resight(*asked, "hall").stderr
    assert answer["decision"] is None
    resight("calibrate", "city", uri, "--unlabelled", "--site", uri, "--far", "0.1")
    told = resight("gallery", "search", uri, picture, "--seen-by", "1").stdout
    assert "a search for a stranger would find somebody as alike in" in told
    refused = resight("gallery", "search", uri, picture, "--seen-by", "1")
    assert "unsure" in refused.stdout
    assert "this calibration supports no verdict at any rate" in refused.stderr
    assert "calibrated" in resight("gallery", "stats", uri).stdout
    assert "as it was" in resight("site", "check", uri).stdout
    line = json.dumps({"path": str(picture), "camera": "renamed", "time": 1.0})
    (tmp_path / "one.jsonl").write_text(line)
    told = resight("gallery", "add", uri, tmp_path / "one.jsonl").stderr
    assert "no mean: renamed (1): they get the site's" in " ".join(told.split())
    gone = resight("gallery", "forget", uri, "--pid", "1")
    assert "the site transform was fitted anew; its calibration is gone" in gone.stderr
    resight("site", "fit", uri, "-o", tmp_path / "again.site")
    resight("site", "remove", uri)
    assert "has no site transform" in resight("site", "show", uri, code=2).stderr
    assert "in force" in resight("site", "use", uri, tmp_path / "again.site").stdout


def test_a_site_that_brings_nothing_is_told_and_how_to_take_it_off(tmp_path: Path, model: package.Model) -> None:
    rng = np.random.default_rng(2)
    people = rng.normal(size=(60, model.dim))  # cameras that add nothing, noise alike in all directions
    rows = [people.repeat(3, axis=0) + 1.5 * rng.normal(size=(180, model.dim)) for _ in range(2)]
    vectors = unit_rows(np.concatenate(rows).astype(np.float32))
    camids, tracks = [1] * 180 + [2] * 180, [str(row // 3) for row in range(360)]
    path, uri = tmp_path / "town.npz", tmp_path / "town.db"
    split, model_of = ["gallery"] * 360, np.array(model.identity)
    np.savez(path, vector=vectors, pid=[-1] * 360, camid=camids, track=tracks, split=split, model=model_of)
    resight("gallery", "create", uri, "-m", "city")
    resight("gallery", "add", uri, path)
    fitted = resight("site", "fit", uri)
    told = " ".join(fitted.stderr.split())
    assert "told apart no better than raw" in told
    assert f"resight site remove {uri}" in fitted.stderr.replace("\n", "")
    assert "no verdict until this site is calibrated" in told
    assert "in force" in fitted.stdout  # the means are worth more between cameras than this figure can show
    elsewhere = resight("site", "fit", uri, "-o", tmp_path / "town.site")
    assert "site remove" not in elsewhere.stderr


def test_embed_and_compare_take_a_site(tmp_path: Path, town: Path) -> None:
    site, out = tmp_path / "town.site", tmp_path / "city.npz"
    resight("site", "fit", town, "-o", site)
    resight("embed", "city", CITY, "-o", out, "--site", site)
    assert "+site:" in str(np.load(out)["model"])
    resight("gallery", "create", tmp_path / "raw.db", "-m", "city")
    assert "without --site" in resight("gallery", "add", tmp_path / "raw.db", out, code=3).stderr
    done = resight(
        *("compare", "city", "city", CITY, "--second-site", site, "-o", tmp_path / "page.html"),
        *("--json", tmp_path / "two.json"),
    )
    assert "city at" in done.stdout
    assert [one["site"] is None for one in json.loads((tmp_path / "two.json").read_text())["models"]] == [True, False]


def test_check_ends_with_its_own_code(tmp_path: Path, town: Path, model: package.Model) -> None:
    site = tmp_path / "town.site"
    resight("site", "fit", town, "-o", site)
    rows = dict(np.load(town).items())
    rows["vector"] = unit_rows(rows["vector"] + np.where(rows["camid"] == 2, 0.2, 0)[:, None].astype(np.float32))
    np.savez(tmp_path / "later.npz", **rows)
    assert resight("site", "check", site, town).stdout.count("as it was") == 2
    told = resight("site", "check", site, tmp_path / "later.npz", code=7)
    assert "moved" in told.stdout
    assert "fit the site anew: 2 is not as then" in told.stderr


def test_the_people_of_a_gallery_calibrate_it(tmp_path: Path, town: Path) -> None:
    uri, copy = tmp_path / "town.db", tmp_path / "mine.resight"
    resight("gallery", "create", uri, "-m", "city")
    resight("gallery", "add", uri, town)
    done = resight("calibrate", "city", uri, "-o", copy, "--far", "0.1")
    assert "people with names" in done.stderr
    assert "are flattered then" in done.stderr
    picture = tmp_path / "one.jpg"
    picture.write_bytes(next(iter(package.open_dataset(CITY).query)).read())
    rates = ("--false-positive-rate", "0.001", "--false-negative-rate", "0.001")
    told = resight("gallery", "search", uri, picture, "-m", copy, *rates).stderr
    able = re.search(r"supports (--false-positive-rate \S+ --false-negative-rate \S+) or more", told)
    assert able is not None
    at_those = resight("gallery", "search", uri, picture, "-m", copy, *able[1].split())
    assert "support" not in at_those.stdout + at_those.stderr
    of_file = resight("calibrate", "city", town, "--unlabelled", "-o", tmp_path / "b.resight", "--far", "0.1")
    assert "a pair: different" in of_file.stdout
    assert "0.05: never" in of_file.stdout
    assert "without people with names little more than `same` of a pair is known" in of_file.stderr
    resight("site", "fit", uri)
    resight("calibrate", "city", uri, "--site", uri, "--far", "0.1")
    shown = json.loads(resight("site", "show", uri, "--json").stdout)["calibration"]
    assert shown["site"].startswith("site:")
    assert shown["method"] != "none"
    both = resight("calibrate", "city", uri, "--site", uri, "-o", copy, code=2)
    assert "give one" in both.stderr
    assert "exists already" in resight("calibrate", "city", uri, "-o", copy, code=2).stderr
    new = tmp_path / "new.resight"
    assert "embeddings of city" in resight("calibrate", "market", uri, "-o", new, code=2).stderr


def test_names_that_the_model_gave_do_not_calibrate_it(tmp_path: Path) -> None:
    model = package.load("city")
    rows = unit_rows(np.random.default_rng(0).normal(size=(24, model.dim)).astype(np.float32))
    with package.open_gallery(tmp_path / "own.db", model, new=True) as gallery:
        pids = [TRACKLETS + number for number in range(24)]
        gallery.add_embeddings(rows, model=model.identity, camera=["north", "south"] * 12, pid=pids)
        for number in range(24):
            gallery.link(pids[number], 1 + number // 2, purpose="video link: P 0.900")
    refused = resight("calibrate", "city", tmp_path / "own.db", "-o", tmp_path / "mine.resight", code=3)
    assert "nobody in this gallery has a name" in refused.stderr
    with package.open_gallery(tmp_path / "own.db", model) as gallery:
        for link in gallery.links():
            gallery.unlink(link.number)
        for number in range(24):
            gallery.link(pids[number], 1 + number // 2)
    named = resight("calibrate", "city", tmp_path / "own.db", "-o", tmp_path / "mine.resight", "--far", "0.9", code=0)
    assert "24 entries of 12 people with names" in named.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("site", "fit", "{town}"), 2, "say by --out where to write the site"),
        (("site", "fit", "{town}", "-o", "{folder}/none/a.site"), 2, "does not exist"),
        (("site", "fit", CITY, "-o", "{folder}/a.site"), 2, "say what embeds them, with --model"),
        (("site", "fit", CITY, "-m", "city", "-o", "{folder}/a.site"), 3, "100 different pictures each"),
        (("site", "show", "{town}"), 3, "no site that `resight site fit` wrote"),
        (("site", "check", "{site}"), 2, "say which pictures"),
        (
            ("site", "check", "{site}", "{town}", "--last", "7d"),
            2,
            "no pictures of that time; none has a time",
        ),
        (
            ("evaluate", "--embeddings", "{town}", "--site", "{site}", "--centre-cameras"),
            2,
            "leave --centre-cameras out",
        ),
        (("evaluate", "market", CITY, "--site", "{site}"), 2, "embeddings of another model"),
        (("calibrate", "city", "{town}", CITY, "--unlabelled", "--site", "{site}"), 2, "takes one place"),
        (("calibrate", "city", "{town}", "--unlabelled"), 2, "packaged model, which stays as it is"),
        (
            ("calibrate", "city", "{town}", "--unlabelled", "--site", "{site}", "--far", "1e-6"),
            3,
            "Nothing was written",
        ),
    ],
)
def test_what_cannot_work_is_said(tmp_path: Path, town: Path, arguments: tuple[str, ...], code: int, why: str) -> None:
    site = tmp_path / "town.site"
    resight("site", "fit", town, "-o", site)
    places = {"town": town, "folder": tmp_path, "site": site}
    words = [word.format(**places) for word in arguments]
    told = " ".join(resight(*words, code=code).stderr.split())
    assert why in told


def test_a_site_is_not_applied_to_embeddings_of_another_model(tmp_path: Path, town: Path) -> None:
    site = tmp_path / "town.site"
    resight("site", "fit", town, "-o", site)
    columns = dict(np.load(town))
    other, silent = tmp_path / "other.npz", tmp_path / "silent.npz"
    np.savez(other, **{**columns, "model": np.array("sha256:0123")})
    np.savez(silent, **{name: column for name, column in columns.items() if name != "model"})
    refused = resight("evaluate", "--embeddings", other, "--site", site, code=2)
    assert "another model" in refused.stderr
    assert "0123" in refused.stderr
    resight("evaluate", "--embeddings", silent, "--site", site)


def test_unlabelled_embeddings_of_another_model_are_refused(tmp_path: Path, town: Path) -> None:
    columns = {name: column for name, column in np.load(town).items() if name != "model"}
    own, narrow, out = tmp_path / "own.npz", tmp_path / "narrow.npz", tmp_path / "out.resight"
    np.savez(own, **columns)
    np.savez(narrow, **{**columns, "vector": columns["vector"][:, :64]})
    calibrate = ("calibrate", "city", "--unlabelled", "--far", "0.1", "-o", out)
    refused = resight(*calibrate, narrow, code=2)
    assert "of dimension 64, those of city have 256" in " ".join(refused.stderr.split())
    assert not out.exists()
    told = " ".join(resight(*calibrate, own).stderr.split())
    assert "warning" in told
    assert "does not say which model its embeddings are of" in told
    out.unlink()
    assert "does not say which model" not in resight(*calibrate, town).stderr


def test_named_embeddings_calibrate_a_model(tmp_path: Path, town: Path) -> None:
    columns = dict(np.load(town).items())
    columns["camid"][:3] = -1
    path, out = tmp_path / "own.npz", tmp_path / "out.resight"
    np.savez(path, **columns)
    done = resight("calibrate", "city", path, "--far", "0.2", "-o", out)
    assert "left out: 3 rows" in done.stderr
    calibration = package.load(out).calibration
    assert calibration is not None
    assert calibration.num_people == len(np.unique(columns["pid"][columns["pid"] > 0]))
    assert "own.npz (embeddings)" in calibration.data
    columns["pid"][:] = -1
    np.savez(path, **columns)
    assert "by --unlabelled" in resight("calibrate", "city", path, "-o", tmp_path / "b.resight", code=3).stderr
    np.savez(path, **{**columns, "vector": columns["vector"][:, :64]})
    assert "dimension 64" in resight("calibrate", "city", path, "-o", tmp_path / "b.resight", code=2).stderr


def test_embed_writes_tracks_and_times(tmp_path: Path) -> None:
    pictures = list(package.open_dataset(CITY).query)[:4]
    lines = ["path,pid,camid,split,track,time"]
    for number, crop in enumerate(pictures):
        (tmp_path / f"{number}.jpg").write_bytes(crop.read())
        lines.append(f"{number}.jpg,{number % 2 + 1},{number % 2 + 1},gallery,w{number // 2},{'' if number else 12.5}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    resight("embed", "city", tmp_path / "manifest.csv", "-o", tmp_path / "out.npz")
    found = np.load(tmp_path / "out.npz")
    assert found["track"].tolist() == ["w0", "w0", "w1", "w1"]
    assert found["time"].tolist()[0] == 12.5
    assert np.isnan(found["time"][1:]).all()
