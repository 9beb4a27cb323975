"""Lines of boxes in and out."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resight.core.errors import ConfigError, DataError
from resight.video.detected import LinesReport, moments_of, with_boxes, without_video
from resight.video.formats.lines import Line, aicity_line, by_moment, json_line, mot_line, parsed, read_boxes, table_of
from resight.video.frames.opening import open_frames
from resight.video.records import NO_TRACK, NOBODY, Frame

BOX = (10.0, 20.0, 50.0, 140.0)


@pytest.mark.parametrize(
    ("text", "camera", "frame"),
    [
        (mot_line(3, 7, BOX, 0.5), "", 3),
        (aicity_line("c2", 7, 3, BOX), "c2", 3),
        (json_line(Line("c2", 3, math.nan, 7, BOX, 0.5)), "c2", 3),
    ],
)
def test_each_format_is_read_as_it_is_written(text: str, camera: str, frame: int) -> None:
    (line,) = parsed([text], "here")
    assert (line.camera, line.frame, line.track, line.box) == (camera, frame, 7, BOX)
    assert math.isnan(line.time)


def test_json_keeps_time_embedding_and_model() -> None:
    line = Line("north", 0, 12.5, NO_TRACK, BOX, 0.25, embedding=(0.6, 0.8), model="m")
    assert next(parsed([json_line(line)], "here")) == line
    said = json.dumps({"time": "1970-01-01T00:00:12.500+00:00", "box": BOX})
    assert next(parsed([said], "here")).time == 12.5


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3",
        "1 2 3",
        '{"box": [1, 2, 3, 4]}',
        '{"time": 1}',
        "1,x,3,4,5,6",
        '{"time": 1',
        "0,1,3,4,5,6",
        "c2 1 -1 3 4 5 6",
        '{"frame": 0, "box": [1, 2, 3, 4]}',
        '{"time": null, "box": [1, 2, 3, 4]}',
    ],
)
def test_a_line_that_is_none_is_named(text: str) -> None:
    with pytest.raises(DataError, match="here, line 2"):
        list(parsed(["", text], "here"))


def test_some_embeddings_are_not_enough() -> None:
    lines = [Line("", 1, math.nan, 1, BOX, embedding=(1.0,), model="m"), Line("", 2, math.nan, 1, BOX)]
    with pytest.raises(DataError, match="every box has an embedding"):
        table_of(lines)


def test_of_two_boxes_of_one_track_the_surer_stays() -> None:
    lines = [
        Line("", 1, math.nan, 7, BOX, 0.3),
        Line("", 1, math.nan, 7, (0, 0, 9, 9), 0.8),
        Line("", 1, math.nan, -1, BOX),
    ]
    left_out: list[int] = []
    ((_, found, _),) = by_moment(lines, left_out.append)
    assert found.tracks.tolist() == [7, -1]
    assert left_out == [1]
    assert found.scores[0] == pytest.approx(0.8)


def test_lines_meet_their_frames(tmp_path: Path) -> None:
    file = tmp_path / "north.txt"
    rows = [mot_line(3, 1, BOX), mot_line(1, 1, BOX), mot_line(9, 1, BOX)]  # in any order; the video has no frame 9
    file.write_text("\n".join(rows))
    report = LinesReport()
    frames = [Frame(number / 10, None) for number in range(4)]
    found = list(with_boxes(frames, moments_of(file, "north", report), report, 0.0))
    assert [len(frame.found or ()) for frame in found] == [1, 0, 1, 0]
    assert report.without_frame == 1


def test_frames_of_ai_city_begin_at_0(tmp_path: Path) -> None:
    file = tmp_path / "all.txt"
    file.write_text("\n".join(f"north 7 {number} 10 20 40 120" for number in (0, 2)))
    report = LinesReport()
    frames = [Frame(number / 10, None) for number in range(4)]
    found = list(with_boxes(frames, moments_of(file, "north", report), report, 0.0))
    assert [len(frame.found or ()) for frame in found] == [1, 0, 1, 0]
    assert (report.fitted, report.without_frame) == (2, 0)


@pytest.mark.parametrize("time", [math.nan, math.inf])
def test_a_time_that_is_none_hides_no_others(time: float) -> None:
    lines = [Line("", 0, time, 1, BOX), Line("", 1, math.nan, 2, BOX), Line("", 3, math.nan, 3, BOX)]
    report = LinesReport()
    frames = [Frame(number / 10, None) for number in range(4)]
    found = list(with_boxes(frames, by_moment(lines), report, 0.0))
    assert [(frame.found or NOBODY).tracks.tolist() for frame in found] == [[2], [], [3], []]
    assert report.told() == ["1 moment of the lines has no frame in the video: left out"]


def test_lines_with_times_go_to_the_nearest_frame(tmp_path: Path) -> None:
    file = tmp_path / "north.jsonl"
    file.write_text("\n".join(json_line(Line("", 0, time, 1, BOX)) for time in (0.11, 0.29)))
    report = LinesReport()
    frames = [Frame(number / 10, None) for number in range(4)]
    found = list(with_boxes(frames, moments_of(file, "north", report), report, 0.0))
    assert [len(frame.found or ()) for frame in found] == [0, 1, 0, 1]


def test_of_two_moments_the_nearer_one_has_the_frame(tmp_path: Path) -> None:
    file = tmp_path / "north.jsonl"
    lines = [Line("", 0, time, track, BOX) for track, time in enumerate((0.0, 0.1, 0.2, 0.3, 3.0, 8.0))]
    file.write_text("\n".join(map(json_line, lines)))
    report = LinesReport()
    frames = [Frame(at, None) for at in (0.0, 0.1, 0.3, 6.0, 8.1)]  # frames are missing at 0.2 and for some seconds
    found = list(with_boxes(frames, moments_of(file, "north", report), report, 0.0))
    assert [(frame.found or NOBODY).tracks.tolist() for frame in found] == [[0], [1], [3], [], [5]]
    assert report.without_frame == 2


def test_boxes_go_by_the_numbers_of_their_source(tmp_path: Path) -> None:
    for number in range(1, 6):
        Image.fromarray(np.full((20, 30, 3), number * 40, np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes(b"no picture")
    file = tmp_path / "north.txt"
    file.write_text("\n".join(mot_line(number, number, BOX) for number in range(1, 6)))
    report = LinesReport()
    found = list(with_boxes(open_frames(tmp_path, 1e9, 1.0), moments_of(file, "north", report), report, 1e9))
    pictures = [None if frame.pixels is None else int(frame.pixels[0, 0, 0]) // 40 for frame in found]
    assert pictures == [1, 3, 4, 5]
    assert [(frame.found or NOBODY).tracks.tolist() for frame in found] == [[1], [3], [4], [5]]
    assert report.without_frame == 1


def test_a_stream_has_no_numbers_of_frames() -> None:
    frames = [Frame(1.8e9 + number / 10, None, number=0) for number in range(1, 4)]
    with pytest.raises(ConfigError, match="need `time`, since 1970"):
        list(with_boxes(frames, by_moment([Line("", 1, math.nan, 1, BOX)]), LinesReport(), 0.0))
    lines = [Line("", 500 + number, 1.8e9 + number / 10, number, BOX) for number in (1, 3)]
    found = list(with_boxes(frames, by_moment(lines), LinesReport(), 0.0))
    assert [(frame.found or NOBODY).tracks.tolist() for frame in found] == [[1], [], [3]]


def test_lines_of_other_cameras_are_left_out_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "all.txt"
    file.write_text("\n".join(aicity_line(camera, 1, 1, BOX) for camera in ("north", "south")))
    report = LinesReport()
    assert len(list(moments_of(file, "north", report))) == 1
    assert report.told() == ["1 line is of other cameras: left out"]
    (tmp_path / "empty").write_text("")
    with pytest.raises(DataError, match="holds no line"):
        moments_of(tmp_path / "empty", "north", LinesReport())
    assert list(moments_of(tmp_path / "empty", "north", report, may_be_empty=True)) == []
    assert "1 file of tracks holds no line: nobody was seen" in report.told()
    with pytest.raises(DataError, match="no line of camera west: it has north, south"):
        list(moments_of(file, "west", LinesReport()))


def test_lines_alone_need_embeddings_and_times() -> None:
    def moments(line: Line) -> list[Frame]:
        return list(without_video(by_moment([line]), None, None))

    with pytest.raises(DataError, match="needs an `embedding`"):
        moments(Line("", 1, math.nan, 1, BOX))
    with pytest.raises(ConfigError, match="--start and --rate"):
        moments(Line("", 1, math.nan, 1, BOX, embedding=(1.0,), model="m"))
    with pytest.raises(ConfigError, match="when the video began"):
        moments(Line("", 0, 3.0, 1, BOX, embedding=(1.0,), model="m"))
    assert moments(Line("", 0, 2e9, 1, BOX, embedding=(1.0,), model="m"))[0].time == 2e9


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_boxes(tmp_path / "none.txt")
