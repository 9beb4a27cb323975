from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from resight.core.calibration import KNOWN, NOBODY, UNSURE, Calibration, Rate, RateCurve, SearchOdds
from resight.core.errors import CalibrationError, ConfigError, WeightsError

FALLS = RateCurve((0.5, 0.05, 0.005), (0.4, 0.03, 0.001), (0.6, 0.08, 0.01))
RISES = RateCurve((0.01, 0.1, 0.6), (0.0, 0.05, 0.5), (0.03, 0.2, 0.7))
CALIBRATION = Calibration(
    method="logistic",
    similarity=(-1.0, 1.0),
    log_odds=(-4.0, 4.0),
    thresholds=(0.2, 0.5, 0.8),
    false_accept=FALLS,
    false_reject=RISES,
    false_positive=FALLS,
    false_negative=RISES,
    num_people=100,
    num_genuine=500,
    num_impostor=5000,
    brier={"isotonic": 0.11, "logistic": 0.1},
    ece=Rate(0.01, 0.0, 0.02),
    data="a city",
    data_digest="00",
    rights="none needed",
    date="2026-11-23T00:00:00+00:00",
)
ODDS = SearchOdds(offset=-8.0, slope=20.0, offset_variance=0.25, covariance=0.0, slope_variance=0.0)


def test_probability_is_a_logistic_line_and_moves_with_the_prior() -> None:
    assert CALIBRATION.probability(0.0) == pytest.approx(0.5)
    assert CALIBRATION.probability(0.5) == pytest.approx(1 / (1 + np.exp(-2)))
    assert CALIBRATION.probability([0.0, 3.0], prior=0.01) == pytest.approx([0.01, 1 / (1 + 99 * np.exp(-4))])
    with pytest.raises(ConfigError, match="prior"):
        CALIBRATION.probability(0.0, prior=1.0)


def test_the_margin_is_the_least_that_keeps_to_the_rate_among_so_many_people() -> None:
    excluded = RateCurve((0.2, 0.02, 0.001), (0.1, 0.01, 0.0), (0.3, 0.05, 0.004))
    named = replace(CALIBRATION, margins=(0.0, 0.1, 0.3), excluded=excluded)
    assert named.naming_margin(0.05, 100) == (0.1, excluded.at(1))
    assert named.naming_margin(0.05, 5) == (0.1, excluded.at(1))  # among fewer people it is taken as it is
    found = named.naming_margin(0.05, 1000)
    assert found is not None
    assert found[0] == 0.3
    assert found[1].value == pytest.approx(1 - 0.999**10)
    assert named.naming_margin(0.001, 100) is None
    assert CALIBRATION.naming_margin(0.5, 100) is None  # fitted before margins were
    assert Calibration.from_dict(json.loads(json.dumps(named.to_dict()))) == named
    old = CALIBRATION.to_dict()
    assert (
        Calibration.from_dict({name: old[name] for name in old if name not in ("margins", "excluded")}) == CALIBRATION
    )
    for margins in ((0.0, 0.1), (-0.1, 0.1, 0.3), (0.3, 0.1, 0.4)):
        with pytest.raises(CalibrationError):
            replace(named, margins=margins)


def test_a_pair_is_decided_by_the_upper_ends_of_the_intervals() -> None:
    def decide(similarity: float) -> Any:
        return CALIBRATION.decide_pair(similarity, false_accept_rate=0.01, false_reject_rate=0.05)

    assert (decide(0.8).verdict, decide(0.8).rate) == ("same", FALLS.at(2))
    assert (decide(0.1).verdict, decide(0.1).rate) == ("different", RISES.at(0))
    between = decide(0.5)
    assert between.verdict == "unsure"
    assert between.rate.value == pytest.approx(0.59)  # of pairs of one person, those between both thresholds
    assert CALIBRATION.decide_pair(0.9, false_accept_rate=0.001).verdict == UNSURE  # no threshold keeps to it


def test_where_the_thresholds_overlap_accepting_goes_first() -> None:
    both = {"false_accept_rate": 0.6, "false_reject_rate": 0.7}
    assert CALIBRATION.decide_pair(0.3, **both).verdict == "same"
    assert CALIBRATION.decide_pair(0.1, **both).verdict == "different"


def test_a_search_needs_a_higher_threshold_among_more_people() -> None:
    def decide(similarity: float, people: int) -> Any:
        return CALIBRATION.decide_search(similarity, people, false_positive_rate=0.1)

    assert decide(0.6, 100).verdict == KNOWN
    assert decide(0.6, 10).rate == FALLS.at(1)  # fewer people: no credit is taken for it
    assert decide(0.6, 1000).verdict == UNSURE
    grown = decide(0.9, 1000)
    assert grown.verdict == KNOWN
    assert grown.rate.value == pytest.approx(1 - (1 - 0.005) ** 10)
    assert grown.rate.high <= 0.1
    assert decide(0.99, 10**9).verdict == UNSURE
    assert decide(0.1, 1000).verdict == NOBODY
    assert decide(0.9, 0).verdict == NOBODY


def test_a_verdict_and_p_same_do_not_speak_against_each_other() -> None:
    likely = replace(CALIBRATION, search=replace(ODDS, offset=0.0))
    assert CALIBRATION.decide_search(0.15, 10).verdict == NOBODY
    assert likely.decide_search(0.15, 10).verdict == UNSURE  # e^3 > 10
    assert likely.decide_search(0.15, 30).verdict == NOBODY


