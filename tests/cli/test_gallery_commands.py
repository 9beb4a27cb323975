"""`resight gallery`, as its users call it."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resight import load, open_dataset
from resight import open_gallery as resight_gallery
from tests.cli.calling import CITY, resight


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of the city's gallery pictures."""
    path = tmp_path_factory.mktemp("site") / "site.db"
    assert "rights of the model" in resight("gallery", "create", path, "--audit-searches").stdout
    num = len(open_dataset(CITY).gallery)
    assert f"{num} added, 0 left out" in resight("gallery", "add", path, CITY, "--split", "gallery").stdout
    return path


@pytest.fixture(scope="module")
def picture(site: Path) -> Path:
    path = site.parent / "query.jpg"
    path.write_bytes(open_dataset(CITY).query[0].read())
    return path


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_search_agrees_with_a_comparison_of_all(site: Path, picture: Path) -> None:
    (found,) = lines(resight("gallery", "search", site, picture, "--top-k", "5", "--json", "--purpose", "test").stdout)
    city, model = open_dataset(CITY), load()
    similarities = model.embed([crop.read() for crop in city.gallery]) @ model.embed(picture)[0]
    best = np.argsort(-similarities, kind="stable")[:5]
    matches = found["matches"]
    assert isinstance(matches, list)
    assert [match["name"] for match in matches] == [city.gallery[place].name for place in best]
    assert [match["pid"] for match in matches] == [city.gallery[place].pid for place in best]
    shown = resight("gallery", "search", site, picture, "--exclude-camera", "0").stdout
    assert "among" in shown
    last = lines(resight("gallery", "audit", site).stdout)[0]
    assert (last["action"], last["purpose"]) == ("search", "test")


