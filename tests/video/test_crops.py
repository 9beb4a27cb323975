"""Video to pictures: a folder of crops that learns from films, kill it when you like."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resight.core.errors import ConfigError
from resight.core.files import locked
from resight.data.unlabelled import open_unlabelled
from resight.video import crops as module
from resight.video.adding import VideoReport
from resight.video.crops import CropFolder
from resight.video.origin import Origin
from resight.video.records import Frame, Refused, Tracklet, detections
from resight.video.tracklets import tracklets_of

MORNING = Origin("a.mp4", "north", "film", "run", 100.0, 110.0)


def walks(camera: str = "north", people: int = 2, start: float = 100.0) -> list[Tracklet | Refused]:
    """People who stand side by side for ten seconds, and one who is seen once."""
    pixels = np.random.default_rng(0).integers(0, 256, (200, 400, 3), np.uint8)
    boxes = [[10 + 90 * person, 20, 60 + 90 * person, 150] for person in range(people)]
    frames = [
        Frame(start + 0.1 * number, pixels, found=detections(boxes, tracks=range(people))) for number in range(100)
    ]
    frames[50] = replace(frames[50], found=detections([[330, 20, 380, 150]], tracks=[people]))
    return list(tracklets_of(frames, camera))


def write(folder: Path, origin: Origin = MORNING, found: Any = None, rights: str = "") -> VideoReport:
    report = VideoReport()
    written = CropFolder(folder, rights)
    written.check(origin)
    for paths in written.add(walks(origin.camera) if found is None else found, report, origin):
        assert all(path.exists() for path in paths)
    return report


def test_crops_are_a_data_set_of_nobody(tmp_path: Path) -> None:
    report = write(tmp_path / "site", rights="ours,\nof 2026")
    assert (report.added, report.there, report.refused.total()) == (2, 0, 1)
    data = open_unlabelled(tmp_path / "site")
    assert not data.problems
    assert data.rights == "ours, of 2026"
    assert len(data.gallery) == 10
    assert {crop.track for crop in data.gallery} == {"19700101T000140.000Z/0", "19700101T000140.000Z/1"}
    assert {crop.pid for crop in data.gallery} == {-1}
    assert {crop.camera for crop in data.gallery} == {"north"}
    times = [crop.time for crop in data.gallery[:5]]
    assert times == sorted(times, key=lambda time: time or 0.0)
    assert times[0] is not None
    assert times[4] is not None
    assert 100 <= times[0] < 102 < 108 <= times[4] < 110
    assert data.gallery[0].read().startswith(b"\xff\xd8")
    if os.name == "posix":
        assert (tmp_path / "site").stat().st_mode & 0o777 == 0o700


def test_the_same_again_adds_nothing_and_another_camera_does(tmp_path: Path) -> None:
    write(tmp_path)
    before = (tmp_path / "manifest.csv").read_bytes()
    assert write(tmp_path).there == 2
    assert (tmp_path / "manifest.csv").read_bytes() == before
    south = Origin("b.mp4", "the/south, side", "other", "second", 100.0, 110.0)
    assert write(tmp_path, south).added == 2
    alike = replace(south, camera="the_south__side", film="third", run="third")
    assert write(tmp_path, alike).added == 2  # whose folder would have one name
    data = open_unlabelled(tmp_path)
    assert {crop.camera for crop in data.gallery} == {"north", south.camera, alike.camera}
    assert len({crop.path for crop in data.gallery}) == len(data.gallery) == 30


def test_a_kill_while_a_row_is_written_costs_that_tracklet_alone(tmp_path: Path) -> None:
    write(tmp_path)
    table = tmp_path / "manifest.csv"
    whole = table.read_bytes()
    lines = whole.splitlines(keepends=True)
    table.write_bytes(b"".join(lines[:6]) + lines[6][:-30])  # the second track's first row, cut off
    assert write(tmp_path).added == 1
    assert table.read_bytes() == whole
    table.write_bytes(lines[0][:20])  # its header
    assert write(tmp_path).added == 2


def test_everybody_is_there_once(tmp_path: Path) -> None:
    write(tmp_path)
    for again in (
        replace(MORNING, camera="door", run="other"),
        replace(MORNING, start=5000.0, end=5010.0, run="other"),
    ):
        with pytest.raises(ConfigError, match=r"of a\.mp4 already"):
            write(tmp_path, again)
    with pytest.raises(ConfigError, match="cannot film twice"):
        write(tmp_path, Origin("b.mp4", "north", "another", "other", 95.0, 105.0))
    write(tmp_path, Origin("c.mp4", "north", "next", "next", 109.0, 119.0), walks(start=109.0))  # a recorder's overlap
    live = Origin("north", "north")
    write(tmp_path, live, walks(start=5000.0))
    write(tmp_path, live, walks(start=6000.0))  # a stream, after a restart


def test_poor_crops_are_left_out(tmp_path: Path) -> None:
    found = next(each for each in walks(people=1) if isinstance(each, Tracklet))
    best = found.quality
    shots = tuple(replace(shot, quality=best * (0.4 if place == 2 else 0.9)) for place, shot in enumerate(found.shots))
    write(tmp_path, found=[replace(found, shots=shots)])
    assert len(open_unlabelled(tmp_path).gallery) == 4


def test_other_folders_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.jpg").write_bytes(b"")
    with pytest.raises(ConfigError, match="other files"):
        CropFolder(tmp_path / "mine")
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "manifest.csv").write_text("path,camid\na.jpg,1\n")
    with pytest.raises(ConfigError, match="something else"):
        CropFolder(tmp_path / "table")
    assert (tmp_path / "table" / "manifest.csv").read_text() == "path,camid\na.jpg,1\n"
    with pytest.raises(ConfigError, match="cannot be written to"):
        CropFolder(tmp_path / "mine" / "a.jpg" / "below")
    if sys.platform != "win32":
        monkeypatch.setattr(module, "WAIT_S", 0.05)
        (tmp_path / "busy").mkdir()
        with locked(tmp_path / "busy"), pytest.raises(ConfigError, match="by another process"):
            CropFolder(tmp_path / "busy")
