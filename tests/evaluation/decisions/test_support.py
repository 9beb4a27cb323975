"""What a calibration is said to support is what its decisions grant."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from resight.core.calibration import Calibration
from resight.embedding.packaged import packaged_bundle
from resight.evaluation.decisions.calibrate import seen_by_two
from resight.evaluation.decisions.support import people_for, supported


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
    assert found.same is not None
    for name, grants in granted.items():
        least = getattr(found, name)
        assert grants(0.5 if least is None else least) or least is None
        assert not grants(0.89 * (least or 0.5))  # two digits, rounded up: by a tenth at the most


def test_people_for_a_rate() -> None:
    assert people_for(0.01, 0.024, 30) == 72
    assert people_for(0.01, 0.5, 200) == 10_000
    assert people_for(0.05, 0.082, 30) == 50


def test_people_whom_two_cameras_see() -> None:
    pids = np.array([1, 1, 2, 2, 3, 0, 0, -1, -1])
    assert seen_by_two(pids, np.array([1, 2, 1, 1, 2, 1, 2, 1, 2])) == 1
