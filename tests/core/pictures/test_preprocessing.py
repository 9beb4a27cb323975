from __future__ import annotations

import json

import numpy as np
import pytest

from resight.core.errors import ConfigError
from resight.core.pictures.preprocessing import Preprocessing

RULE = Preprocessing(4, 2, (0.5, 0.25, 0.0), (0.5, 0.25, 1.0))


def test_normalises_by_hand() -> None:
    pixels = np.zeros((1, 4, 2, 3), np.uint8)
    pixels[0, 1, 0] = (255, 255, 51)
    images = RULE.normalise(pixels)
    assert images.shape == (1, 3, 4, 2)
    assert images.dtype == np.float32
    assert images[0, :, 1, 0].tolist() == pytest.approx([1.0, 3.0, 0.2])
    assert images[0, :, 0, 0].tolist() == pytest.approx([-1.0, -1.0, 0.0])


def test_survives_json() -> None:
    assert Preprocessing.from_dict(json.loads(json.dumps(RULE.to_dict()))) == RULE


@pytest.mark.parametrize(
    "change",
    [
        {"height": 0},
        {"height": "4"},
        {"width": 2.5},
        {"width": True},
        {"height": None},
        {"std": (1.0, 0.0, 1.0)},
        {"std": [1.0, 1.0]},
        {"mean": 0.5},
        {"mean": None},
        {"mean": ["a", "b", "c"]},
        {"mean": (float("nan"), 0.0, 0.0)},
        {"resize": "x"},
        {"resize": []},
        {"channel_order": "rbg"},
        {"extra": 1},
    ],
)
def test_refuses_what_cannot_be(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Preprocessing.from_dict({**RULE.to_dict(), **change})


@pytest.mark.parametrize("missing", ["height", "std", "resize", "channel_order"])
def test_refuses_what_is_missing(missing: str) -> None:
    values = RULE.to_dict()
    del values[missing]
    with pytest.raises(ConfigError, match=missing):
        Preprocessing.from_dict(values)