def test_the_numbers_of_a_row_move_with_the_size_of_the_gallery() -> None:
    w = 1.959964 / 2
    for num_people in (10, 99, 1000):
        found = replace(CALIBRATION, search=ODDS).same_among(0.6, num_people)
        assert found is not None
        assert found.value == pytest.approx(np.exp(4) / (num_people + np.exp(4)))
        assert (found.low, found.high) == pytest.approx([1 / (1 + num_people * np.exp(-4 - x)) for x in (-w, w)])
    of_pairs = float(CALIBRATION.probability(0.6, 0.01))  # fitted before searches were
    assert CALIBRATION.same_among(0.6, 99) == Rate(of_pairs, 0.0, 1.0)
    assert CALIBRATION.strangers_as_alike(0.6, 100) == FALLS.at(1)  # as counted at 0.5
    assert CALIBRATION.strangers_as_alike(0.6, 10) == FALLS.at(1)
    assert CALIBRATION.strangers_as_alike(0.6, 200).value == pytest.approx(1 - 0.95**2)
    assert CALIBRATION.strangers_as_alike(0.1, 100) == Rate(1.0, 1.0, 1.0)


def test_two_people_are_not_searched_for_at_once() -> None:
    similar = [0.9, 0.9, 0.7, -0.2]
    told = [ODDS.same(value, 5, similar[:at] + similar[at + 1 :]).value for at, value in enumerate(similar)]
    likely = np.exp(-8 + 20 * np.array(similar))
    assert told == pytest.approx(likely / (5 + likely.sum()))
    assert ODDS.same(1e3, 5, [-1e3]) == Rate(1.0, 1.0, 1.0)
    assert ODDS.same(-1e3, 5, [1e3]).value < 1e-300


def test_the_interval_is_as_wide_as_the_two_numbers_make_it() -> None:
    odds = replace(ODDS, offset_variance=0.09, covariance=-0.1, slope_variance=0.16)
    rate = odds.same(0.5, 20, [0.45, 0.3])

    def log_odds(offset: float, slope: float) -> float:
        value = SearchOdds(offset, slope, 0, 0, 0).same(0.5, 20, [0.45, 0.3]).value
        return float(np.log(value / (1 - value)))

    step = 1e-5
    slopes = np.array([log_odds(-8 + step, 20) - log_odds(-8, 20), log_odds(-8, 20 + step) - log_odds(-8, 20)]) / step
    width = 1.959964 * np.sqrt(slopes @ [[0.09, -0.1], [-0.1, 0.16]] @ slopes)
    ends = [1 / (1 + np.exp(-(log_odds(-8, 20) + side * width))) for side in (-1, 1)]
    assert (rate.low, rate.high) == pytest.approx(ends, rel=1e-4)


def test_without_labels_there_is_no_probability() -> None:
    blind = replace(CALIBRATION, method="none", similarity=(), log_odds=())
    assert Calibration.from_dict(json.loads(json.dumps(blind.to_dict()))) == blind
    assert blind.same_among(0.9, 10) is None
    assert blind.decide_pair(0.8, false_accept_rate=0.01).verdict == "same"
    with pytest.raises(ConfigError, match="without labels"):
        blind.probability(0.9)
    for wrong in ({"method": "none"}, {"similarity": (), "log_odds": ()}, {"log_odds_low": (1.0,)}):
        with pytest.raises(CalibrationError, match="unequal lengths"):
            replace(CALIBRATION, **wrong)


def test_it_survives_json() -> None:
    for calibration in (CALIBRATION, replace(CALIBRATION, search=ODDS)):
        assert Calibration.from_dict(json.loads(json.dumps(calibration.to_dict()))) == calibration
    old = CALIBRATION.to_dict()
    old.pop("search")
    assert Calibration.from_dict(old) == CALIBRATION


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "resight.calibration/9"},
        {"thresholds": [0.2, 0.5]},
        {"thresholds": [0.2, 0.8, 0.5]},
        {"log_odds": [4.0, -4.0]},
        {"log_odds": [float("nan"), 1.0]},
        {"false_accept": {"rate": [2, 0, 0], "low": [0, 0, 0], "high": [1, 1, 1]}},
        {"false_accept": None},
        {"method": "magic"},
        {"num_people": 0},
        {"surplus": 1},
        {"search": {"offset": 0.0}},
        {"search": {**asdict(ODDS), "slope": -1.0}},
        {"search": {**asdict(ODDS), "offset": float("nan")}},
        {"ece": {}},
        {"ece": {"value": 9.0, "low": 0.0, "high": 1.0}},
        {"num_people": float("nan")},
        {"log_odds_low": [float("nan"), 1.0]},
        {"brier": []},
        {"thresholds": "abc"},
    ],
)
def test_what_is_no_calibration_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CalibrationError):
        Calibration.from_dict({**CALIBRATION.to_dict(), **change})
    assert issubclass(CalibrationError, WeightsError)


def test_an_impossible_record_cannot_be_made() -> None:
    with pytest.raises(CalibrationError):
        replace(CALIBRATION, similarity=(1.0, -1.0))


def test_impossible_rates_and_numbers_are_refused() -> None:
    for rates in ({"false_accept_rate": 2.0}, {"false_reject_rate": float("nan")}):
        with pytest.raises(ConfigError, match="a rate lies between"):
            CALIBRATION.decide_pair(0.5, **rates)
    with pytest.raises(ConfigError, match="num_people is 0 or more"):
        CALIBRATION.decide_search(0.5, -4)
    with pytest.raises(ConfigError, match="a similarity is a number"):
        CALIBRATION.decide_search(float("nan"), 4)
