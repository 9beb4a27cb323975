"""Video to pictures: a folder of crops that learns from films, kill it when you like."""

from __future__ import annotations

import io
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resight.core.errors import ConfigError, DataError
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
    with CropFolder(folder, origin, rights) as written:
        for paths in written.add(walks(origin.camera) if found is None else found, report):
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
    assert write(tmp_path, replace(MORNING, name="copied.mp4")).there == 2
    south = Origin("b.mp4", "the/south, side", "other", "second", 100.0, 110.0)
    assert write(tmp_path, south).added == 2
    alike = replace(south, camera="the_south__side", film="third", run="third")
    assert write(tmp_path, alike).added == 2  # whose folder would have one name
    data = open_unlabelled(tmp_path)
    assert {crop.camera for crop in data.gallery} == {"north", south.camera, alike.camera}
    assert len({crop.path for crop in data.gallery}) == len(data.gallery) == 30


def test_a_table_cut_at_any_place_is_completed(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, Origin("b.mp4", "south", "other", "second", 100.0, 110.0))  # whose tracks have the same names
    table = tmp_path / "manifest.csv"
    whole = table.read_bytes()
    rows = whole.splitlines(keepends=True)[1:]
    for cut in range(len(whole) - len(rows[-1]) - len(rows[-2]) + 1, len(whole), 23):
        if whole[:cut].endswith(b"\n"):
            continue
        table.write_bytes(whole[:cut])
        write(tmp_path, Origin("b.mp4", "south", "other", "second", 100.0, 110.0))
        assert table.read_bytes() == whole
    table.write_bytes(whole[:-9])
    assert write(tmp_path).added == 0  # of the other camera nothing is taken out


def test_what_a_kill_leaves_goes(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv.70dcda14.part").write_bytes(b"path")
    (tmp_path / "south").mkdir()
    with pytest.raises(ConfigError, match="other files"):
        write(tmp_path)
    (tmp_path / "south").rmdir()
    write(tmp_path)
    left = tmp_path / "north" / "1970-01-01" / "a.jpg.70dcda14.part"
    left.write_bytes(b"half a picture")
    write(tmp_path)
    assert not left.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.csv", "north"]


def test_a_disk_that_takes_a_part_leaves_none_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    before = (tmp_path / "manifest.csv").read_bytes()
    opened = Path.open

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            return super().write(data[: len(data) // 2])

    def open_full(path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        return Full(path, mode) if "+" in mode else opened(path, mode, *rest, **options)

    south = Origin("b.mp4", "south", "other", "second", 100.0, 110.0)
    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(DataError, match="no space is left"):
        write(tmp_path, south)
    monkeypatch.undo()
    assert (tmp_path / "manifest.csv").read_bytes() == before
    assert write(tmp_path, south).added == 2


def test_cameras_at_one_time_and_never_one_twice(tmp_path: Path) -> None:
    """Processes, since locks are theirs. All of them begin a new folder."""
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        cameras = [pool.submit(write, tmp_path / "site", Origin(f"{c}.mp4", c, c, c, 100.0, 110.0)) for c in "abcd"]
        assert [each.result().added for each in cameras] == [2] * 4
    assert len(open_unlabelled(tmp_path / "site").gallery) == 40
    with CropFolder(tmp_path / "site", MORNING) as held:
        with pytest.raises(ConfigError, match="another process writes camera north"):
            write(tmp_path / "site")
        assert write(tmp_path / "site", replace(MORNING, camera="south", film="b", run="b")).added == 2
        assert sum(map(len, held.add(walks(), VideoReport()))) == 10


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
    with pytest.raises(ConfigError, match="cannot film twice"):  # in the middle of a walk, between two crops
        write(tmp_path, Origin("b.mp4", "north", "another", "other", 104.0, 104.4))
    with pytest.raises(ConfigError, match=r"of a\.mp4 already.* one camera cannot"):  # whose end is not known
        write(tmp_path, Origin("b.mp4", "north", "another", "other", 100.0))
    with CropFolder(tmp_path, Origin("b.mp4", "north", "another", "other", 60.0)) as later:
        later.check_times(60.0, 90.0)
        with pytest.raises(ConfigError, match="cannot film twice"):
            later.check_times(90.0, 150.0)
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
        write(tmp_path / "mine")
    with pytest.raises(ConfigError, match="cannot be written to"):
        write(tmp_path / "mine" / "a.jpg" / "below")
    write(tmp_path / "site")
    table = tmp_path / "site" / "manifest.csv"
    whole = table.read_bytes()
    for changed, why in (
        (b"path,camid\na.jpg,1\n", "does not begin as"),
        (b"\xef\xbb\xbf" + whole, "does not begin as"),
        (whole + b'"\n', "row 11 has other columns"),
        (whole + whole.replace(b"gallery", b'"gallery')[-300:], "changed by something else"),
        (whole + b"a" * 140_000 + b"\n", "changed by something else"),
        (whole.replace(b"1970-01-01T", b"in the night of "), "changed by something else"),
    ):
        table.write_bytes(changed)
        with pytest.raises(ConfigError, match=why):
            write(tmp_path / "site")
        assert table.read_bytes() == changed
    if os.name == "posix":
        table.unlink()
        os.mkfifo(table)
        with pytest.raises(ConfigError, match="not a regular file"):
            write(tmp_path / "site")
    if sys.platform != "win32":
        monkeypatch.setattr(module, "WAIT_S", 0.05)
        (tmp_path / "busy").mkdir()
        with locked(tmp_path / "busy"), pytest.raises(ConfigError, match="by another process"):
            write(tmp_path / "busy")


def test_names_of_cameras(tmp_path: Path) -> None:
    for name in ("", "a\nb", "a\rb", "\udcff"):
        with pytest.raises(ConfigError, match="name"):
            write(tmp_path, replace(MORNING, camera=name))
    with pytest.raises(ConfigError, match="rights"):
        CropFolder(tmp_path, MORNING, "\udcff")
    names = ("manifest.csv", "漢" * 100, "x" * 300, "..", "-o", "Gate", "gate", 'a "b", c', "c2")
    for number, name in enumerate(names):
        write(tmp_path, Origin(f"{number}.mp4", name, f"film {number}", f"run {number}", 100.0, 110.0))
    assert {crop.camera for crop in open_unlabelled(tmp_path).gallery} == set(names)
    folders = [path.name for path in tmp_path.iterdir() if path.is_dir()]
    assert len({name.casefold() for name in folders}) == len(names)
