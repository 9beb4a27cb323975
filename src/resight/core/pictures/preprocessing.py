"""What a model does to a picture before its network sees it. The model carries it; nobody sets it by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Any

import numpy as np

from resight.core.errors import ConfigError
from resight.core.pictures.images import RESIZE_RULES, Pixels
from resight.core.records import FloatArray

CHANNEL_ORDERS = ("rgb", "bgr")
MAX_SIDE_PX = 4096  # of a network's input, in training and in a bundle


@dataclass(frozen=True)
class Preprocessing:
    """Sizes in pixels; mean and std per channel, in units of [0, 1] and in the order of the network's channels.

    resize: the rule, one of RESIZE_RULES; all of them stretch to the size, whatever the picture's aspect.
    """

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: str = "bilinear-antialias"
    channel_order: str = "rgb"

    def __post_init__(self) -> None:
        if not all(type(side) is int and side >= 1 for side in (self.height, self.width)):
            raise ConfigError(
                f"height and width must be whole numbers of at least 1, not {self.height!r} and {self.width!r}"
            )
        if not (_three_numbers(self.mean) and _three_numbers(self.std)):
            raise ConfigError(f"mean and std are three finite numbers each, not {self.mean} and {self.std}")
        if min(self.std) <= 0:
            raise ConfigError(f"each std must be above 0, not {self.std}")
        if self.resize not in RESIZE_RULES or self.channel_order not in CHANNEL_ORDERS:
            raise ConfigError(f"resize {self.resize!r} with channel order {self.channel_order!r} is not known")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Raises ConfigError for a foreign or missing field, or a value that cannot be."""
        known = {field.name for field in fields(cls)}
        if set(values) != known:
            raise ConfigError(f"preprocessing of another version: {sorted(set(values) ^ known)} differ")
        # JSON knows lists only; whatever else stands there is left for the check of the fields to name.
        tuples: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**tuples)

    def normalise(self, pixels: Pixels) -> FloatArray:
        """(n, height, width, 3) uint8 RGB to (n, 3, height, width) float32: (x / 255 - mean) / std."""
        channels = range(3) if self.channel_order == "rgb" else (2, 1, 0)
        out = np.empty((len(pixels), 3, *pixels.shape[1:3]), np.float32)
        for place, channel in enumerate(channels):
            scale = np.float32(1 / (255 * self.std[place]))
            np.multiply(pixels[..., channel], scale, out=out[:, place], casting="unsafe")
            out[:, place] -= np.float32(self.mean[place] / self.std[place])
        return out


def _three_numbers(values: object) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) == 3
        and all(isinstance(value, Real) and np.isfinite(float(value)) for value in values)
    )
