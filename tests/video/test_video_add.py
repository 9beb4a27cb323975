"""`resight video add`: what a stop leaves, and lines that are not those of the video."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resight.cli import video_source
from resight.embedding.loading import load
from resight.gallery.opening import open_gallery
from resight.video.formats.lines import Line, json_line, mot_line
from tests.cli.calling import Done, resight

START = "2026-03-01T08:00:00Z"
FRAMES = 60
LAST = "20260301T080000.000Z/2"
BOX = (20.0, 10.0, 60.0, 110.0)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A gallery, and pictures of ten frames a second. Somebody stays for a second; then somebody else until the end."""
    resight("gallery", "create", tmp_path / "site.db", "-m", "city")
    (tmp_path / "film").mkdir()
    rng = np.random.default_rng(0)
    for number in range(1, FRAMES + 1):
        picture = Image.fromarray(rng.integers(0, 256, (120, 160, 3), np.uint8))
        picture.save(tmp_path / "film" / f"{number:02}.jpg")
    tracks = [mot_line(number, 1 if number <= 10 else 2, BOX, 0.9) for number in range(1, FRAMES + 1)]
    (tmp_path / "tracks.txt").write_text("\n".join(tracks))
    return tmp_path


def stop_at(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM at that frame, once: in the background, SIGINT may be ignored."""
    counted = video_source._counted

    def stopping(*arguments: Any) -> Iterator[Any]:
        for place, frame in enumerate(counted(*arguments), 1):
            if place == number:
                monkeypatch.undo()
                os.kill(os.getpid(), signal.SIGTERM)
            yield frame

    monkeypatch.setattr(video_source, "_counted", stopping)


def add(site: Path, code: int = 0) -> Done:
    film: list[Path | str] = [site / "film", "--rate", "10", "--start", START, "--camera", "north"]
    return resight("video", "add", site / "site.db", *film, "--tracks", site / "tracks.txt", code=code)


def seen(site: Path) -> dict[str, int]:
    """By the name of its track: in how many frames each was seen."""
    with open_gallery(site / "site.db", read_only=True) as gallery:
        return {str(entry.track): int(entry.attributes["seen"]) for entry in gallery.entries()}


def test_the_same_command_after_a_stop_adds_nobody_twice(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at(50, monkeypatch)
    assert "the same command again goes on" in add(site, 143).stderr
    assert seen(site) == {"20260301T080000.000Z/1": 10}
    assert add(site).stdout.startswith("1 tracklet added, 1 there already")
    assert seen(site) == {"20260301T080000.000Z/1": 10, LAST: 50}


def test_crops_after_a_stop_are_those_of_one_go(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = [str(site / "film"), "--rate", "10", "--start", START, "--camera", "north", "--tracks"]
    stop_at(50, monkeypatch)
    stopped = resight("video", "crops", site / "cut", *film, site / "tracks.txt", code=143)
    assert "the same command again goes on" in stopped.stderr
    resight("video", "crops", site / "cut", *film, site / "tracks.txt")
    resight("video", "crops", site / "whole", *film, site / "tracks.txt")
    tables = [(site / name / "manifest.csv").read_text() for name in ("cut", "whole")]
    assert tables[0] == tables[1]
    assert len(tables[0].splitlines()) > 5


def test_of_lines_that_come_once_a_stop_keeps_what_was_seen(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load("city", threads=1)
    vector = (1.0, *[0.0] * (model.dim - 1))
    lines = [
        Line("", 0, 1_772_352_000 + place / 10, 7, BOX, embedding=vector, model=model.identity) for place in range(30)
    ]
    stop_at(20, monkeypatch)
    text = "\n".join(map(json_line, lines))
    command = ("video", "add", site / "site.db", "--camera", "north", "--tracks", "-")
    assert "what was seen is kept" in resight(*command, code=143, stdin=text).stderr
    assert list(seen(site).values()) == [20]


def test_lines_of_another_video_are_an_error(site: Path) -> None:
    (site / "tracks.txt").write_text("\n".join(mot_line(1000 + number, 1, BOX) for number in range(9)))
    done = add(site, 3)
    assert "9 moments of the lines have no frame in the video" in done.stderr
    assert f"not one moment of {site / 'tracks.txt'} has a frame in {site / 'film'}" in done.stderr
    (site / "tracks.txt").write_text("0,1,20,10,40,100,0.9\n")
    assert f"{site / 'tracks.txt'}, line 1: no time, and no frame from 1 on" in add(site, 3).stderr
