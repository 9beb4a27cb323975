"""Tracklets against the truth: what each part of the way loses."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resight.core.errors import ConfigError, DataError
from resight.video.formats.lines import Boxes, Line, aicity_line, mot_line, parsed, table_of
from resight.video.scoring.evaluate import Track, evaluate_tracks, tracks_of_lines
from resight.video.scoring.reading import read_truth


def truth(people: int = 4) -> Boxes:
    """Each person walks past camera a, and then past b; ten frames a second, five seconds each."""
    lines = []
    for person in range(people):
        for place, camera in enumerate("ab"):
            for frame in range(50):
                left = 100.0 * person + frame
                lines.append(Line(camera, 0, 20 * place + frame / 10, person + 1, (left, 0, left + 40, 120)))
    return table_of(lines)


def tracks(real: Boxes) -> list[Track]:
    """One tracklet a person and camera, rightly linked."""
    return tracks_of_lines(real)


def test_right_links_are_the_ceiling() -> None:
    found = evaluate_tracks(tracks(truth()), truth())
    assert found.linked.identity.idf1 == found.perfect.identity.idf1 == 1
    assert found.alone.identity.idf1 == pytest.approx(0.5)
    assert (found.num_people, found.num_identities, found.num_tracklets, found.false_tracklets) == (4, 4, 8, 0)
    assert (found.identities_per_person, found.people_per_identity, found.right_time) == (1, 1, 1)
    assert {(pair.first, pair.second): (pair.same, pair.linked, pair.both) for pair in found.pairs} == {
        ("a", "a"): (0, 0, 0),
        ("a", "b"): (4, 4, 4),
        ("b", "b"): (0, 0, 0),
    }
    assert found.cameras["a"].identity.idf1 == 1


def test_what_is_not_linked_and_what_is_linked_wrongly() -> None:
    given = tracks(truth())
    apart = [replace(track, identity=number) for number, track in enumerate(given)]
    split = evaluate_tracks(apart, truth())
    assert split.linked.identity.idf1 == split.alone.identity.idf1 == pytest.approx(0.5)
    assert (split.identities_per_person, split.people_per_identity) == (2, 1)
    mixed = evaluate_tracks([replace(track, identity=1) for track in given], truth())
    assert mixed.people_per_identity == 4
    assert mixed.linked.identity.idf1 == pytest.approx(0.25)
    (pair,) = [pair for pair in mixed.pairs if pair.first != pair.second]
    assert (pair.precision, pair.recall) == (0.25, 1)
    assert mixed.interval[0] <= mixed.linked.identity.idf1 <= mixed.interval[1]


def test_what_detectors_lose_links_cannot_mend() -> None:
    given = tracks(truth())
    lost = evaluate_tracks(given[1:], truth())
    assert lost.linked.identity.idf1 == lost.perfect.identity.idf1 == pytest.approx(2 * 7 / 15)
    nobody = Track("a", 99, np.arange(50) / 10, np.tile(np.array([[900, 0, 940, 120]], np.float32), (50, 1)))
    more = evaluate_tracks([*given, nobody], truth())
    assert more.false_tracklets == 1
    assert more.linked.identity.precision == pytest.approx(8 / 9)


def test_boxes_where_the_truth_has_no_frame_are_false() -> None:
    late = Track("a", 99, 100 + np.arange(50) / 10, np.tile(np.array([[0, 0, 40, 120]], np.float32), (50, 1)))
    found = evaluate_tracks([*tracks(truth()), late], truth())
    assert found.linked.identity.precision == pytest.approx(8 / 9)


def test_every_second_frame_is_enough() -> None:
    """Between two boxes of a tracklet it was there too."""
    given = [replace(track, times=track.times[::2], boxes=track.boxes[::2], gap_s=1.0) for track in tracks(truth())]
    assert evaluate_tracks(given, truth()).linked.identity.idf1 > 0.98


def test_lines_are_scored_as_they_were_written() -> None:
    """TrackEval 1.3 has 0.571, 0.400 and 0.400 for these four boxes of ten."""
    real = table_of(parsed([f"{frame},1,0,0,50,100,1,1,1" for frame in range(1, 11)], "truth")).timed(0, 10)
    found = table_of(parsed([f"{frame},7,0,0,50,100,.9,-1,-1,-1" for frame in range(1, 11, 3)], "lines")).timed(0, 10)
    linked = evaluate_tracks(tracks(found), real).linked
    assert [linked.identity.idf1, linked.hota.hota, linked.hota.det_a] == pytest.approx([4 / 7, 0.4, 0.4])


def test_distractors_count_neither_found_nor_missed() -> None:
    """As in MOTChallenge: a box on a static person is left out, and one on a person stays."""
    lines = [f"{frame},1,0,0,50,100,1,1,1\n{frame},2,200,0,50,100,0,7,1" for frame in range(1, 11)]
    real = table_of(parsed("\n".join(lines).split("\n"), "truth")).timed(0, 10)
    lines = [f"{frame},1,0,0,50,100,1\n{frame},2,200,0,50,100,1\n{frame},3,400,0,50,100,1" for frame in range(1, 11)]
    found = table_of(parsed("\n".join(lines).split("\n"), "lines")).timed(0, 10)
    linked = evaluate_tracks(tracks(found[found.tracks < 3]), real).linked
    assert (linked.identity.idf1, linked.hota.hota) == (1, 1)
    assert evaluate_tracks(tracks(found), real).linked.identity.precision == pytest.approx(0.5)
    flagged = replace(real, scores=np.ones(len(real), np.float32))  # a distractor, whatever its flag
    assert evaluate_tracks(tracks(found[found.tracks < 3]), flagged).linked.hota.hota == 1


def test_a_line_counts_at_one_moment() -> None:
    frames = (1, 2, 3, 11, 21, 31, 41, 51)
    real = table_of(parsed([f"{frame},1,0,0,50,100,1,1,1" for frame in frames], "truth")).timed(0, 25)
    one = table_of(parsed(["2,7,0,0,50,100,1"], "lines")).timed(0, 25)
    assert evaluate_tracks(tracks(one), real).linked.identity.idf1 == pytest.approx(2 / 9)


def test_no_camera_in_common() -> None:
    with pytest.raises(DataError, match="the truth is of a, b, and the tracklets are of north"):
        evaluate_tracks([replace(tracks(truth())[0], camera="north")], truth())


def test_truth_in_files(tmp_path: Path) -> None:
    box = (10.0, 0.0, 50.0, 120.0)
    (tmp_path / "north").mkdir()
    (tmp_path / "north" / "gt").mkdir()
    (tmp_path / "north" / "seqinfo.ini").write_text("[Sequence]\nframeRate=25\n")
    lines = [mot_line(1, 3, box), mot_line(26, 3, box), mot_line(2, 4, box, 0.0)]
    (tmp_path / "north" / "gt" / "gt.txt").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="--start of frame 1"):
        read_truth(tmp_path)
    found = read_truth(tmp_path, start=1000)
    assert (found.times.tolist(), found.scores.tolist()) == ([1000, 1001, 1000.04], [1, 1, 0])
    assert found.cameras.tolist() == ["north"] * 3
    (tmp_path / "aic.txt").write_text("\n".join(aicity_line("c1", 3, frame, box) for frame in (1, 11)))
    assert read_truth(tmp_path / "aic.txt", start=0, rate=10).times.tolist() == [0, 1]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no truth"):
        read_truth(tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("seqinfo.ini", "frameRate=25"),
        ("seqinfo.ini", "[Sequence]\nframeRate=abc"),
        ("seqinfo.ini", "[Sequence]\nframeRate=0"),
        ("starts.json", "[1"),
        ("starts.json", "[1]"),
        ("starts.json", '{"north": "2026-03-01T08:00Z"}'),
        ("starts.json", '{"north": NaN}'),
    ],
)
def test_a_broken_file_beside_the_truth_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "north.txt").write_text(mot_line(1, 3, (10.0, 0.0, 50.0, 120.0)))
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nframeRate=25")
    (tmp_path / "starts.json").write_text('{"north": 1000}')
    assert read_truth(tmp_path).times.tolist() == [1000]
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=re.escape(str(tmp_path / name))):
        read_truth(tmp_path)
