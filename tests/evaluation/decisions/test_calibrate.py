from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resight.core.errors import DataError
from resight.core.records import EmbeddedCrops
from resight.evaluation.decisions.calibrate import calibrate, check, digest, was_fitted_on
from resight.evaluation.decisions.probability import BINS, CENTRES, fit_isotonic, fit_logistic
from resight.evaluation.decisions.rates import Trials, share_above, share_below
from resight.evaluation.decisions.searches import own_and_others, searches_within
from resight.evaluation.decisions.verification import pairs_within, score_pairs


def crowd(people: int, spread: float = 1.0, seed: int = 0, each: int = 4, first_pid: int = 1) -> EmbeddedCrops:
    """Each person by two cameras, some people harder to recognise than others."""
    rng = np.random.default_rng(seed)
    pids = np.repeat(np.arange(people), each)
    noise = rng.gamma(4, spread / 4, size=people)[pids, None] * rng.normal(size=(len(pids), 24))
    embeddings = rng.normal(size=(people, 24))[pids] + noise
    n = len(pids)
    return EmbeddedCrops(
        embeddings.astype(np.float32),
        pids + first_pid,
        np.arange(n) % 2,
        rng.integers(0, 2**63, n).astype(np.uint64),
        tuple(map(str, range(n))),
    )


FIT: dict[str, Any] = {"data": "a crowd", "rights": "none needed", "date": "2026-11-23"}


def test_rates_are_plain_counts() -> None:
    rng = np.random.default_rng(0)
    score, people = rng.normal(size=500).astype(np.float32), rng.integers(0, 20, size=(500, 2))
    thresholds = np.array([-1.0, 0.0, float(score[7]), 5.0])
    thresholds.sort()
    above = share_above(Trials(score, people, 20), thresholds)
    below = share_below(Trials(score, people[:, 0], 20), thresholds)
    np.testing.assert_allclose(above.rate, [(score >= t).mean() for t in thresholds])
    np.testing.assert_allclose(below.rate, [(score < t).mean() for t in thresholds])
    for curve in (above, below):
        assert (np.array(curve.low) <= curve.rate).all()
        assert (np.array(curve.high) >= curve.rate).all()
    assert (np.diff(above.high) <= 0).all()
    assert (np.diff(below.high) >= 0).all()


def test_margins_count_the_searches_that_leave_the_right_person_out() -> None:
    crops = crowd(30, 2.5)
    calibration = calibrate(crops, **FIT).calibration
    rows = crops.embeddings.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    behind = []
    for row, pid in enumerate(crops.pids):
        alike = rows @ rows[row]
        mates = (crops.pids == pid) & (crops.camids != crops.camids[row])
        behind.append(alike[crops.pids != pid].max() - alike[mates].max())
    middle = len(calibration.margins) // 2
    for index in (0, middle, -1):
        margin = calibration.margins[index]
        assert calibration.excluded.rate[index] == pytest.approx(np.mean(np.array(behind) > margin + 1e-6), abs=0.01)
    assert calibration.margins[0] == 0
    assert calibration.excluded.rate[0] > calibration.excluded.rate[middle] > calibration.excluded.rate[-1] == 0


def test_the_people_of_a_calibration_are_recognised() -> None:
    crops, others = crowd(20, 2.0), crowd(20, 2.0, seed=1)
    calibration = calibrate(crops, **FIT).calibration
    rows = np.arange(len(crops))
    sides = [
        EmbeddedCrops(crops.embeddings[part], crops.pids[part], crops.camids[part], crops.content_hashes[part])
        for part in (rows[::2], rows[1::2])
    ]
    assert was_fitted_on(calibration, *sides)
    assert was_fitted_on(calibration, *reversed(sides))
    assert not was_fitted_on(calibration, others)
    assert not was_fitted_on(calibration, sides[0])