def test_lines_of_a_camera_process(site: Path, picture: Path, tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    resight("gallery", "create", path, "--keep-crops")
    rows = [
        {"path": str(picture), "camera": "north", "time": "2026-03-01T08:00:00Z", "track": "17"},
        {"embedding": [1.0, 0.0], "model": load().identity, "camera": "north"},
        {"embedding": load().embed(picture)[0].tolist(), "model": load().identity, "camera": "south", "pid": 3},
        {"embedding": load().embed(picture)[0].tolist(), "model": "sha256:another", "camera": "south"},
        {"path": "/nowhere.jpg", "camera": "north"},
        {"path": str(picture)},
        {"path": str(picture), "camera": "north", "colour": "red"},
        {"path": str(picture), "camera": "north", "pid": "seven"},
        {"crop": "&&&", "camera": "north"},
    ]
    text = "\n".join([*map(json.dumps, rows), "nonsense", "[1]", "[" * 100_000, ""])
    done = resight("gallery", "add", path, "-", stdin=text)
    assert "2 added, 10 left out" in done.stdout
    for what in ("line 6: no camera", "/nowhere.jpg", "colour", "a model another", "whole number", "base64", "line 10"):
        assert what in done.stderr, what
    told = resight("gallery", "stats", path).stdout
    assert "2026-03-01T08:00:00Z" in told
    assert "pictures  1 kept" in told
    resight("gallery", "export", path, "-o", tmp_path / "all.jsonl")
    assert os.name != "posix" or (tmp_path / "all.jsonl").stat().st_mode & 0o777 == 0o600
    copy = tmp_path / "copy.db"
    assert "2 added, 0 left out" in resight("gallery", "import", copy, tmp_path / "all.jsonl").stdout
    resight("gallery", "export", copy, "-o", tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "all.jsonl").read_bytes()
    assert "what it was" in resight("gallery", "verify", copy).stdout


@pytest.mark.parametrize("form", ["parquet", "npz"])
def test_a_file_of_embeddings(site: Path, tmp_path: Path, form: str) -> None:
    path, file = tmp_path / "site.db", tmp_path / f"city.{form}"
    resight("embed", "default", CITY, "-o", file)
    resight("gallery", "create", path)
    num = len(open_dataset(CITY).gallery)
    assert f"{num} added, 0 left out" in resight("gallery", "add", path, file, "--split", "gallery").stdout
    resight("gallery", "export", path, "-o", tmp_path / "all.jsonl")
    resight("gallery", "export", site, "-o", tmp_path / "by-pictures.jsonl")
    ours, theirs = (lines((tmp_path / name).read_text())[1:] for name in ("all.jsonl", "by-pictures.jsonl"))
    for one, other in zip(ours, theirs, strict=True):
        assert [one[name] for name in ("pid", "camera", "name")] == [other[name] for name in ("pid", "camera", "name")]
        assert np.allclose(one["embedding"], other["embedding"], atol=1e-5)  # type: ignore[arg-type]
    bare = tmp_path / "bare.npz"
    np.savez(bare, vector=np.eye(3, 256, dtype=np.float32), model=load().identity)
    assert "--camera" in resight("gallery", "add", path, bare, code=2).stderr
    assert "3 added" in resight("gallery", "add", path, bare, "--camera", "gate").stdout
    np.savez(bare, vector=np.eye(3, 256, dtype=np.float32))
    told = resight("gallery", "add", path, bare, "--camera", "gate", code=3).stderr
    assert f"as `model`, as `resight embed` does; the gallery is of {load().identity}" in told


def test_no_line_however_wrong_ends_the_rest(picture: Path, tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    resight("gallery", "create", path)
    good = {"path": str(picture), "camera": "north"}
    wrong = [
        {**good, "time": "yesterday"},
        {**good, "time": "0001-01-01T00:00:00"},
        {**good, "time": 10**30},
        {**good, "attributes": [1]},
        {**good, "attributes": "abc"},
        {**good, "attributes": {"n": 2**64}},
        {**good, "camera": None},
        {**good, "camera": ["n"]},
        {**good, "name": ["x"]},
        {"camera": "n", "path": "a\0b"},
        {"camera": "n", "embedding": None},
        {"camera": "n", "model": load().identity, "embedding": [10**400] * 256},
        {"camera": "n", "model": load().identity, "embedding": [1e300] * 256},
    ]
    text = "\n".join(map(json.dumps, [good, *wrong, good]))
    done = resight("gallery", "add", path, "-", stdin=text)
    assert f"2 added, {len(wrong)} left out" in done.stdout
    assert "Warning" not in done.stderr


def test_export_and_import_carry_ids_and_links(site: Path, tmp_path: Path) -> None:
    path = tmp_path / "linked.db"
    path.write_bytes(site.read_bytes())
    resight("gallery", "forget", path, "--id", "1")
    pids = sorted({crop.pid for crop in open_dataset(CITY).gallery if crop.pid > 0})[:2]
    resight("gallery", "link", path, *map(str, pids), "--who", "ann", "--purpose", "one coat")
    resight("gallery", "export", path, "-o", tmp_path / "all.jsonl")
    copy = tmp_path / "copy.db"
    resight("gallery", "import", copy, tmp_path / "all.jsonl")
    resight("gallery", "export", copy, "-o", tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "all.jsonl").read_bytes()
    first, second = lines((tmp_path / "all.jsonl").read_text())[:2]
    assert first["links"] == [{"pid": pids[0], "into": pids[1], "who": "ann", "purpose": "one coat"}]
    assert second["id"] == 2


def test_an_id_is_of_one_entry(site: Path, tmp_path: Path) -> None:
    resight("gallery", "export", site, "-o", tmp_path / "all.jsonl")
    header, first, second, *_ = (tmp_path / "all.jsonl").read_text().splitlines()
    header = json.dumps({**json.loads(header), "entries": 2})
    (tmp_path / "twice.jsonl").write_text("\n".join([header, first, first, second]))
    done = resight("gallery", "import", tmp_path / "copy.db", tmp_path / "twice.jsonl")
    assert "2 added, 1 left out" in done.stdout
    assert "id 1 is given already" in done.stderr


def test_forgetting_from_the_command_line(site: Path, picture: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    path.write_bytes(site.read_bytes())  # the log is empty after each command
    pid = open_dataset(CITY).gallery[0].pid
    row = load().embed(open_dataset(CITY).gallery[0].read())[0].tobytes()
    assert row in path.read_bytes()
    told = resight("gallery", "forget", path, "--pid", str(pid), "--who", "officer", "--purpose", "request 12").stdout
    assert "entries forgotten" in told
    assert row not in path.read_bytes()
    assert lines(resight("gallery", "audit", path).stdout)[-1]["who"] == "officer"
    asked = [("--who", "OFFIC"), ("--action", "forget"), ("--who", "officer", "--action", "link"), ("--who", "nobody")]
    some = [lines(resight("gallery", "audit", path, *options).stdout) for options in asked]
    found = [[(line["who"], line["action"]) for line in each] for each in some]
    assert found == [[("officer", "forget")], [("officer", "forget")], [], []]
    assert "0 entries" in resight("gallery", "forget", path, "--older-than", "30d", "--camera", "nowhere").stdout
    assert "no entry" in resight("gallery", "forget", path, "--person", "bbo").stderr
    assert "link 1" in resight("gallery", "link", path, "1", "2").stdout
    assert "undone" in resight("gallery", "unlink", path, "1").stdout
    assert "given back" in resight("gallery", "compact", path).stdout


def test_who_is_forgotten_is_forgotten_by_the_next_migration(site: Path, tmp_path: Path) -> None:
    path, new = tmp_path / "old.db", tmp_path / "new.db"
    path.write_bytes(site.read_bytes())
    num = len(open_dataset(CITY).gallery)
    assert "forgotten in both" in resight("gallery", "migrate", path, new).stdout
    pid = open_dataset(CITY).gallery[0].pid
    told = resight("gallery", "forget", path, "--pid", str(pid))
    assert "afterwards: none were found" in told.stdout
    assert f"also in {new}, made of this gallery" in told.stderr
    gone = sum(crop.pid == pid for crop in open_dataset(CITY).gallery)
    done = resight("gallery", "migrate", path, new, "--who", "officer").stdout
    assert f"{num - gone} entries, {num - gone} of them there before" in done
    assert f"{gone} entries forgotten in {new}, as no longer in {path}" in done
    assert "none were found" in done
    assert lines(resight("gallery", "audit", new).stdout)[-2]["who"] == "officer"
    assert f"entries   {num - gone} of" in resight("gallery", "stats", new).stdout


def test_several_pictures_of_one_person_are_one_search(site: Path, tmp_path: Path) -> None:
    crops = [crop for crop in open_dataset(CITY).query if crop.pid == open_dataset(CITY).query[0].pid]
    paths = [tmp_path / f"{number}.jpg" for number in range(len(crops))]
    for path, crop in zip(paths, crops, strict=True):
        path.write_bytes(crop.read())
    each = lines(resight("gallery", "search", site, *paths, "--json").stdout)
    assert [answer["picture"] for answer in each] == list(map(str, paths))
    (pooled,) = lines(resight("gallery", "search", site, *paths, "--pool", "mean", "--json").stdout)
    assert pooled["pictures"] == list(map(str, paths))
    assert "pool" in resight("gallery", "search", site, *paths, "--pool", "most", code=2).stderr


def test_a_bad_picture_does_not_end_a_search_for_others(site: Path, picture: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    done = resight("gallery", "search", site, bad, picture, "--json")
    failed, answer = lines(done.stdout)
    assert (failed["picture"], answer["picture"]) == (str(bad), str(picture))
    assert failed["error"]
    assert "error" not in answer
    assert "left out" in done.stderr
    assert len(lines(resight("gallery", "search", site, picture, picture, "--json").stdout)) == 2
    np.savez(tmp_path / "e.npz", vector=np.eye(2))
    told = " ".join(resight("gallery", "search", site, tmp_path / "e.npz", code=3).stderr.split())
    assert "search_embeddings(vectors)" in told
    resight("gallery", "search", site, bad, bad, code=3)


def test_old_names_of_options_still_work_with_a_warning(site: Path, picture: Path, tmp_path: Path) -> None:
    new = resight("gallery", "search", site, picture, "--top-k", "3", "--min-similarity", "0.1", "--json")
    old = resight("gallery", "search", site, picture, "--top", "3", "--at-least=0.1", "--json")
    assert old.stdout == new.stdout
    assert "--top is called --top-k now" in old.stderr
    assert "--at-least is called --min-similarity now" in old.stderr
    assert "is called" not in new.stderr
    path = tmp_path / "copy.db"
    path.write_bytes(site.read_bytes())
    assert "--older-than" in resight("gallery", "forget", path, "--keep", "30d").stderr
    for verb, names in (("search", ("--top ", "--at-least")), ("forget", ("--keep",))):
        shown = resight("gallery", verb, "--help").stdout
        assert not any(name in shown for name in names)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["forget", "SITE"], 2, "say what to forget"),
        (["forget", "SITE", "--older-than", "soon"], 2, "is no period"),
        (["forget", "SITE", "--camera", "0", "--older-than", ""], 2, "is no period"),  # as of an unset variable
        (["search", "SITE", "PICTURE", "--hidden", ""], 2, "hidden is"),
        (["search", "SITE", "PICTURE", "--min-similarity", "nan"], 2, "min_similarity"),
        (["search", "SITE", "PICTURE", "--false-positive-rate", "7"], 2, "rate"),
        (["add", "SITE", "synthetic:train_people=1,test_people=2", "--camera", ""], 2, "a camera is a name"),
        (["link", "SITE", "99999999999999999999", "1"], 2, "whole number"),
        (["export", "SITE", "-o", "/nowhere/all.jsonl"], 2, "folder /nowhere does not exist"),
        (["migrate", "SITE", "./site.db"], 2, "another place"),
        (["forget", "SITE", "--before", "yesterday"], 2, "is no time"),
        (["forget", "SITE", "--before", "2026"], 2, "write a date as 2026-03-01"),
        (["search", "none.db", "a.jpg"], 3, "no gallery"),
        (["search", "SITE", "none.jpg"], 3, "none.jpg"),
        (["create", "SITE"], 3, "exists already"),
        (["unlink", "SITE", "99"], 3, "no link 99"),
        (["add", "SITE", "none.jsonl"], 3, "none.jsonl"),
        (["add", "SITE", "-", "--camera", "north"], 2, "themselves"),
        (["import", "new.db", "PICTURE"], 3, "first line"),
        (["search", "PICTURE", "PICTURE"], 3, "no gallery"),
        (["search", "SITE", "PICTURE", "--model", "default-int8"], 3, "cannot be compared"),
    ],
)
def test_what_cannot_be_is_said_plainly(
    site: Path, picture: Path, arguments: list[str], code: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site.parent)
    given = [{"SITE": str(site), "PICTURE": str(picture)}.get(word, word) for word in arguments]
    done = resight("gallery", *given, code=code)
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_a_picture_that_shows_nothing_is_embedded_and_not_taken_into_a_gallery(tmp_path: Path) -> None:
    Image.new("RGB", (64, 128), (90, 120, 60)).save(tmp_path / "flat.png")
    city = open_dataset(CITY)
    (tmp_path / "person.jpg").write_bytes(city.query[0].read())
    for suffix in ("npz", "parquet"):
        file = tmp_path / f"e.{suffix}"
        done = resight("embed", "city", tmp_path / "flat.png", tmp_path / "person.jpg", "--plain", "-o", file)
        assert "2 of 2 pictures" in done.stdout
        assert "1 picture(s) show nothing" in done.stderr
        gallery = tmp_path / f"{suffix}.db"
        resight("gallery", "create", gallery, "--model", "city")
        done = resight("gallery", "add", gallery, file, "--camera", "north")
        assert "1 added, 1 left out; 1 entry" in done.stdout + done.stderr
        assert "flat.png: shows nothing" in done.stdout + done.stderr


def test_a_folder_of_one_cameras_pictures(site: Path, picture: Path, tmp_path: Path) -> None:
    path, folder = tmp_path / "gate.db", tmp_path / "gate"
    folder.mkdir()
    for number, crop in enumerate(open_dataset(CITY).query[:3]):
        (folder / f"{number}.jpg").write_bytes(crop.read())
    resight("gallery", "create", path)
    assert "--camera NAME" in resight("gallery", "add", path, folder, code=3).stderr
    assert "3 added" in resight("gallery", "add", path, folder, "--camera", "gate").stdout
    assert "gate 3" in resight("gallery", "stats", path).stdout
    (folder / "below").mkdir()
    for name in ("x.pdf", "below/notes.txt", ".hidden", "below/.DS_Store"):
        (folder / name).write_bytes(b"%PDF")
    told = resight("gallery", "add", path, folder, "--camera", "gate").stderr
    assert "left out: 2 files that are no pictures by the suffix: below/notes.txt, x.pdf\n" in told


def test_one_picture_with_its_camera_is_added(site: Path, picture: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    resight("gallery", "create", path)
    assert "--camera NAME" in resight("gallery", "add", path, picture, code=3).stderr
    assert "1 added, 0 left out; 1 entry" in resight("gallery", "add", path, picture, "--camera", "gate").stdout
    found = resight("gallery", "search", path, picture)
    assert "among 1 person" in found.stdout
    assert "incomplete" not in found.stderr
    with resight_gallery(path) as gallery:
        gallery.store.set_unfinished("x")
    assert "incomplete" in resight("gallery", "search", path, picture).stderr


def test_what_would_be_forgotten_is_counted_first(site: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    path.write_bytes(site.read_bytes())
    crops = open_dataset(CITY).gallery
    pid = crops[0].pid
    count = sum(crop.pid == pid for crop in crops)
    told = resight("gallery", "forget", path, "--pid", str(pid), "--dry-run").stdout
    assert f"{count} entries of 1 person with pids would be forgotten" in told
    assert "by camera: " in told
    assert "nothing was deleted" in told
    assert "time: 1970-01-01T00:" in told
    for day in ("1971-01-01", "20260301"):
        done = resight("gallery", "forget", path, "--after", day, "--dry-run")
        assert "nobody matches" in done.stdout
        assert f"--after {day} names no zone" in done.stderr
    resight(
        "gallery",
        "add",
        path,
        "-",
        stdin=json.dumps({"crop": base64.b64encode(crops[0].read()).decode(), "camera": "n"}),
    )
    assert "not judged: 1 entry has" in resight("gallery", "forget", path, "--before", "1971-01-01", "--dry-run").stderr
    assert f"entries   {len(crops) + 1} of" in resight("gallery", "stats", path).stdout
    assert "forget" not in [line["action"] for line in lines(resight("gallery", "audit", path).stdout)]
    assert f"{count} entries forgotten" in resight("gallery", "forget", path, "--pid", str(pid)).stdout


def test_a_short_identity_is_the_models_own(site: Path, picture: Path, tmp_path: Path) -> None:
    path = tmp_path / "short.db"
    resight("gallery", "create", path)
    model = load()
    row = {"embedding": model.embed(picture)[0].tolist(), "camera": "n"}
    short = [model.identity.removeprefix("sha256:")[:digits] for digits in (12, 11)]
    text = "\n".join(json.dumps({**row, "model": told}) for told in short)
    done = resight("gallery", "add", path, "-", stdin=text)
    assert "1 added, 1 left out" in done.stdout
    assert f"the gallery is of {model.identity}" in done.stderr


def test_words_that_are_nearly_right_are_told(site: Path, picture: Path, tmp_path: Path) -> None:
    assert "Did you mean 'search'?" in resight("gallery", "serch", code=2).stderr
    assert "Did you mean 'gallery'" in resight("galery", code=2).stderr
    assert "is a folder" in resight("gallery", "create", tmp_path, code=3).stderr
    assert (
        "no entry is of the person nobody" in resight("gallery", "search", site, picture, "--person", "nobody").stderr
    )
    row = {"path": str(picture), "camera": "n", "time": 2.1e9}
    assert "in the year 2036" in resight("gallery", "add", site, "-", stdin=json.dumps(row), code=3).stderr


def test_of_rows_left_out_for_one_reason_the_first_are_named(tmp_path: Path) -> None:
    path, file = tmp_path / "g.db", tmp_path / "e.npz"
    resight("gallery", "create", path)
    np.savez(file, vector=np.full((30, 256), np.nan, np.float32), model=load().identity)
    told = resight("gallery", "add", path, file, "--camera", "gate", code=3).stderr.splitlines()
    named = [line for line in told if line.startswith("left out: e.npz row")]
    assert len(named) == 20
    assert "left out: 10 more: the embedding has length ... and not 1: leave it out" in told


def test_rows_of_other_lengths_are_one_kind_and_the_column_camera_will_do(tmp_path: Path) -> None:
    path, file = tmp_path / "g.db", tmp_path / "e.npz"
    resight("gallery", "create", path)
    vectors = np.random.default_rng(0).normal(size=(32, 256)).astype(np.float32)
    vectors[:2] /= np.linalg.norm(vectors[:2], axis=1, keepdims=True)
    cameras, tracks = np.array(["hall"] * 16 + ["door"] * 16), np.arange(32).astype(str)
    np.savez(file, vector=vectors, model=load().identity, camera=cameras, track=tracks)
    done = resight("gallery", "add", path, file)
    told = done.stderr.splitlines()
    assert sum(line.startswith("left out: e.npz row") for line in told) == 20
    assert "left out: 10 more: the embedding has length ... and not 1: divide it by its length" in told
    assert "2 added, 30 left out" in done.stdout
    with resight_gallery(path, read_only=True) as gallery:
        assert [(entry.camera, entry.track) for entry in gallery.entries()] == [("hall", "0"), ("hall", "1")]
    cameras[3] = ""
    np.savez(file, vector=vectors, model=load().identity, camera=cameras)
    assert "which camera each of its crops is from" in " ".join(
        resight("gallery", "add", path, file, code=2).stderr.split()
    )


def test_cameras_of_which_nothing_is_there_are_told(site: Path, picture: Path, tmp_path: Path) -> None:
    done = resight("gallery", "search", site, picture, "--camera", "hall")
    assert "nobody is there who could be the answer" in done.stdout
    assert "no entry is by the camera hall; there are 0, 1" in done.stderr
    assert "by the camera hall" in resight("gallery", "search", site, picture, "--exclude-camera", "hall").stderr
    assert "by the camera hall" in resight("gallery", "forget", site, "--camera", "hall").stderr
    resight("gallery", "create", tmp_path / "g.db")
    done = resight("gallery", "add", tmp_path / "g.db", CITY, "--only-camera", "hall")
    assert "no row is by the camera hall; there are 0, 1" in done.stderr
    resight("gallery", "add", tmp_path / "g.db", CITY, "--only-camera", "0", "--camera", "hall", code=2)


def test_one_picture_and_a_name_too_long_are_told(site: Path, picture: Path) -> None:
    assert "is one picture, and no data set" in resight("gallery", "add", site, picture, code=3).stderr
    assert "a name is too long for a file: xxx" in resight("gallery", "stats", "x" * 300, code=2).stderr
