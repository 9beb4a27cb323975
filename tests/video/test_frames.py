"""Frames with true times, and what is odd about sources."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resight.core.errors import ConfigError, DataError, MissingExtra
from resight.core.words import counted
from resight.data.city.moving.filming import TownFrame, film
from resight.data.city.moving.town import START, Town, TownConfig
from resight.data.city.moving.writing import save_video
from resight.video.frames import decoding, files, streams
from resight.video.frames.clock import ClockReport, at_most, rising
from resight.video.frames.opening import is_stream, open_frames
from resight.video.frames.streams import Stream
from resight.video.records import Frame

av = pytest.importorskip("av", reason="the extra `video` is not installed")
TOWN = Town(TownConfig(people=3, cameras=1, seconds=4, rate=5, height=90, width=160, dropped=0.3))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short film with frames missing: of a variable rate."""
    path = tmp_path_factory.mktemp("film") / "north.mp4"
    assert sum(1 for _ in save_video(film(TOWN, 0), path)) == len(TOWN.times(0))
    return path


def test_a_file_gives_its_frames_at_their_own_times(video: Path) -> None:
    frames = list(open_frames(video, START))
    first = TOWN.times(0)[0]
    assert [round(frame.time - START, 3) for frame in frames] == [round(at - first, 3) for at in TOWN.times(0)]
    drawn = next(iter(film(TOWN, 0))).pixels
    assert drawn is not None
    assert frames[0].pixels is not None
    assert np.abs(frames[0].pixels.astype(int) - drawn).mean() < 8  # of 255: compressed, not another picture


def test_a_file_that_is_cut_off_gives_what_it_has(video: Path, tmp_path: Path) -> None:
    whole = video.read_bytes()
    moov = whole.index(b"moov")
    assert moov > len(whole) // 2  # the index is at the end: without it nothing can be read
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="no video that can be read"):
        open_frames(cut, START)


