from __future__ import annotations

import numpy as np
import pytest

from resight.core.errors import DataError
from resight.core.records import FloatArray
from resight.evaluation.decisions.unlabelled import calibrate_unlabelled
from resight.evaluation.decisions.verification import score_pairs
from tests.site.places import Place, place


def _false_accepts(drawn: Place, threshold: float) -> float:
    crops = drawn.crops()
    return float((score_pairs(crops, crops).impostor >= threshold).mean())


def test_thresholds_of_unnamed_people_hold_for_others() -> None:
    kept = []
    for seed in range(10):
        found = calibrate_unlabelled(*_columns(place(people=80, pictures=1, cast=0.3, seed=seed))).calibration
        index = found.accept_index(0.1)
        assert index is not None
        others = place(people=80, pictures=1, cast=0.3, seed=100 + seed)
        kept.append(_false_accepts(others, found.thresholds[index]) <= 0.1)
    assert sum(kept) >= 9


def _columns(drawn: Place) -> tuple[FloatArray, list[str], list[str]]:
    return drawn.embeddings, drawn.cameras, drawn.tracks


def test_what_is_counted_is_all_pairs_by_two_cameras() -> None:
    drawn = place(people=40, pictures=2)
    blind = calibrate_unlabelled(*_columns(drawn))
    found = blind.calibration
    cameras = np.array(drawn.cameras)
    first, second = np.triu_indices(len(cameras), 1)
    by_two = cameras[first] != cameras[second]
    alike = np.einsum("ij,ij->i", drawn.embeddings[first[by_two]], drawn.embeddings[second[by_two]])
    middle = len(found.thresholds) // 2
    assert found.false_accept.rate[middle] == pytest.approx((alike >= found.thresholds[middle]).mean(), abs=1e-4)
    assert found.num_impostor == by_two.sum()
    same = (drawn.pids[first] == drawn.pids[second])[by_two].mean()
    assert same < blind.one_person  # the bound holds what it is to bound


def test_the_other_error_is_not_known_and_nobody_is_told_to_be_different() -> None:
    blind = calibrate_unlabelled(*_columns(place(people=80, pictures=2, cast=0.3)))
    found = blind.calibration
    assert found.method == "none"
    assert found.reject_index(0.9) is None
    assert found.decide_pair(-1.0, false_accept_rate=0.1).verdict == "unsure"
    assert found.decide_pair(0.9999, false_accept_rate=0.1).verdict == "same"
    assert found.same_among(0.9, 10) is None
    assert (np.diff(blind.missed_within) >= 0).all()
    assert calibrate_unlabelled(*_columns(place(people=60, pictures=1))[:2]).missed_within == ()


def test_strangers_of_a_search_are_bounded_by_those_of_its_pairs() -> None:
    found = calibrate_unlabelled(*_columns(place(people=80, pictures=2, cast=0.3))).calibration
    pairs, searches = np.array(found.false_accept.high), np.array(found.false_positive.high)
    assert searches == pytest.approx(np.minimum(1, found.num_people * pairs))
    assert found.strangers_as_alike(found.thresholds[-1], 10 * found.num_people).high <= 1


def test_no_rate_is_promised_below_what_two_people_who_look_like_all_would_make() -> None:
    drawn = place(people=80, pictures=1, cameras=2, cast=0.3)
    few = np.flatnonzero((np.array(drawn.cameras) == "c1") | (np.arange(160) < 20))  # 20 by one camera, 80 by the other
    cameras = np.array(drawn.cameras)[few].tolist()
    found = calibrate_unlabelled(drawn.embeddings[few], cameras, None).calibration
    one = (20 / 20**2 + 80 / 80**2) / 2  # a walk by the one is in a 20th of the pairs, by the other in an 80th
    assert min(found.false_accept.high) >= 2 * one
    assert found.accept_index(0.05) is None


def test_fewer_walks_promise_less_and_too_few_are_refused() -> None:
    few, many = (calibrate_unlabelled(*_columns(place(people=people, pictures=1))) for people in (25, 150))
    assert many.calibration.accept_index(0.01) is not None
    assert few.calibration.accept_index(0.001) is None
    drawn = place(people=19)
    with pytest.raises(DataError, match="57 walks past 3 camera"):
        calibrate_unlabelled(*_columns(drawn))
    with pytest.raises(DataError, match="two cameras"):
        calibrate_unlabelled(drawn.embeddings, ["one"] * len(drawn.cameras))
