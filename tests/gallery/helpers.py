"""A model of eight values, whose pictures are their own embeddings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from resight.core.calibration import Calibration, Rate, RateCurve
from resight.core.records import FloatArray
from resight.embedding.bundle import Part

DIM = 8


def calibration() -> Calibration:
    """Known from 0.9 on among 100 people, nobody below 0.5."""
    falls, rises = (0.5, 0.1, 0.001), (0.0, 0.02, 0.3)
    return Calibration(
        method="logistic",
        similarity=(0.0, 1.0),
        log_odds=(-5.0, 5.0),
        thresholds=(0.2, 0.5, 0.9),
        false_accept=RateCurve(falls, falls, falls),
        false_reject=RateCurve(rises, rises, rises),
        false_positive=RateCurve(falls, falls, falls),
        false_negative=RateCurve(rises, rises, rises),
        num_people=100,
        num_genuine=1000,
        num_impostor=1000,
        brier={"logistic": 0.1, "isotonic": 0.1},
        ece=Rate(0.01, 0.0, 0.02),
        data="made up",
        data_digest="0",
        rights="anyone",
        date="2026-01-01",
    )


@dataclass(frozen=True)
class TestCard:
    """What the model says of itself."""

    __test__ = False
    name: str = "eight"
    rights: str = "anyone"
    parts: tuple[Part, ...] = (Part("whole", 0, 4), Part("strip 1 of 2", 4, 6), Part("strip 2 of 2", 6, 8))
    calibration: Calibration | None = None


@dataclass(frozen=True)
class EightValues:
    """The bytes of a picture are its embedding."""

    identity: str = "eight-values"
    dim: int = DIM
    manifest: TestCard = field(default_factory=TestCard)

    def embed(self, pictures: Sequence[bytes], *, channel_order: str = "rgb") -> FloatArray:
        return np.stack([np.frombuffer(picture, np.float32)[:DIM] for picture in pictures])


MODEL = EightValues()
CALIBRATED = dataclasses.replace(MODEL, manifest=TestCard(calibration=calibration()))


def unit(num: int, seed: int = 0, dim: int = DIM) -> FloatArray:
    """(num, dim) float32 of unit length."""
    rows = np.random.default_rng(seed).standard_normal((num, dim))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def pictures(rows: FloatArray) -> list[bytes]:
    """As the model takes them."""
    return [row.tobytes() for row in rows]
