"""What a model says of itself, whatever it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from resight.core.calibration import Calibration
from resight.core.pictures.preprocessing import Preprocessing


@dataclass(frozen=True)
class Part:
    """One part of the embedding: the values from `start` to `stop` - 1. name: `whole`, or `strip 1 of 4` from the
    top."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class Measurement:
    """Rank-1 and mAP of this very model on one data set; the intervals are of 95%."""

    data: str
    protocol: str
    rank1: float
    rank1_interval: tuple[float, float] | None
    mean_ap: float
    mean_ap_interval: tuple[float, float] | None
    num_query: int
    num_gallery: int


SHORT = 12  # digits of an identity in messages: of 48 bits, so that no two models share them


def short_of(identity: str) -> str:
    """Enough of an identity to tell models apart in a message."""
    return identity.removeprefix("sha256:")[:SHORT]


def is_model(told: str, identity: str) -> bool:
    """Whether this identity, whole or as messages shorten it, is that of the model.

    Example:
        >>> is_model("e87c492d98bc", "sha256:e87c492d98bc0123"), is_model("e87c", "sha256:e87c492d98bc0123")
        (True, False)
    """
    short = told.removeprefix("sha256:")
    return told == identity or (len(short) >= SHORT and identity.removeprefix("sha256:").startswith(short))


@dataclass(frozen=True)
class Card:
    """The card of a model.

    network: precision and size, in words. dim: of the embedding. trained_on: the data, in words. rights: who may do
    what with the weights. weaknesses: what it is bad at. calibration: what its similarities mean, where that was
    fitted. provenance: how it came about, by name.
    """

    name: str
    network: str
    dim: int
    preprocessing: Preprocessing
    parts: tuple[Part, ...]
    trained_on: str
    rights: str
    weaknesses: str = "not stated"
    data_digest: str | None = None
    figures: tuple[Measurement, ...] = ()
    calibration: Calibration | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