def test_the_jackknife_leaves_a_person_out_of_pairs_and_of_searches() -> None:
    """The upper end widens as a slow count without each person says: equal where the slow variance is equal."""
    crops = crowd(25, 2.0)
    searches = own_and_others(crops)
    threshold = float(np.quantile(searches.others, 0.6))
    slow = []
    for pid in np.unique(crops.pids):
        kept = crops.pids != pid
        left = EmbeddedCrops(
            crops.embeddings[kept],
            crops.pids[kept],
            crops.camids[kept],
            crops.content_hashes[kept],
            tuple(np.array(crops.names)[kept]),
        )
        slow.append(float((own_and_others(left).others >= threshold).mean()))
    rate = float((searches.others >= threshold).mean())
    variance = 24 / 25 * float(((np.array(slow) - rate) ** 2).sum())
    trials = Trials(searches.others, searches.person, searches.num_people, searches.other_person, searches.next_others)
    found = share_above(trials, np.array([threshold])).at(0)

    from scipy.stats import beta, t

    effective = (1.959964 / t.ppf(0.975, 24)) ** 2 * rate * (1 - rate) / variance
    half = min(effective / 2, 25)
    assert found.value == pytest.approx(rate)
    assert found.high == pytest.approx(beta.ppf(0.975, rate * half + 1, half - rate * half), rel=1e-4)
    assert found.low == pytest.approx(beta.ppf(0.025, rate * half, half - rate * half + 1), rel=1e-4)


def test_promises_hold_on_other_people() -> None:
    """Granted rates are kept by people who were not seen, in all but a few of 40 draws; with scores that promise
    nothing (the threshold at the counted rate) they would be broken in about half."""
    broken = granted = naive = 0
    for seed in range(40):
        first, second = crowd(60, seed=seed), crowd(60, seed=1000 + seed)
        fitted = calibrate(first, **FIT).calibration
        index = fitted.accept_index(0.01)
        impostor = score_pairs(second, second).impostor
        naive += (impostor >= np.quantile(score_pairs(first, first).impostor, 0.99)).mean() > 0.01
        if index is not None:
            granted += 1
            broken += (impostor >= fitted.thresholds[index]).mean() > 0.01
    assert granted >= 30
    assert broken <= 4
    assert naive >= 10


def test_pairs_of_several_places_stay_within_them() -> None:
    here, there = crowd(30), crowd(20, seed=1)  # the same pids, of other people
    pairs, searches = pairs_within([here, there]), searches_within([here, there])
    both = [score_pairs(place, place) for place in (here, there)]
    assert sorted(pairs.impostor) == sorted(np.concatenate([one.impostor for one in both]))
    assert len(pairs.genuine) == sum(len(one.genuine) for one in both)
    assert (pairs.num_people, searches.num_people) == (50, 50)
    apart = pairs.impostor_people < 30
    assert (apart[:, 0] == apart[:, 1]).all()
    assert set(pairs.genuine_person.tolist()) == set(range(50))
    assert searches.other_person[:120].max() < 30 <= searches.other_person[120:].min()
    together = calibrate([here, there], **FIT).calibration
    assert together.num_people == 20  # of the smallest place: a search was among so many at the least
    assert together.num_impostor == pairs.num_impostor // 2
    alone = calibrate([here], **FIT).calibration
    assert alone == calibrate(here, **FIT).calibration


def test_too_few_people_are_refused() -> None:
    with pytest.raises(DataError, match="people are seen by two cameras"):
        calibrate(crowd(9), **FIT)
    few = calibrate(crowd(20), **FIT).calibration
    assert few.accept_index(0.1) is not None
    assert few.accept_index(0.0001) is None


def test_probability_rises_and_is_about_right() -> None:
    fitted = calibrate(crowd(150), **FIT)
    c = fitted.calibration
    told = c.probability(np.linspace(-1, 1, 500))
    assert (np.diff(told) >= 0).all()
    assert c.ece.value < 0.05
    other = score_pairs(crowd(150, seed=5), crowd(150, seed=5))
    same = np.concatenate((c.probability(other.genuine), c.probability(other.impostor)))
    truth = np.repeat([1.0, 0.0], [len(other.genuine), len(other.impostor)])
    weight = np.where(truth == 1, 0.5 / len(other.genuine), 0.5 / len(other.impostor))
    middle = (same > 0.3) & (same < 0.7)
    assert np.average(truth[middle], weights=weight[middle]) == pytest.approx(
        np.average(same[middle], weights=weight[middle]), abs=0.12
    )


