"""`resight video`: from a drawn film to a timeline, as a user types it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from resight.video.formats.lines import Line, json_line
from tests.cli.calling import resight

TOWN = "town:seed=7,people=5,cameras=2,seconds=24,rate=4,height=144,width=256,occluders=0"
START = "2026-03-01T08:00:00Z"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films") / "town"
    done = resight("video", "draw", TOWN, "-o", folder)
    assert "5 people" in done.stdout
    assert f"--tracks {folder}/truth/$camera.txt" in done.stdout  # and no detector, which nobody has yet
    return folder


@pytest.fixture(scope="module")
def gallery(town: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both films, with the boxes of the truth, which our tracker follows."""
    path = tmp_path_factory.mktemp("gallery") / "site.db"
    resight("gallery", "create", path, "-m", "city", "--keep-crops")
    for camera in ("camera1", "camera2"):
        lines = (town / "truth" / f"{camera}.txt").read_text()
        boxes = path.parent / f"{camera}.txt"
        boxes.write_text(re.sub(r"^(\d+),\d+,", r"\1,-1,", lines, flags=re.MULTILINE))
        done = resight(
            "video", "add", path, town / f"{camera}.mp4", "--camera", camera, "--start", START, "--tracks", boxes
        )
        assert re.search(r"\d+ tracklets added", done.stdout)
    return path


def test_the_whole_way(town: Path, gallery: Path, tmp_path: Path) -> None:
    site = ["--site", str(town / "site.toml")]
    dry = resight("video", "link", gallery, *site, "--dry-run")
    assert "would be made" in dry.stdout
    assert "looks alike" in dry.stdout
    assert re.search(
        r"\d+ tracklets: \d+ (people|person) of two or more, .* by (itself|themselves), \d+ unsure", dry.stdout
    )
    assert ("more; --json has all" in dry.stdout) == (
        int(re.findall(r"(\d+) links? would be made", dry.stdout)[0]) > 10
    )
    before = json.loads(resight("video", "evaluate", gallery, town / "truth", "--json").stdout)
    review = tmp_path / "review.jsonl"
    made = json.loads(resight("video", "link", gallery, *site, "--json", "--review", review).stdout)
    assert made["linked"] == len(made["links"]) > 0
    assert len(review.read_text().splitlines()) == len(made["unsure"])
    after = json.loads(resight("video", "evaluate", gallery, town / "truth", "--json").stdout)
    assert (
        before["linked"]["idf1"] == before["alone"]["idf1"] < after["linked"]["idf1"] <= after["perfect"]["idf1"] + 1e-9
    )
    assert after["perfect"]["idf1"] > 0.85
    assert "as linked" in resight("video", "evaluate", gallery, town / "truth").stdout
    page = tmp_path / "timeline.html"
    told = resight("video", "follow", gallery, *site, "-o", page).stdout
    assert told.startswith(f"{_entries(gallery)} tracklets: ")
    assert re.search(r": \d+ (person|people), ", told)
    assert os.name != "posix" or page.stat().st_mode & 0o777 == 0o600
    text = page.read_text()
    assert "data:image/jpeg" in text
    assert "P 0." in text or "P 1.00" in text
    assert not re.search(r"(src|href)=\"https?:", text)
    person = made["links"][0]["entry"]
    one = tmp_path / "one.html"
    number = re.search(r"person (\d+)", text)
    assert number is not None
    resight("video", "follow", gallery, "--pid", number[1], "-o", one)
    assert person > 0
    assert len(one.read_text()) < len(text)
    undone = resight("video", "unlink", gallery)
    assert undone.stdout == f"{made['linked']} links taken back\n"


def test_the_same_command_again_adds_nothing(town: Path, gallery: Path) -> None:
    again = resight(
        "video", "add", gallery, town / "camera1.mp4", "--camera", "camera1", "--start", START,
        "--tracks", gallery.parent / "camera1.txt",
    )  # fmt: skip
    assert again.stdout.startswith("0 tracklets added")
    assert "there already" in again.stdout


def test_two_cameras_of_one_name(town: Path, gallery: Path) -> None:
    done = resight(
        "video", "add", gallery, town / "camera2.mp4", "--camera", "camera1", "--start", START,
        "--tracks", gallery.parent / "camera2.txt", code=2,
    )  # fmt: skip
    assert "camera2.mp4 is in the gallery already" in done.stderr


@pytest.fixture
def added(town: Path, gallery: Path, tmp_path: Path) -> Path:
    """A gallery of the first film alone."""
    path = tmp_path / "own.db"
    resight("gallery", "create", path, "-m", "city")
    resight("video", "add", path, *_first_film(town, gallery))
    return path


