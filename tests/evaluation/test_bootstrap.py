from __future__ import annotations

import numpy as np
import pytest

from resight.evaluation import bootstrap
from resight.evaluation.bootstrap import bootstrap_interval


def test_one_value_has_no_width() -> None:
    interval = bootstrap_interval(np.array([0.25]), 100, seed=0)
    assert (interval.low, interval.high) == (0.25, 0.25)


def test_agrees_with_the_normal_approximation() -> None:
    values = np.random.default_rng(1).normal(size=400)
    interval = bootstrap_interval(values, 4000, seed=2)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert interval.low == pytest.approx(values.mean() - half, abs=0.01)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.01)


def test_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for trial in range(300):
        interval = bootstrap_interval((rng.random(150) < 0.7).astype(float), 400, seed=trial)
        hits += interval.low <= 0.7 <= interval.high
    assert 0.90 <= hits / 300 <= 0.985


def test_the_seed_decides_and_blocks_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).random(50)
    whole = bootstrap_interval(values, 300, seed=5)
    assert whole != bootstrap_interval(values, 300, seed=6)
    monkeypatch.setattr(bootstrap, "BLOCK_VALUES", 700)
    assert bootstrap_interval(values, 300, seed=5) == whole


def test_over_people_whose_queries_are_alike_it_is_wider_and_over_single_queries_the_same() -> None:
    people = np.repeat(np.arange(40), 9)
    values = np.random.default_rng(0).normal(size=40)[people]
    queries, over = bootstrap_interval(values, 500, 0), bootstrap_interval(values, 500, 0, people)
    assert (over.high - over.low) == pytest.approx(3 * (queries.high - queries.low), rel=0.15)
    assert bootstrap_interval(values, 500, 0, np.arange(len(values))) == queries
