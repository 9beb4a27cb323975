"""Lines of boxes in and out."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from resight.core.errors import ConfigError, DataError
from resight.video.detected import LinesReport, moments_of, with_boxes, without_video
from resight.video.formats.lines import Line, aicity_line, by_moment, json_line, mot_line, parsed, read_boxes, table_of
from resight.video.records import NO_TRACK, Frame

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
    "text", ["1,2,3", "1 2 3", '{"box": [1, 2, 3, 4]}', '{"time": 1}', "1,x,3,4,5,6", '{"time": 1']
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


def test_lines_with_times_go_to_the_nearest_frame(tmp_path: Path) -> None:
    file = tmp_path / "north.jsonl"
    file.write_text("\n".join(json_line(Line("", 0, time, 1, BOX)) for time in (0.11, 0.29)))
    report = LinesReport()
    frames = [Frame(number / 10, None) for number in range(4)]
    found = list(with_boxes(frames, moments_of(file, "north", report), report, 0.0))
    assert [len(frame.found or ()) for frame in found] == [0, 1, 0, 1]


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
