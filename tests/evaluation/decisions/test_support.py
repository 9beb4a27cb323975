"""What a calibration is said to support is what its decisions grant."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from resight.core.calibration import Calibration
from resight.embedding.packaged import packaged_bundle
from resight.evaluation.decisions.calibrate import seen_by_two
from resight.evaluation.decisions.support import Answer, people_for, supported


@pytest.fixture(scope="module", params=["city", "market"])
def calibration(request: pytest.FixtureRequest) -> Calibration:
    found = packaged_bundle(request.param).manifest.calibration
    assert found is not None
    return found


@pytest.mark.parametrize("growth", [None, 0.5, 3.0])
def test_the_lowest_rates_are_granted_and_no_lower_ones(calibration: Calibration, growth: float | None) -> None:
    c = calibration
    found = supported(c, None if growth is None else round(growth * c.num_people))
    among = found.num_people
    granted: dict[str, Callable[[float], bool]] = {
        "same": lambda rate: c.accept_index(rate) is not None,
        "different": lambda rate: c.reject_index(rate) is not None,
        "known": lambda rate: c.known_index(rate, among) is not None,
        "nobody": lambda rate: c.decide_search(-1.0, among, false_negative_rate=rate).verdict == "nobody we know",
        "named": lambda rate: c.naming_margin(rate, among) is not None,
    }
    assert found.same.least is not None
    for name, grants in granted.items():
        answer = getattr(found, name)
        least = answer.least if isinstance(answer, Answer) else answer
        assert least is None or grants(least)
        assert not grants(0.89 * (least or 0.5))  # two digits, rounded up: by a tenth at the most


def test_half_of_them_get_an_answer_at_that_rate_and_fewer_below(calibration: Calibration) -> None:
    c = calibration
    found = supported(c)
    assert found.same.half is not None
    assert found.nobody.half is not None
    at, below = c.accept_index(found.same.half), c.accept_index(0.89 * found.same.half)
    assert at is not None
    assert c.false_reject.rate[at] <= 0.5
    assert below is None or c.false_reject.rate[below] > 0.5
    index = c.accept_index(0.01)
    assert found.same.by_default == (None if index is None else 1 - c.false_reject.rate[index])
    decided = c.decide_search(-1.0, c.num_people, false_positive_rate=1e-9, false_negative_rate=found.nobody.half)
    assert decided.threshold is not None
    assert c.false_positive.rate[c.thresholds.index(decided.threshold)] <= 0.5


def test_people_for_a_rate() -> None:
    assert people_for(0.01, 0.024, 30) == 72
    assert people_for(0.01, 0.5, 200) == 10_000
    assert people_for(0.05, 0.082, 30) == 50


def test_people_whom_two_cameras_see() -> None:
    pids = np.array([1, 1, 2, 2, 3, 0, 0, -1, -1])
    assert seen_by_two(pids, np.array([1, 2, 1, 1, 2, 1, 2, 1, 2])) == 1