def _first_film(town: Path, gallery: Path, start: str = START, camera: str = "camera1") -> list[Path | str]:
    return [town / "camera1.mp4", "--camera", camera, "--start", start, "--tracks", gallery.parent / "camera1.txt"]


def _entries(path: Path) -> int:
    return int(json.loads(resight("gallery", "stats", path, "--json").stdout)["entries"])


def test_a_video_is_there_once(town: Path, gallery: Path, added: Path) -> None:
    entries = _entries(added)
    for start, camera, more in [
        ("2026-03-01T08:00:05Z", "camera1", []),
        ("2026-03-01T09:00:00Z", "camera1", []),
        (START, "door", []),
        (START, "camera1", ["--at-most", "2"]),
    ]:
        done = resight("video", "add", added, *_first_film(town, gallery, start, camera), *more, code=2)
        assert f"{entries} tracklets of camera camera1 from 2026-03-01T08:00:0" in done.stderr
        assert "--replace" in done.stderr
    assert _entries(added) == entries
    later = _first_film(town, gallery, "2026-03-01T09:00:00Z")
    done = resight("video", "add", added, *later, "--replace")
    assert f"{entries} tracklets of before forgotten" in done.stderr
    assert "the video begins 2026-03-01T09:00:00Z" in done.stderr
    assert done.stdout.startswith(f"{entries} tracklets added")
    again = resight("video", "add", added, *later, "--replace")  # of the same run: nothing to replace
    assert again.stdout.startswith("0 tracklets added")
    assert _entries(added) == entries


