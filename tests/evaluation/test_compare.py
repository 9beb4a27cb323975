from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from resight.core.errors import DataError
from resight.core.records import EmbeddedCrops
from resight.evaluation.compare import OUTCOMES, compare, paired_difference
from resight.evaluation.metrics import METRICS


def crops(embeddings: list[list[float]], pids: list[int], camid: int) -> EmbeddedCrops:
    n = len(pids)
    return EmbeddedCrops(
        np.array(embeddings, np.float32),
        np.array(pids),
        np.full(n, camid),
        np.arange(n, dtype=np.uint64) + 100 * np.uint64(camid),
        tuple(f"{camid}/{row}" for row in range(n)),
    )


EAST, NORTH = [1.0, 0.0], [0.0, 1.0]


def test_gained_lost_and_the_rest() -> None:
    gallery = crops([EAST, NORTH], [1, 2], 2)
    first = crops([EAST, EAST, NORTH, NORTH], [1, 2, 1, 2], 1)
    second = crops([NORTH, NORTH, NORTH, NORTH], [1, 2, 1, 2], 1)
    found = compare((first, gallery), (second, gallery))
    assert [OUTCOMES[place] for place in found.outcome] == ["lost", "gained", "both wrong", "both right"]
    assert found.differences["rank1"].mean == pytest.approx(0)
    assert found.num_people == 2
    assert found.figures("rank1") == (0.5, 0.5)
    values = found.to_dict()
    assert values["outcomes"] == {"gained": 1, "lost": 1, "both wrong": 1, "both right": 1}
    assert set(values["differences"]) == set(METRICS) >= {"rank1", "mean_ap", "mean_inp"}
    assert "mean_inp" not in compare((first, gallery), (second, gallery), "top10").differences


def test_other_pictures_cannot_be_compared() -> None:
    gallery, query = crops([EAST, NORTH], [1, 2], 2), crops([EAST], [1], 1)
    for other in (
        replace(query, names=("another",)),
        replace(query, pids=np.array([2])),
        replace(query, camids=np.array([3])),
    ):
        with pytest.raises(DataError, match="same pictures"):
            compare((query, gallery), (other, gallery))


def test_a_model_against_itself() -> None:
    values = np.random.default_rng(0).random(50)
    difference = paired_difference(values, values, np.arange(50))
    assert (difference.mean, difference.interval.low, difference.interval.high, difference.p_value) == (0, 0, 0, 1)


def test_a_steady_difference_is_found_and_its_sign_is_second_less_first() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(200)
    difference = paired_difference(first, first + 0.1 + 0.05 * rng.normal(size=200), np.arange(200))
    assert difference.mean == pytest.approx(0.1, abs=0.02)
    assert 0 < difference.interval.low < difference.mean < difference.interval.high
    assert difference.p_value == pytest.approx(1 / 10_001)  # never 0: so many samples cannot show less


def test_it_agrees_with_the_t_test_where_that_holds() -> None:
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(3)
    for shift in (0.0, 0.02, 0.05):
        first, second = rng.random(300), rng.random(300) + shift
        expected = float(ttest_rel(second, first).pvalue)
        assert paired_difference(first, second, np.arange(300)).p_value == pytest.approx(expected, abs=0.03)


def test_queries_of_one_person_are_not_independent() -> None:
    """40 people of 10 queries each, all of one person alike: chance, but 400 queries taken singly deny it."""
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(40), 10)
    false_alarms = {"by person": 0, "by query": 0}
    for _ in range(100):
        second = rng.normal(size=40)[people]
        by_person = paired_difference(np.zeros(400), second, people, samples=500)
        by_query = paired_difference(np.zeros(400), second, np.arange(400), samples=500)
        false_alarms["by person"] += by_person.p_value < 0.05
        false_alarms["by query"] += by_query.p_value < 0.05
    assert false_alarms["by person"] <= 12
    assert false_alarms["by query"] >= 30


def test_the_interval_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resight.evaluation.intervals.BLOCK_VALUES", 1000)  # several blocks
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(100):
        second = 0.3 + rng.normal(size=60)
        difference = paired_difference(np.zeros(60), second, np.arange(60), samples=400, seed=seed)
        covered += difference.interval.low <= 0.3 <= difference.interval.high
    assert 88 <= covered <= 99


def test_the_interval_leaves_zero_out_where_p_is_below_5_percent() -> None:
    rng = np.random.default_rng(3)
    verdicts = set()
    for seed in range(60):
        second = np.where(rng.random(12) < 0.4, 0.3 + rng.exponential(size=12), 0.0)  # skewed, most unchanged
        difference = paired_difference(
            np.zeros(12), second - rng.uniform(0, 0.7), np.arange(12), samples=999, seed=seed
        )
        real = not difference.interval.low <= 0 <= difference.interval.high
        verdicts.add(real)
        if abs(difference.p_value - 0.05) > 0.003:
            assert real == (difference.p_value < 0.05)
    assert verdicts == {True, False}


@pytest.mark.parametrize("people", range(1, 6))
def test_of_five_people_and_fewer_nothing_can_be_told(people: int) -> None:
    groups = np.repeat(np.arange(people), 4)
    difference = paired_difference(np.zeros(len(groups)), np.full(len(groups), 0.3), groups, samples=500)
    assert difference.p_value == 2.0 ** (1 - people)  # that all lie on one side: the sign test
    assert difference.interval.low <= 0


@pytest.mark.parametrize("people", [6, 8, 12, 20])
def test_few_people_are_not_taken_for_many(people: int) -> None:
    """Equal models, 300 times: uncorrected, the bootstrap found differences in 6% to 16%."""
    rng, groups = np.random.default_rng(people), np.repeat(np.arange(people), 4)
    found = 0
    for _ in range(300):
        second = 0.1 * (rng.normal(size=people)[groups] + rng.normal(size=len(groups)))
        found += paired_difference(np.zeros(len(groups)), second, groups, samples=400).p_value <= 0.05
    assert 0.01 <= found / 300 <= 0.085
