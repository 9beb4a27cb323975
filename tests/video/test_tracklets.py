"""Tracks to tracklets: the best crops, why one is refused, and where one is split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from resight.core.errors import ConfigError, DataError
from resight.embedding.loading import load
from resight.video.looks import embedded, where_split
from resight.video.packing import boxes_at, pack_boxes, unpack_boxes
from resight.video.quality import Gates, of_boxes, sharpness
from resight.video.records import Frame, Refused, Tracklet, detections
from resight.video.tracklets import LONGEST_S, SHOTS, tracklets_of

SIZE = (360, 640)


def frames(boxes: Any, step: float = 0.1, start: float = 100.0, looks: Any = None) -> Iterator[Frame]:
    """A frame for each list of boxes, with a picture of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    for number, each in enumerate(boxes):
        vectors = None if looks is None else [looks[number]] * len(each)
        found = detections(each, [0.9] * len(each), embeddings=vectors)
        yield Frame(start + number * step, pixels, found=found)


def tracklets(source: Iterator[Frame], **options: Any) -> tuple[list[Tracklet], list[Refused]]:
    found = list(tracklets_of(source, "north", **options))
    return [each for each in found if isinstance(each, Tracklet)], [each for each in found if isinstance(each, Refused)]


def standing(count: int, height: float = 150) -> list[list[list[float]]]:
    return [[[200, 50, 260, 50 + height]]] * count


