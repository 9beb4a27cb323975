"""Our tracker: by time, and by what was sure."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from resight.core.errors import ConfigError, DataError
from resight.video.records import NO_TRACK, NOBODY, Cleaned, Detections, cleaned, detections, from_detections
from resight.video.tracking.tracker import TimeTracker, TrackerConfig


def walker(second: float, start: float = 0.0, speed: float = 60.0, top: float = 100.0) -> list[float]:
    """A box of 40 x 120 that walks to the right."""
    left = start + speed * second
    return [left, top, left + 40, top + 120]


def follow(times: np.ndarray, *people: dict[str, float], scores: float = 0.9) -> list[list[int]]:
    tracker = TimeTracker()
    return [
        tracker(detections([walker(time, **each) for each in people], [scores] * len(people)), time).tolist()
        for time in times
    ]


def test_people_who_cross_keep_their_numbers() -> None:
    found = follow(np.arange(0, 6, 0.1), {"start": 0, "speed": 60}, {"start": 300, "speed": -60, "top": 110})
    assert {tuple(numbers) for numbers in found} == {(1, 2)}


@pytest.mark.parametrize("step", [0.04, 0.2, 0.5])
def test_other_rates_and_dropped_frames_change_nothing(step: float) -> None:
    rng = np.random.default_rng(0)
    times = np.arange(0, 8, step)
    kept = times[(rng.random(len(times)) > 0.4) | (times < 3 * step)]  # how people walk is seen at first
    found = follow(kept, {"start": 0, "speed": 40}, {"start": 500, "speed": -40, "top": 260})
    assert {tuple(numbers) for numbers in found} == {(1, 2)}


def test_a_lost_track_is_found_again_within_its_memory() -> None:
    def number_after(pause: float) -> int:
        tracker = TimeTracker()
        for time in np.arange(0, 1, 0.1):
            tracker(detections([walker(time)], [0.9]), time)
        return int(tracker(detections([walker(1 + pause)], [0.9]), 1 + pause)[0])

    assert number_after(1.0) == 1
    assert number_after(10.0) == 2


def test_what_is_unsure_prolongs_a_track_and_begins_none() -> None:
    tracker = TimeTracker()
    assert tracker(detections([walker(0)], [0.9]), 0.0).tolist() == [1]
    assert tracker(detections([walker(0.1), walker(0.1, start=400)], [0.2, 0.2]), 0.1).tolist() == [1, NO_TRACK]


def test_a_number_is_never_given_twice() -> None:
    tracker = TimeTracker()
    seen = []
    for minute in range(20):
        at = minute * 60.0
        seen += tracker(detections([walker(0)], [0.9]), at).tolist()
        assert tracker(NOBODY, at + 30).tolist() == []
    assert seen == list(range(1, 21))


def test_appearance_forbids_where_it_is_known() -> None:
    tracker = TimeTracker()
    one, other = np.eye(2, dtype=np.float32)
    assert tracker(detections([walker(0)], [0.9], embeddings=[one]), 0.0).tolist() == [1]
    assert tracker(detections([walker(0.1)], [0.9], embeddings=[other]), 0.1).tolist() == [2]
    assert tracker(detections([walker(0.2)], [0.9], embeddings=[one]), 0.2).tolist() == [1]


def test_times_must_rise_and_settings_fit() -> None:
    tracker = TimeTracker()
    tracker(NOBODY, 1.0)
    with pytest.raises(ConfigError, match="times must rise"):
        tracker(NOBODY, 1.0)
    with pytest.raises(ConfigError, match="overlap_sure"):
        TrackerConfig(overlap_sure=2)


def test_detections_of_any_tool_by_their_attributes() -> None:
    boxes = np.array([walker(0), walker(1)])
    theirs = SimpleNamespace(
        xyxy=boxes,
        confidence=np.array([0.9, 0.8]),
        tracker_id=np.array([4, 5]),
        data={"embedding": np.eye(2)},
    )
    found = from_detections(theirs)
    assert found.tracks.tolist() == [4, 5]
    assert found[np.array([1])].embeddings is not None
    assert found[np.array([1])].embeddings.tolist() == [[0, 1]]  # type: ignore[union-attr]
    assert from_detections(SimpleNamespace(xyxy=boxes)).tracks.tolist() == [NO_TRACK, NO_TRACK]
    with pytest.raises(DataError, match="has no boxes"):
        from_detections(SimpleNamespace())
    with pytest.raises(DataError, match="2 boxes, but 1 scores"):
        detections(boxes, [0.9])


def test_broken_boxes_are_counted() -> None:
    boxes = np.array([[10, 10, 20, 40], [-5, 10, 20, 40], [500, 10, 520, 40], [10, 10, np.nan, 40], [30, 10, 20, 40]])
    counts = Cleaned()
    kept: Detections = cleaned(detections(boxes), (100, 200), counts)
    assert kept.boxes.tolist() == [[10, 10, 20, 40], [0, 10, 20, 40]]
    assert (counts.cut, counts.outside, counts.broken) == (1, 1, 2)
    assert len(counts.told()) == 3