def test_the_better_map_is_chosen_out_of_fold() -> None:
    c = calibrate(crowd(80), **FIT).calibration
    assert c.method == min(c.brier, key=lambda name: c.brier[name])
    assert set(c.brier) == {"isotonic", "logistic"}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60))
def test_both_maps_rise_whatever_the_histograms(seed: int, filled: int) -> None:
    rng = np.random.default_rng(seed)
    genuine, impostor = np.zeros(BINS), np.zeros(BINS)
    genuine[rng.integers(0, BINS, filled)] = rng.random(filled)
    impostor[rng.integers(0, BINS, filled)] = rng.random(filled)
    for fit in (fit_isotonic, fit_logistic):
        similarity, log_odds = fit(genuine, impostor, 30)
        assert (np.diff(similarity) > 0).all()
        assert (np.diff(log_odds) >= 0).all()
        assert np.isfinite(log_odds).all()
    surest = np.log(31)  # (30 + 1) / 1
    assert np.abs(fit_isotonic(genuine, impostor, 30)[1]).max() <= surest + 1e-9


def test_logistic_finds_a_line_that_is_there() -> None:
    chance = 1 / (1 + np.exp(-(6 * CENTRES - 2)))
    weight = np.full(BINS, 1e4)
    similarity, log_odds = fit_logistic(weight * chance, weight * (1 - chance), 10**9)
    np.testing.assert_allclose(log_odds, 6 * similarity - 2, atol=1e-3)


def test_copies_and_the_order_change_nothing() -> None:
    crops = crowd(30)
    order = np.random.default_rng(1).permutation(len(crops))
    order = np.concatenate((order, order[:40]))
    shuffled = EmbeddedCrops(
        crops.embeddings[order], crops.pids[order], crops.camids[order], crops.content_hashes[order], ("",) * len(order)
    )
    one, other = calibrate(crops, **FIT).calibration, calibrate(shuffled, **FIT).calibration
    assert one.data_digest == other.data_digest
    assert one == other
    np.testing.assert_allclose(one.false_accept.rate, other.false_accept.rate, atol=1e-6)
    assert digest(crops) != digest(crowd(30, seed=1))


def test_a_promise_is_called_broken_elsewhere() -> None:
    here, there = crowd(100, 0.5), crowd(100, 0.5, seed=3)
    squeezed = EmbeddedCrops(there.embeddings + 2, there.pids, there.camids, there.content_hashes, there.names)
    fitted = calibrate(here, **FIT).calibration
    kept = {p.verdict for p in check(fitted, score_pairs(there, there), (0.1, 0.01))}
    assert "broken" not in kept
    assert {p.verdict for p in check(fitted, score_pairs(squeezed, squeezed), (0.1, 0.01))} == {"broken"}


def test_the_interval_of_p_same_narrows_with_people_and_holds_the_truth() -> None:
    few, many = (calibrate(crowd(people, seed=3), **FIT).calibration for people in (20, 120))
    widths = []
    for found in (few, many):
        low, value, high = (np.array(part) for part in (found.log_odds_low, found.log_odds, found.log_odds_high))
        assert ((low <= value) & (value <= high)).all()
        at = np.linspace(0.2, 0.8, 20)
        widths.append(np.mean(np.interp(at, found.similarity, high) - np.interp(at, found.similarity, low)))
    assert widths[1] < 0.7 * widths[0]


def test_a_place_of_one_person_is_named() -> None:
    with pytest.raises(DataError, match="place 2 of 2 has fewer than two people"):
        calibrate([crowd(12), crowd(1)], **FIT)


def test_a_place_whose_people_one_camera_sees_tells_of_strangers_alone() -> None:
    one_camera = crowd(12)
    one_camera.camids[:] = 1
    search = calibrate([crowd(30), one_camera], **FIT).calibration.search
    assert search is not None
    assert np.isfinite(search.slope)
