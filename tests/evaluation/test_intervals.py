from __future__ import annotations

import numpy as np
import pytest

from resight.evaluation import intervals
from resight.evaluation.intervals import Interval, mean_interval, resampled_means, small_sample, widened


def test_of_many_values_it_agrees_with_the_normal_approximation() -> None:
    values = np.random.default_rng(1).beta(2, 3, 400)
    interval = mean_interval(values)
    half = 1.966 * values.std(ddof=1) / np.sqrt(len(values))
    assert interval.low == pytest.approx(values.mean() - half, abs=0.002)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.002)


def test_of_right_and_wrong_answers_it_is_wilsons() -> None:
    interval = mean_interval(np.repeat([0.0, 1.0], [20, 181]))  # 200 trials left, and Student's 1.972
    assert [interval.low, interval.high] == pytest.approx([0.8508, 0.9346], abs=1e-3)


@pytest.mark.parametrize(("right", "num"), [(0.5, 40), (0.9, 28), (0.964, 28), (0.99, 28), (0.99, 12), (0.95, 5)])
def test_covers_the_truth_as_often_as_it_says(right: float, num: int) -> None:
    rng = np.random.default_rng(3)
    found = [mean_interval((rng.random(num) < right).astype(float)) for _ in range(400)]
    assert np.mean([each.low <= right <= each.high for each in found]) > 0.86  # the bootstrap: 0.06 to 0.95
    assert min(each.high - each.low for each in found) > 0


def test_covers_the_truth_over_people_whose_queries_are_alike() -> None:
    rng = np.random.default_rng(4)
    people = np.repeat(np.arange(15), 6)
    hits = 0
    for _ in range(300):
        interval = mean_interval(rng.beta(2, 1, 15)[people], people)
        hits += interval.low <= 2 / 3 <= interval.high
    assert 0.91 <= hits / 300 <= 0.99


def test_few_values_or_one_tell_little() -> None:
    assert mean_interval(np.array([0.25])) == Interval(0, 1)
    assert mean_interval(np.ones(9), np.zeros(9, np.int64)) == Interval(0, 1)
    assert mean_interval(np.ones(28)).low == pytest.approx(28 / (28 + 2.0518**2), abs=1e-3)
    assert mean_interval(np.zeros(3)).high > 0.8
    assert mean_interval(np.full(6, 0.5)).low < 0.25


def test_over_people_whose_queries_are_alike_it_is_wider_and_over_single_queries_the_same() -> None:
    people = np.repeat(np.arange(40), 9)
    values = np.random.default_rng(0).beta(3, 3, 40)[people]
    queries, over = mean_interval(values), mean_interval(values, people)
    assert (over.high - over.low) == pytest.approx(3 * (queries.high - queries.low), rel=0.15)
    assert mean_interval(values, np.arange(len(values))) == queries


def test_a_bootstrap_over_few_groups_is_widened() -> None:
    assert small_sample(1000) == pytest.approx(1, abs=0.002)
    assert small_sample(2) == pytest.approx(12.706 / 1.96 * 2**0.5, rel=1e-3)
    assert widened(Interval(0.5, 0.5), 0.5, 4) == Interval(0, 1)
    found = widened(Interval(0.4, 0.7), 0.5, 12)
    factor = 2.201 / 1.96 * (12 / 11) ** 0.5
    assert [found.low, found.high] == pytest.approx([0.5 - 0.1 * factor, 0.5 + 0.2 * factor], 1e-3)
    assert widened(Interval(0.9, 0.995), 0.95, 12).high == 1


def test_the_seed_decides_and_blocks_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    values, people = np.random.default_rng(4).random(50), np.arange(50) // 2
    whole = resampled_means(values, 300, 5, people)
    assert not np.array_equal(whole, resampled_means(values, 300, 6, people))
    monkeypatch.setattr(intervals, "BLOCK_VALUES", 700)
    assert np.array_equal(resampled_means(values, 300, 5, people), whole)
