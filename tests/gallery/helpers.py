"""A model of eight values, whose pictures are their own embeddings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from resight.core.calibration import Calibration, Rate, RateCurve, SearchOdds
from resight.core.pictures.images import Pixels
from resight.core.pictures.preprocessing import Preprocessing
from resight.core.records import FloatArray
from resight.embedding.card import Card, Part
from resight.embedding.model import Model

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
        search=SearchOdds(-5.0, 10.0, 0.01, 0.0, 0.0),
    )


CARD = Card(
    "eight",
    "none",
    DIM,
    Preprocessing(8, 8, (0.5,) * 3, (0.25,) * 3),
    (Part("whole", 0, 4), Part("strip 1 of 2", 4, 6), Part("strip 2 of 2", 6, 8)),
    "nothing",
    "anyone",
)


class NoNetwork:
    """Nothing is looked at."""

    name = "nothing"

    def __call__(self, pixels: Pixels, preprocessing: Preprocessing) -> FloatArray:
        return np.ones((len(pixels), DIM), np.float32)


class EightValues(Model):
    """The bytes of a picture are its embedding."""

    def __init__(self, card: Card = CARD, identity: str = "eight-values") -> None:
        super().__init__(card, identity, NoNetwork(), card.name)

    def embed(self, pictures: Any, **options: Any) -> FloatArray:
        return np.stack([np.frombuffer(picture, np.float32)[: self.dim] for picture in pictures])


MODEL = EightValues()
CALIBRATED = EightValues(replace(CARD, calibration=calibration()))


def unit(num: int, seed: int = 0, dim: int = DIM) -> FloatArray:
    """(num, dim) float32 of unit length."""
    rows = np.random.default_rng(seed).standard_normal((num, dim))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def pictures(rows: FloatArray) -> list[bytes]:
    """As the model takes them."""
    return [row.tobytes() for row in rows]
