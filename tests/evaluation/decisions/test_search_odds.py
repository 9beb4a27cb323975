"""P(same) of what a search finds: whether it is true of other people, and says no more than it can."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from resight.core.calibration import SearchOdds
from resight.core.records import EmbeddedCrops
from resight.evaluation.decisions.search_odds import fit_search_odds
from resight.evaluation.decisions.searches import Searches, best_by_person, searches_within
from tests.evaluation.decisions.test_calibrate import crowd


def fitted(*places: EmbeddedCrops) -> SearchOdds:
    return fit_search_odds(places, searches_within(places), np.random.default_rng(0))


@pytest.mark.parametrize("people", [25, 60, 240])
def test_it_is_true_among_other_people_and_as_many_as_there_are(people: int) -> None:
    odds, others = fitted(crowd(60, 0.7)), crowd(people, 0.7, seed=5)
    best, own, _ = best_by_person(others, others)
    told, right = [], []
    for row, similar in enumerate(best):
        near = np.sort(similar)[: -1 - 20 : -1].tolist()
        if row % 2:  # the person is not there
            told.append(odds.same(near[0], people - 1, near[1:]).value)
            right.append(False)
        else:
            ranked = sorted([*near, float(own[row])], reverse=True)
            told.append(odds.same(ranked[0], people, ranked[1:]).value)
            right.append(own[row] > near[0])
    likely, outcome = np.array(told), np.array(right)
    assert likely.mean() == pytest.approx(outcome.mean(), abs=0.06)
    sure, unsure = likely > 0.8, likely < 0.3
    assert min(sure.sum(), unsure.sum()) > len(told) / 10
    assert likely[sure].mean() == pytest.approx(outcome[sure].mean(), abs=0.08)
    assert likely[unsure].mean() == pytest.approx(outcome[unsure].mean(), abs=0.1)


def test_no_other_two_numbers_are_likelier() -> None:
    crops = crowd(30, 1.5)
    odds = fitted(crops)
    best, own, people = best_by_person(crops, crops)
    surest = 1 / (len(people) + 2)

    def loss(offset: float, slope: float) -> float:
        at, total = replace(odds, offset=offset, slope=slope), 0.0
        for similar, mate in zip(best, own.tolist(), strict=True):
            near = np.sort(similar)[: -1 - 20 : -1].tolist()
            there = [at.same(value, 30, others).value for value, others in ((mate, near),)]
            rest = [at.same(value, 30, [mate, *near[:k], *near[k + 1 :]]).value for k, value in enumerate(near)]
            strangers = [at.same(value, 29, near[:k] + near[k + 1 :]).value for k, value in enumerate(near)]
            total -= (1 - surest) * np.log(there[0]) + surest * np.log(1 - there[0] - sum(rest))
            total -= (1 - surest) * np.log(1 - sum(strangers)) + surest * np.log(strangers[0])
        return total

    least = loss(odds.offset, odds.slope)
    for offset, slope in ((0.2, 0.0), (-0.2, 0.0), (0.0, 0.4), (0.0, -0.4), (0.1, -0.2), (-0.1, 0.2)):
        assert loss(odds.offset + offset, odds.slope + slope) > least


def test_it_is_no_surer_than_so_many_people_can_show() -> None:
    """Nobody is ever mistaken for anybody here: the likelihood alone would make the slope endless."""
    few, many = fitted(crowd(10, 0.01)), fitted(crowd(100, 0.01))
    assert 0.8 < few.same(1.0, 10).value < many.same(1.0, 100).value < 1


def test_intervals_narrow_with_people() -> None:
    few, many = (fitted(crowd(people, 0.7)).same(0.7, 50, [0.6]) for people in (20, 320))
    assert few.low < few.value < few.high
    assert (many.high - many.low) < 0.5 * (few.high - few.low)


def test_embeddings_that_tell_nobody_apart_say_nothing() -> None:
    crops = crowd(20)
    away = replace(crops, pids=np.random.default_rng(1).permutation(crops.pids))  # as if drawn by lot
    mirrored = searches_within([away])
    worse = Searches(
        mirrored.person, mirrored.others - 1, mirrored.others, mirrored.other_person, mirrored.next_others, 20
    )
    odds = fit_search_odds([away], worse, np.random.default_rng(0))
    assert odds == SearchOdds(0.0, 0.0, 0.0, 0.0, 0.0)
    assert odds.same(0.9, 50).value == pytest.approx(1 / 51)


def test_places_stay_apart() -> None:
    one, other = crowd(30, 1.5), crowd(30, 1.5, seed=9)  # the same numbers, other people
    both = fitted(one, other)
    alone = fitted(one), fitted(other)
    assert min(a.slope for a in alone) <= both.slope <= max(a.slope for a in alone)
