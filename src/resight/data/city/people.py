"""Who lives in the synthetic city: looks drawn from a seed, and look-alikes who differ in one region."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

Colour = tuple[int, int, int]

# What people wear: many dark and grey things, few bright ones, so that colour alone does not tell them apart.
CLOTHES: tuple[Colour, ...] = (
    (28, 28, 32), (44, 48, 60), (30, 40, 78), (52, 72, 112), (88, 90, 96), (128, 130, 134), (186, 186, 182),
    (228, 226, 220), (196, 176, 140), (112, 84, 58), (70, 54, 44), (150, 36, 40), (196, 64, 56), (46, 92, 66),
    (104, 118, 70), (60, 120, 160), (120, 164, 200), (214, 172, 60), (206, 120, 60), (124, 74, 126), (210, 140, 160),
)  # fmt: skip
LOWERS: tuple[Colour, ...] = (
    (26, 27, 32), (38, 42, 54), (40, 56, 92), (72, 92, 128), (84, 84, 88), (126, 122, 116), (176, 158, 128),
    (88, 74, 60), (200, 196, 188), (70, 78, 62), (110, 44, 52),
)  # fmt: skip
SHOES: tuple[Colour, ...] = (
    (24, 24, 26), (60, 44, 36), (222, 220, 216), (118, 118, 120), (168, 48, 44), (52, 78, 128), (196, 168, 96),
)  # fmt: skip
SKINS: tuple[Colour, ...] = (
    (246, 214, 190), (232, 192, 160), (214, 168, 134), (180, 132, 98), (140, 98, 70), (98, 66, 48),
)  # fmt: skip
HAIRS: tuple[Colour, ...] = (
    (24, 20, 20), (52, 36, 28), (94, 62, 38), (150, 108, 62), (206, 172, 112), (150, 148, 146), (140, 62, 36),
)  # fmt: skip
PATTERNS = ("plain", "plain", "plain", "stripes", "bands", "checks", "dots", "block", "logo")
LOWER_KINDS = ("trousers", "trousers", "trousers", "shorts", "skirt")
HAIR_STYLES = ("short", "short", "long", "bun", "bald", "cap")
BAGS = ("none", "none", "backpack", "handbag", "satchel")
# A look-alike differs from its double in one of these regions only.
REGIONS = ("head", "upper", "lower", "shoes", "bag")


@dataclass(frozen=True)
class Looks:
    """Everything by which a person is known. height and build are relative to the mean. cloth: seed of the texture of
    the clothes; 0: they are flat."""

    height: float
    build: float
    skin: Colour
    hair: Colour
    hair_style: str
    upper: Colour
    upper_second: Colour
    upper_pattern: str
    long_sleeves: bool
    lower: Colour
    lower_kind: str
    shoes: Colour
    bag: str
    bag_colour: Colour
    cloth: int = 0


def draw_looks(rng: np.random.Generator) -> Looks:
    """A person at random."""
    return Looks(
        height=float(np.clip(rng.normal(1.0, 0.045), 0.88, 1.1)),
        build=float(np.clip(rng.normal(1.0, 0.13), 0.75, 1.4)),
        skin=_pick(rng, SKINS),
        hair=_pick(rng, HAIRS),
        hair_style=str(rng.choice(HAIR_STYLES)),
        upper=_pick(rng, CLOTHES),
        upper_second=_pick(rng, CLOTHES),
        upper_pattern=str(rng.choice(PATTERNS)),
        long_sleeves=bool(rng.random() < 0.6),
        lower=_pick(rng, LOWERS),
        lower_kind=str(rng.choice(LOWER_KINDS)),
        shoes=_pick(rng, SHOES),
        bag=str(rng.choice(BAGS)),
        bag_colour=_pick(rng, CLOTHES),
    )


def draw_lookalike(
    double: Looks, rng: np.random.Generator, draw: Callable[[np.random.Generator], Looks] = draw_looks
) -> Looks:
    """The same looks but for one region, which is drawn until a person would see the difference."""
    region = str(rng.choice(REGIONS))
    while True:
        other = draw(rng)
        if region == "head" and _apart(other.hair, double.hair) and other.hair_style != double.hair_style:
            return replace(double, hair=other.hair, hair_style=other.hair_style)
        if region == "upper" and _apart(other.upper, double.upper):
            return replace(
                double, upper=other.upper, upper_second=other.upper_second, upper_pattern=other.upper_pattern
            )
        if region == "lower" and _apart(other.lower, double.lower):
            return replace(double, lower=other.lower, lower_kind=other.lower_kind)
        if region == "shoes" and _apart(other.shoes, double.shoes):
            return replace(double, shoes=other.shoes)
        if region == "bag" and other.bag != double.bag:
            return replace(double, bag=other.bag, bag_colour=other.bag_colour)


def _pick(rng: np.random.Generator, colours: Sequence[Colour]) -> Colour:
    """One of the colours, a little off."""
    chosen = np.array(colours[int(rng.integers(len(colours)))]) + rng.normal(0, 7, 3)
    r, g, b = (int(value) for value in chosen.clip(0, 255))
    return r, g, b


def _apart(a: Colour, b: Colour) -> bool:
    return math.dist(a, b) > 80
