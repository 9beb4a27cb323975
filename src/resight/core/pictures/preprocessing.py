"""What a model does to a picture before its network sees it. The model carries it; nobody sets it by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Any

import numpy as np

from resight.core.errors import ConfigError, unknown_name
from resight.core.pictures.images import RESIZE_RULES, Pixels
from resight.core.records import FloatArray

CHANNEL_ORDERS = ("rgb", "bgr")
MAX_SIDE_PX = 4096  # of a network's input, in training and in a bundle
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and std, of values in [0, 1]
LEVEL = 0.42  # in [0, 1]: how bright crops of people are on the mean


@dataclass(frozen=True)
class Preprocessing:
    """Sizes in pixels; mean and std per channel, in units of [0, 1] and in the order of the network's channels.

    resize: the rule, one of RESIZE_RULES; all of them stretch to the size, whatever the picture's aspect.
    image_centring: how far each channel of each picture is shifted towards a mean of LEVEL, 0 (not) to 1 (all the way),
    which takes a part of the camera's exposure and white balance out (docs/decisions/0024-colours-at-the-input.md).
    """

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: str = "bilinear-antialias"
    channel_order: str = "rgb"
    image_centring: float = 0.0

    def __post_init__(self) -> None:
        if not all(type(side) is int and side >= 1 for side in (self.height, self.width)):
            raise ConfigError(
                f"height and width must be whole numbers of at least 1, not {self.height!r} and {self.width!r}"
            )
        if not (_three_numbers(self.mean) and _three_numbers(self.std)):
            raise ConfigError(f"mean and std are three finite numbers each, not {self.mean} and {self.std}")
        if min(self.std) <= 0:
            raise ConfigError(f"each std must be above 0, not {self.std}")
        if not (isinstance(self.image_centring, Real) and 0 <= self.image_centring <= 1):
            raise ConfigError(f"image_centring must be between 0 and 1, not {self.image_centring!r}")
        if self.resize not in RESIZE_RULES:
            raise unknown_name("resize rule", self.resize, RESIZE_RULES)
        if self.channel_order not in CHANNEL_ORDERS:
            raise unknown_name("channel order", self.channel_order, CHANNEL_ORDERS)

    def to_dict(self) -> dict[str, Any]:
        """Without image_centring where there is none, so that versions from before it read it too."""
        return {k: v for k, v in asdict(self).items() if k != "image_centring" or v}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Raises ConfigError for a foreign or missing field, or a value that cannot be."""
        known = {field.name for field in fields(cls)}
        differ = (set(values) ^ known) - ({"image_centring"} - set(values))
        if differ:
            raise ConfigError(f"preprocessing of another version: {sorted(differ)} differ")
        # JSON knows lists only; whatever else stands there is left for the check of the fields to name.
        tuples: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**tuples)

    def normalise(self, pixels: Pixels) -> FloatArray:
        """(n, height, width, 3) uint8 RGB to (n, 3, height, width) float32: (x - mean) / std, x in [0, 1].

        Under image_centring c, x is first x + c (LEVEL - its mean over that channel of that picture).
        """
        channels = range(3) if self.channel_order == "rgb" else (2, 1, 0)
        out = np.empty((len(pixels), 3, *pixels.shape[1:3]), np.float32)
        for place, channel in enumerate(channels):
            scale = np.float32(1 / (255 * self.std[place]))
            np.multiply(pixels[..., channel], scale, out=out[:, place], casting="unsafe")
            out[:, place] -= np.float32(self.mean[place] / self.std[place])
        if self.image_centring:
            level = (LEVEL - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
            out += np.float32(self.image_centring) * (level[:, None, None] - out.mean(axis=(2, 3), keepdims=True))
        return out


def check_scale(preprocessing: Preprocessing) -> None:
    """Raises ConfigError where mean and std are of pictures from 0 to 255, and offers them for pictures from 0 to 1.

    For what a user declares: a bundle of an earlier version is read as it is.
    """
    mean, std = preprocessing.mean, preprocessing.std
    if max(*mean, *std) <= 1:
        return
    # A std of 1 beside such a mean means that only the mean is taken off pictures from 0 to 255.
    below = tuple(value / 255 for value in std) if min(std) >= 1 else std
    raise ConfigError(
        f"a mean of {_listed(mean)} and a std of {_listed(std)} are of pictures from 0 to 255; here they are from 0 to "
        f"1: --mean {_listed(tuple(v / 255 for v in mean) if max(mean) > 1 else mean)} --std {_listed(below)}"
    )


def _listed(values: Sequence[float]) -> str:
    return ",".join(f"{value:.4g}" if value < 1 else f"{value:g}" for value in values)


def _three_numbers(values: object) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) == 3
        and all(isinstance(value, Real) and np.isfinite(float(value)) for value in values)
    )
