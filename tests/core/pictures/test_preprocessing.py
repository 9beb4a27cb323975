from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from resight.core.errors import ConfigError
from resight.core.pictures.preprocessing import LEVEL, Preprocessing, check_scale

RULE = Preprocessing(4, 2, (0.5, 0.25, 0.0), (0.5, 0.25, 1.0))


def test_normalises_by_hand() -> None:
    pixels = np.zeros((1, 4, 2, 3), np.uint8)
    pixels[0, 1, 0] = (255, 255, 51)
    images = RULE.normalise(pixels)
    assert images.shape == (1, 3, 4, 2)
    assert images.dtype == np.float32
    assert images[0, :, 1, 0].tolist() == pytest.approx([1.0, 3.0, 0.2])
    assert images[0, :, 0, 0].tolist() == pytest.approx([-1.0, -1.0, 0.0])


def test_centres_each_channel_of_each_picture_by_hand() -> None:
    pixels = np.zeros((2, 4, 2, 3), np.uint8)
    pixels[0, :2, :, 0] = 255  # of half the picture: a mean of 0.5 in [0, 1]
    images = replace(RULE, image_centring=0.5).normalise(pixels)
    shifted = 0.5 * (LEVEL - 0.5)
    assert images[0, 0, 0].tolist() == pytest.approx([(1 + shifted - 0.5) / 0.5] * 2)
    assert images[0, 0, 3].tolist() == pytest.approx([(shifted - 0.5) / 0.5] * 2)
    assert images[1, 1].ravel().tolist() == pytest.approx([(0.5 * LEVEL - 0.25) / 0.25] * 8)
    for order in ("rgb", "bgr"):
        whole = replace(RULE, image_centring=1.0, channel_order=order).normalise(pixels)
        assert whole.mean(axis=(0, 2, 3)) == pytest.approx((LEVEL - np.array(RULE.mean)) / np.array(RULE.std), abs=1e-6)


def test_survives_json() -> None:
    for rule in (RULE, replace(RULE, image_centring=0.5)):
        assert Preprocessing.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule
    assert "image_centring" not in RULE.to_dict()  # as versions read it that do not know it


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
        {"image_centring": 1.5},
        {"image_centring": "half"},
        {"image_centring": float("nan")},
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


@pytest.mark.parametrize(
    ("mean", "std", "offered"),
    [
        ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), "--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225"),
        ((102.0, 51.0, 0.0), (1.0, 1.0, 1.0), "--mean 0.4,0.2,0 --std 0.003922,0.003922,0.003922"),
        ((127.5,) * 3, (0.5,) * 3, "--mean 0.5,0.5,0.5 --std 0.5,0.5,0.5"),
        ((0.0,) * 3, (255.0,) * 3, "--mean 0,0,0 --std 1,1,1"),
        ((0.0,) * 3, (1 / 255,) * 3, None),
        ((0.5,) * 3, (1.0,) * 3, None),
    ],
)
def test_numbers_of_pictures_from_0_to_255_are_refused(
    mean: tuple[float, float, float], std: tuple[float, float, float], offered: str | None
) -> None:
    declared = Preprocessing(4, 2, mean, std)  # an old bundle that says so can be opened
    if offered is None:
        check_scale(declared)
    else:
        with pytest.raises(ConfigError, match=f"are of pictures from 0 to 255.*: {offered}$"):
            check_scale(declared)