def damaged(video: Path, to: Path, packets: list[int]) -> Path:
    """A copy in which these packets are overwritten."""
    data = bytearray(video.read_bytes())
    with av.open(str(video)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for place, size in (places[number] for number in packets):
        data[place : place + size] = b"\xff" * size
    to.write_bytes(data)
    return to


@pytest.mark.parametrize("packets", [[0], [3, 4]])
def test_a_damaged_packet_costs_its_own_frame(video: Path, tmp_path: Path, packets: list[int]) -> None:
    source = open_frames(damaged(video, tmp_path / "damaged.mp4", packets), START)
    times = TOWN.times(0)
    left = [number for number in range(len(times)) if number not in packets]
    frames = list(source)
    assert [frame.number for frame in frames] == [number + 1 for number in left]
    assert [round(frame.time - START, 3) for frame in frames] == [round(times[place] - times[0], 3) for place in left]
    (told,) = source.problems
    assert f"the first after {counted(packets[0], 'frame')}: {counted(len(packets), 'frame')} lost" in told


def test_a_leap_in_a_film_of_an_even_rate_is_told(tmp_path: Path) -> None:
    times = [number / 10 for number in range(60) if number not in (20, 21, 22)]
    grey = np.full((32, 48, 3), 90, np.uint8)
    path = tmp_path / "leap.mp4"
    list(save_video([TownFrame("north", number, at, grey, ()) for number, at in enumerate(times, 1)], path))
    source = open_frames(path, START)
    assert [frame.number for frame in source] == list(range(1, len(times) + 1))
    assert ["leap in 1 place: about 3 frames missing" in told for told in source.problems] == [True]


def test_too_much_damage_ends_a_film(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST_DAMAGED", 2)
    source = open_frames(damaged(video, tmp_path / "damaged.mp4", [3, 4]), START)
    assert len(list(source)) == 3
    assert "damaged or cut off after 3 frames" in source.problems[0]
    with pytest.raises(DataError, match="nothing of it can be decoded"):
        list(open_frames(damaged(video, tmp_path / "none.mp4", [0, 1]), START))


@pytest.mark.parametrize(("content", "told"), [(b"", "no video"), (b"hello" * 100, "no video")])
def test_what_is_no_video(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "file.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match=told):
        open_frames(path, START)


@pytest.mark.parametrize("suffix", ["jpg", "png", "mp4"])
def test_a_picture_is_no_video(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"frame.{suffix}"
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(path, "PNG" if suffix == "png" else "JPEG")
    with pytest.raises(DataError, match="is a picture, and no video: name the folder"):
        open_frames(path, START)


def test_sources_that_do_not_tell_enough(video: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not there"):
        open_frames(tmp_path / "none.mp4", START)
    with pytest.raises(ConfigError, match="--start 2026"):
        open_frames(video)
    with pytest.raises(ConfigError, match="--start and --rate"):
        open_frames(tmp_path)
    with pytest.raises(DataError, match="holds no pictures"):
        open_frames(tmp_path, START, 5)
    with pytest.raises(ConfigError, match="times are those of the clock"):
        open_frames("rtsp://10.0.0.7/door", START)
    assert not is_stream(str(video))


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(np.full((20, 30, 3), number * 40, np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "1.png").write_bytes(b"no picture")
    source = open_frames(tmp_path, START, 2)
    assert [frame.time - START for frame in source] == [0.0, 1.0]
    assert len(source.problems) == 1


def test_without_pyav_it_is_said(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtra, match=r"\.\[video\]"):
        files.VideoFile(video, START)


def test_odd_clocks_are_named_and_counted() -> None:
    times = [0, 0.1, 0.1, 0.05, 0.2, float("nan"), 60.2, 60.3, 10.0, 10.1]
    frames = [Frame(at, None, int(place >= 9)) for place, at in enumerate(times)]
    report = ClockReport()
    kept = [(frame.time, frame.epoch) for frame in rising(frames, report)]
    assert kept == [(0, 0), (0.1, 0), (0.2, 0), (60.2, 1), (60.3, 1), (10.0, 2), (10.1, 3)]
    assert (report.repeated, report.disordered, report.unknown) == (1, 1, 1)
    assert (report.jumped, report.back, report.cut, report.frames) == (1, 1, 1, 7)
    assert len(report.told()) == 6


def test_fewer_frames_a_second() -> None:
    frames = [Frame(number / 25, None) for number in range(100)]
    kept = [frame.time for frame in at_most(frames, 5)]
    assert len(kept) == 20
    assert np.diff(kept).min() > 0.15


DAMAGED = -1.0  # the time of a packet that cannot be decoded


class FakeAv:
    """Connections of a stream, each a list of times; None stalls, an error is raised."""

    class FFmpegError(Exception):
        """As PyAV has it."""

    def __init__(self, *connections: list[Any]) -> None:
        self._connections = iter(connections)
        self.hanging = threading.Event()

    def open(self, *_: Any, **__: Any) -> Any:
        content = next(self._connections, [OSError("gone for good")])
        return _FakeContainer(content, self.hanging)


class _FakeContainer:
    def __init__(self, content: list[Any], hanging: threading.Event) -> None:
        self._content, self._hanging = content, hanging
        self.streams = type("Streams", (), {"video": [type("Video", (), {"thread_type": ""})()]})()

    def __enter__(self) -> _FakeContainer:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def demux(self, _: Any) -> Iterator[Any]:
        for item in self._content:
            if item is None:
                self._hanging.wait(5)
                return
            if isinstance(item, Exception):
                raise item
            packet = _FakePacket(item)
            yield packet
            packet.taken.wait(5)  # so that the reader does not outrun who takes the frames


class _FakePacket:
    def __init__(self, at: float) -> None:
        self._at, self.taken = at, threading.Event()

    def decode(self) -> list[Any]:
        if self._at == DAMAGED:
            self.taken.set()
            raise FakeAv.FFmpegError("Invalid data")
        return [_FakePicture(self._at, self.taken)]


class _FakePicture:
    rotation = 0
    pts = None

    def __init__(self, at: float, taken: threading.Event) -> None:
        self.time, self._taken = at, taken

    def to_ndarray(self, format: str) -> Any:
        self._taken.set()
        return np.zeros((4, 6, 3), np.uint8)


def test_a_stream_is_connected_again_and_a_stall_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeAv([0.0, 0.04, OSError("cut")], [5.0, None], [9.0, 9.04])
    monkeypatch.setattr(streams, "import_av", lambda: fake)
    monkeypatch.setattr(streams, "WAITS_S", (0.0,))
    told: list[str] = []
    ticks = itertools.count(1000)
    source = Stream(
        "rtsp://user:secret@10.0.0.7/door", stall_s=0.3, tries=1, say=told.append, clock=lambda: next(ticks)
    )
    frames: list[Frame] = []
    with pytest.raises(DataError, match="gone for good"):
        frames.extend(source)
    fake.hanging.set()
    assert sorted({frame.epoch for frame in frames}) == [0, 1, 2]
    assert any("no frame for 0.3 s" in text for text in told)
    assert not any("secret" in text for text in told)
    assert all(frame.time >= 1000 for frame in frames)  # by the clock, whatever the stream's own stamps are


def test_a_stream_that_nobody_sends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "WAITS_S", (0.0,))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    told: list[str] = []
    source = Stream(f"rtsp://user:secret@127.0.0.1:{port}/door", first_s=0.0, say=told.append)
    with pytest.raises(DataError, match=r"cannot be reached .*given up after 0 s.*--keep-trying") as refused:
        list(source)
    assert "secret" not in str(refused.value)


def test_a_stream_that_came_once_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "import_av", lambda: FakeAv([0.0, 0.04], [9.0, 9.04]))
    monkeypatch.setattr(streams, "WAITS_S", (0.0,))
    source = Stream("udp://10.0.0.7:5000", first_s=0.0, tries=1)
    frames: list[Frame] = []
    with pytest.raises(DataError, match="no frame in 1 tries"):
        frames.extend(source)
    assert {frame.epoch for frame in frames} == {0, 1}


def test_a_damaged_packet_does_not_cut_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "import_av", lambda: FakeAv([0.0, DAMAGED, DAMAGED, 0.12]))
    monkeypatch.setattr(streams, "WAITS_S", (0.0,))
    source = Stream("udp://10.0.0.7:5000", tries=1)
    frames: list[Frame] = []
    with pytest.raises(DataError, match="no frame in 1 tries"):
        frames.extend(source)
    assert [(frame.epoch, frame.number) for frame in frames] == [(0, 0), (0, 0)]
    assert "2 packets of the stream could not be decoded: left out" in source.report.told()


def test_no_frame_of_a_stream_is_of_the_future(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server has kept comes at once, then frames come as they are filmed."""
    monkeypatch.setattr(streams, "import_av", lambda: FakeAv([0.0, 0.5, 1.0, 1.5, 2.0]))
    monkeypatch.setattr(streams, "WAITS_S", (0.0,))
    now = iter([1000.0, 1000.1, 1000.2, 1000.7, 1001.3, *[2000.0] * 9])
    source = Stream("udp://10.0.0.7:5000", tries=1, clock=lambda: next(now))
    frames: list[Frame] = []
    with pytest.raises(DataError, match="no frame in 1 tries"):
        frames.extend(source)
    assert [round(frame.time, 3) for frame in frames] == [1000.0, 1000.1, 1000.2, 1000.7, 1001.2]


def test_what_answers_and_gives_no_video() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        told = streams.why_not_opened(f"rtsp://127.0.0.1:{port}/door", "Invalid data found")
    assert told == "answers, but gives no video that can be read (Invalid data found)"
    assert streams.why_not_opened("udp://127.0.0.1:9", "as it was") == "as it was"


def test_a_stream_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "import_av", lambda: FakeAv([number / 25 for number in range(500)]))
    source = Stream("rtsp://10.0.0.7/door")
    for count, _ in enumerate(source, 1):
        if count == 3:
            source.stop()
    assert count == 3