def test_a_tracklet_has_the_best_crop_of_each_piece_of_time() -> None:
    """The person is hidden by somebody nearer in every other second."""
    boxes = [[[200, 50, 260, 200], *([[205, 90, 275, 260]] if (number // 10) % 2 else [])] for number in range(100)]
    (first, *_), _ = tracklets(frames(boxes))
    assert len(first.shots) == SHOTS
    assert [int((shot.time - first.start) / (first.end - first.start) * SHOTS) for shot in first.shots] == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert all(int(round(shot.time - 100, 3)) % 2 == 0 for shot in first.shots)
    assert first.shots[0].pixels is not None
    assert first.shots[0].pixels.shape == (150, 60, 3)


def test_crops_are_few_however_long_a_track_is() -> None:
    found, _ = tracklets(frames(standing(800), step=0.5))
    assert [len(each.shots) for each in found] == [SHOTS] * len(found)
    assert all(each.end - each.start <= LONGEST_S + 0.5 for each in found)
    assert [each.track for each in found] == [f"{found[0].epoch}/1", f"{found[0].epoch}/1.1"]


@pytest.mark.parametrize(
    ("boxes", "kind"),
    [
        (standing(2), "too few frames"),
        (standing(10, height=30), "too small"),
        ([[[200, 50, 260, 200], [198, 60, 262, 230]]] * 10, "too poor"),
    ],
)
def test_a_refused_one_says_why(boxes: Any, kind: str) -> None:
    _, refused = tracklets(frames(boxes), gates=Gates(quality=0.3))
    assert kind in {each.kind for each in refused}
    assert all(any(letter.isdigit() for letter in each.reason) for each in refused)


def test_too_short() -> None:
    _, (refused,) = tracklets(frames(standing(4), step=0.02))
    assert refused.kind == "too short"


def test_tracks_end_where_the_source_was_cut() -> None:
    first = list(frames(standing(10)))
    second = [Frame(frame.time + 100, frame.pixels, 1, frame.found) for frame in first]
    found, _ = tracklets(iter([*first, *second]))
    assert len({each.track for each in found}) == 2
    assert all(each.end - each.start < 2 for each in found)


def test_a_number_that_comes_again_is_another_tracklet(monkeypatch: pytest.MonkeyPatch) -> None:
    def walks(numbers: list[int]) -> Iterator[Frame]:
        for walk, number in enumerate(numbers):
            for frame in range(20):
                box = [[200, 50, 260, 200]]
                yield Frame(100 + 60.0 * walk + frame / 10, None, found=detections(box, tracks=[number]))

    found, _ = tracklets(walks([3, 3, 7, 3]))
    assert [each.track.split("/")[1] for each in found] == ["3", "3.1", "7", "3.2"]
    assert len({each.key for each in found}) == 4
    monkeypatch.setattr("resight.video.tracklets.REMEMBERED", 1)
    found, _ = tracklets(walks([3, 7, 3, 3]))
    assert [each.track.split("/")[1] for each in found] == ["3", "7", "3.1", "3.2"]
    found, _ = tracklets(walks([1, 2, 3, 4]))
    assert [each.track.split("/")[1] for each in found] == ["1", "2", "3", "4"]


def names_and_lefts(found: list[Tracklet]) -> set[tuple[str, int, int]]:
    """Of each: its name without the time, how many boxes it has, and where it stands."""
    return {(each.track.split("000Z", 1)[1], len(each.times), int(each.boxes[0, 0])) for each in found}


@pytest.mark.parametrize(
    ("tracks", "names"),
    [
        ([[1]] * 10 + [[-1]] * 10, {("/1", 10, 0), ("b/1", 10, 300)}),
        ([[-1]] * 10 + [[1]] * 10, {("/1", 10, 0), ("b/1", 10, 300)}),
        ([[1, -1]] * 20, {("/1", 20, 0), ("b/1", 20, 300)}),
        ([[5]] * 10 + [[6]] * 10, {("/5", 10, 0), ("/6", 10, 300)}),
        ([[-1]] * 10 + [[-1]] * 10, {("/1", 10, 0), ("/2", 10, 300)}),
    ],
)
def test_numbers_of_two_trackers_never_meet(tracks: list[list[int]], names: set[tuple[str, int, int]]) -> None:
    """Somebody at the left, and then, or at once, somebody at the right."""
    people = [[0, 50, 60, 200], [300, 50, 360, 200]]

    def source() -> Iterator[Frame]:
        for number, each in enumerate(tracks):
            boxes = people if len(each) == 2 else [people[number >= 10]]
            yield Frame(100 + number / 10, None, found=detections(boxes, [0.9] * len(boxes), each))

    found, _ = tracklets(source())
    assert names_and_lefts(found) == names


def test_what_is_still_open_is_left_to_another_run() -> None:
    def source(length: int) -> Iterator[Frame]:
        for number in range(length):
            boxes = [[0, 50, 60, 200]] if number < 10 else [[300, 50, 360, 200]]
            yield Frame(100 + number / 10, None, found=detections(boxes, tracks=[1 if number < 10 else 2]))

    whole, _ = tracklets(source(80))
    stopped, refused = tracklets(source(60), halted=lambda: True)
    assert [(each.track, len(each.times)) for each in stopped] == [(whole[0].track, 10)]
    assert not refused
    assert len(tracklets(source(60), halted=lambda: False)[0]) == len(whole) == 2


def test_no_part_is_named_as_half_of_another() -> None:
    """A number that comes a hundred times, the first time for two people."""
    one, other = np.eye(8, dtype=np.float32)[:2]

    def walks() -> Iterator[Frame]:
        for walk in range(104):
            for frame in range(10):
                look = [other if walk == 0 and frame >= 5 else one]
                found = detections([[200, 50, 260, 200]], tracks=[3], embeddings=look)
                yield Frame(100 + 60.0 * walk + frame / 2, None, found=found)

    names = [each.track.split("/")[1] for each in embedded(tracklets_of(walks(), "north"), None)]
    assert names[:3] == ["3.100", "3.101", "3.1"]
    assert len(set(names)) == len(names) == 105


def test_frames_need_somebody_who_finds_people() -> None:
    with pytest.raises(ConfigError, match="--detector"):
        tracklets(iter([Frame(0.0, np.zeros((9, 9, 3), np.uint8))]))


def test_quality_falls_with_what_harms() -> None:
    def of(box: list[float], *others: list[float], score: float = 0.9) -> float:
        return float(of_boxes(np.array([box, *others], np.float32), np.full(1 + len(others), score), SIZE)[0])

    good = of([200, 100, 260, 260])
    assert good > of([200, 100, 220, 150])  # small
    assert good > of([0, 100, 60, 260])  # at the edge
    assert good > of([200, 100, 260, 260], [220, 110, 290, 290])  # behind somebody
    assert good > of([200, 100, 360, 260])  # no shape of a person
    assert good > of([200, 100, 260, 260], score=0.2)
    noise = np.random.default_rng(0).integers(0, 256, (120, 50, 3), np.uint8)
    assert sharpness(noise) > sharpness(np.full_like(noise, 128)) == 0.5


def test_a_track_of_two_people_is_split() -> None:
    one, other = np.eye(8, dtype=np.float32)[:2]
    looks = [one if number < 30 else other for number in range(60)]
    found = list(
        embedded(
            tracklets_of(frames(standing(60), looks=looks), "north", tracker=lambda d, t: np.ones(1, np.int64)), None
        )
    )
    assert [isinstance(each, Tracklet) for each in found] == [True, True]
    first, second = (each for each in found if isinstance(each, Tracklet))
    assert first.track != second.track
    assert first.end < second.start
    assert first.embedding is not None
    assert second.embedding is not None
    assert float(first.embedding @ one) > 0.99
    assert float(second.embedding @ other) > 0.99


def test_one_person_is_not_split() -> None:
    rng = np.random.default_rng(0)
    vectors = np.eye(8, dtype=np.float32)[0] + rng.normal(0, 0.2, (5, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert where_split(vectors) is None
    assert where_split(vectors[:2]) is None


def test_crops_are_embedded_once_a_tracklet(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load("city", threads=1)
    embed, seen = model.embed, []

    def counting(pictures: Any, **options: Any) -> Any:
        seen.append(len(pictures))
        return embed(pictures, **options)

    monkeypatch.setattr(model, "embed", counting)
    (found,) = embedded(tracklets_of(frames(standing(100)), "north"), model)
    assert isinstance(found, Tracklet)
    assert seen == [SHOTS]
    assert found.embedding is not None
    assert float(np.linalg.norm(found.embedding)) == pytest.approx(1, abs=1e-5)


def test_boxes_survive_packing() -> None:
    rng = np.random.default_rng(0)
    times = 1_772_352_000 + np.cumsum(rng.uniform(0.02, 0.5, 200))
    boxes = rng.uniform(-50, 2000, (200, 4)).astype(np.float32)
    again, sides = unpack_boxes(pack_boxes(times, boxes), times[0])
    assert np.abs(again - times).max() <= 0.0011
    assert np.abs(sides - boxes).max() <= 0.25
    with pytest.raises(DataError, match="cannot be read"):
        unpack_boxes("no boxes", 0.0)


def test_between_two_boxes_somebody_was_there_if_they_lie_close() -> None:
    times, boxes = np.array([0.0, 1.0, 5.0]), np.array([[0, 0, 1, 1], [10, 0, 11, 1], [50, 0, 51, 1]], np.float32)
    found = boxes_at(times, boxes, np.array([0.5, 3.0, 5.04, 7.0]), 1.5, 0.05)
    assert found[0].tolist() == [5, 0, 6, 1]
    assert np.isnan(found[1]).all()
    assert found[2].tolist() == [50, 0, 51, 1]
    assert np.isnan(found[3]).all()