def test_crops_of_two_films_are_a_site(town: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    call: list[Path | str] = ["video", "crops", site, town / "camera1.mp4", "--camera", "north", "--start", START]
    assert "say who finds the people" in resight(*call, code=2).stderr
    call += ["--tracks", town / "truth" / "camera1.txt", "--rights", "drawn by code"]
    told = resight(*call).stdout
    first, pictures = map(int, re.findall(r"(\d+) (?:tracklets added|pictures written)", told))
    assert first
    assert re.match(f"0 tracklets added, {first} there already", resight(*call).stdout)
    south: list[Path | str] = [
        town / "camera2.mp4",
        "--camera",
        "south",
        "--start",
        START,
        "--tracks",
        town / "truth" / "camera2.txt",
    ]
    more = int(re.findall(r"(\d+) pictures written", resight("video", "crops", site, *south).stdout)[0])
    embedded = tmp_path / "all.npz"
    resight("embed", "city", site, "-o", embedded)
    columns = np.load(embedded)
    assert len(columns["vector"]) == pictures + more
    assert set(columns["camera"].tolist()) == {"north", "south"}
    assert len(set(columns["track"].tolist())) > first
    assert np.isfinite(columns["time"]).all()
    told = " ".join(resight("adapt", "city", site, "-o", tmp_path / "run", code=3).stderr.split())
    assert "2 cameras" in told
    assert "rights" not in told
    assert "100 different pictures each" in told  # of a film of 24 s


def test_the_command_of_the_refusal_forgets_the_video(town: Path, gallery: Path, added: Path) -> None:
    entries = _entries(added)
    done = resight("video", "add", added, *_first_film(town, gallery, camera="door"), code=2)
    command = re.search(r"resight (gallery forget .*)", done.stderr)
    assert command is not None
    assert resight(*command[1].split()).stdout.startswith(f"{entries} entries forgotten")


def test_another_film_of_one_name_and_time(town: Path, gallery: Path, added: Path, tmp_path: Path) -> None:
    other = tmp_path / "camera1.mp4"
    shutil.copy(town / "camera2.mp4", other)
    boxes = gallery.parent / "camera2.txt"
    call: list[Path | str] = ["video", "add", added, other, "--camera", "camera1"]
    call += ["--start", "2026-03-01T08:00:05Z", "--tracks", boxes]
    assert "another film, or looked at otherwise" in resight(*call, code=2).stderr
    assert "of before forgotten" in resight(*call, "--replace").stderr
    moved = tmp_path / "renamed.mp4"
    shutil.copy(town / "camera1.mp4", moved)
    call = ["video", "add", added, moved, *_first_film(town, gallery)[1:]]
    assert "two cameras cannot have one name" in resight(*call, code=2).stderr
    entries = _entries(added)
    assert "two cameras cannot have one name" in resight(*call, "--replace", code=2).stderr
    assert _entries(added) == entries


def test_a_start_without_a_zone_is_told(town: Path, gallery: Path, added: Path) -> None:
    told = resight("video", "add", added, *_first_film(town, gallery, "2026-03-02T08:00:00"), "--replace").stderr
    assert re.search(r"names no zone, and is taken as this machine's local time: 2026-03-0\dT\d\d:\d\d:00Z", told)


def test_a_refused_track_is_named(town: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "new.db"
    resight("gallery", "create", gallery, "-m", "city")
    lines = tmp_path / "boxes.txt"
    lines.write_text("1,-1,10,10,20,50,0.9\n2,-1,900,10,20,50,0.9\n3,-1,10,10,nan,50,0.9\n")
    done = resight(
        "video", "add", gallery, town / "camera1.mp4", "--camera", "camera9", "--start", START,
        "--tracks", lines, "--show-refused",
    )  # fmt: skip
    assert "seen in 1 frame only" in done.stderr
    assert "1 box outside the frame" in done.stderr
    assert "1 box not finite" in done.stderr
    assert "1 too few frames" in done.stdout


def test_a_night_with_nobody(town: Path, tmp_path: Path) -> None:
    gallery, boxes = tmp_path / "new.db", tmp_path / "boxes.txt"
    resight("gallery", "create", gallery, "-m", "city")
    call: list[Path | str] = ["video", "add", gallery, town / "camera1.mp4"]
    call += ["--camera", "camera1", "--start", START, "--tracks", boxes]
    assert "cannot be read" in resight(*call, code=3).stderr
    boxes.write_text("hello\n")
    assert "is no box" in resight(*call, code=3).stderr
    boxes.write_text("")
    done = resight(*call)
    assert "holds no line: nobody was seen" in done.stderr
    assert done.stdout.startswith("0 tracklets added")


def test_lines_with_embeddings_need_no_video(gallery: Path) -> None:
    settings = json.loads(resight("gallery", "stats", gallery, "--json").stdout)["settings"]
    vector = (1.0,) + (0.0,) * (settings["dim"] - 1)
    lines = [
        Line("far", 0, 1_772_352_000 + at / 5, 3, (10, 10, 60, 160), 0.9, embedding=vector, model=settings["model"])
        for at in range(10)
    ]
    text = "".join(json_line(line) + "\n" for line in lines)
    done = resight("video", "add", gallery, "--camera", "far", "--tracks", "-", stdin=text)
    assert done.stdout.startswith("1 tracklet added")
    other = text.replace(settings["model"], "sha256:other")
    done = resight("video", "add", gallery, "--camera", "far", "--tracks", "-", stdin=other, code=3)
    assert "embeddings are of a model" in done.stderr
    resight("gallery", "forget", gallery, "--camera", "far")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--camera", "x"], 2, "who finds the people"),
        (["--camera", "x", "--tracks", "a", "--detector", "b"], 2, "who finds the people"),
        (["none.mp4", "--camera", "x", "--tracks", "a"], 3, "is not there"),
    ],
)
def test_what_cannot_be_added(gallery: Path, arguments: list[str], code: int, told: str) -> None:
    assert told in resight("video", "add", gallery, *arguments, code=code).stderr


def test_nothing_to_link(tmp_path: Path) -> None:
    resight("gallery", "create", tmp_path / "empty.db", "-m", "city")
    assert "resight video add" in resight("video", "link", tmp_path / "empty.db", code=3).stderr
    assert (
        "resight video add"
        in resight("video", "follow", tmp_path / "empty.db", "-o", tmp_path / "a.html", code=3).stderr
    )


@pytest.mark.slow
def test_a_kill_loses_open_tracklets_only(tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    resight("gallery", "create", path, "-m", "city")
    settings = json.loads(resight("gallery", "stats", path, "--json").stdout)["settings"]
    vector = (1.0,) + (0.0,) * (settings["dim"] - 1)
    call = [sys.executable, "-m", "resight.cli", "video", "add", str(path), "--camera", "door", "--tracks", "-"]
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        for number in range(1, 400):
            track = number // 40  # each is followed for four seconds, then the next
            at = 1_772_352_000 + number / 10 + 10 * track
            line = Line("door", 0, at, track, (10, 10, 60, 160), 0.9, embedding=vector, model=settings["model"])
            process.stdin.write(json_line(line).encode() + b"\n")
        process.stdin.flush()
        for _ in range(600):
            time.sleep(0.1)
            if json.loads(resight("gallery", "stats", path, "--json").stdout)["entries"] >= 9:
                break
        process.kill()
    assert json.loads(resight("gallery", "stats", path, "--json").stdout)["entries"] == 9  # the tenth was still seen
    assert "every row" in resight("gallery", "verify", path).stdout
