"""Draws one person of the synthetic city: a figure from looks and a pose.

A figure is painted as a map of body parts (one small number a pixel), which is then coloured, patterned and
shaded in one pass of numpy. Body coordinates: x right of the middle, y down from the crown; 1 is the height.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from resight.data.city.people import PATTERNS, Colour, Looks
from resight.data.city.variety import varied_pattern, weave

Point = tuple[float, float]
Image8 = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
VIEWS = ("front", "back", "left", "right")


class Part(NamedTuple):
    """The numbers of the part map."""

    ground: int = 0
    far_leg: int = 1
    near_leg: int = 2
    bare_far_leg: int = 3
    bare_near_leg: int = 4
    far_shoe: int = 5
    near_shoe: int = 6
    far_arm: int = 7
    near_arm: int = 8
    torso: int = 9
    skin: int = 10
    hand: int = 11
    hair: int = 12
    face: int = 13
    bag: int = 14
    strap: int = 15
    skirt: int = 16


PART = Part()
# Tables by part number.
GARMENT = np.isin(np.arange(len(PART)), (PART.torso, PART.near_arm, PART.far_arm))
CLOTHS = (
    GARMENT,
    np.isin(np.arange(len(PART)), (PART.far_leg, PART.near_leg, PART.skirt)),
    np.isin(np.arange(len(PART)), PART.hair),
    np.isin(np.arange(len(PART)), (PART.bag, PART.far_shoe, PART.near_shoe)),
)
FAR = np.isin(np.arange(len(PART)), (PART.far_leg, PART.far_arm, PART.bare_far_leg, PART.far_shoe))


@dataclass(frozen=True)
class Pose:
    """view: one of VIEWS. stride: phase of the step in radians. lean: of the body, in heights."""

    view: str
    stride: float
    lean: float


class FigurePainter:
    """Paints one figure's parts. place: the crown's middle in pixels; scale: the body's height in pixels."""

    def __init__(self, size: tuple[int, int], looks: Looks, pose: Pose, place: Point, scale: float) -> None:
        height, width = size
        self.map = Image.new("L", (width, height), PART.ground)
        self.draw = ImageDraw.Draw(self.map)
        self.looks, self.pose, self.place, self.scale = looks, pose, place, scale
        self.side = pose.view in ("left", "right")
        self.facing = -1 if pose.view == "left" else 1
        self.girth = looks.build * (0.72 if self.side else 1.0)

    def paint(self) -> Image8:
        """(height, width) uint8 of part numbers."""
        swing = math.sin(self.pose.stride) * (0.13 if self.side else 0.03)
        if self.looks.bag == "backpack" and self.pose.view == "front":
            self._backpack_straps_behind()
        self._arm(far=True, swing=-swing)
        self._leg(far=True, swing=-swing)
        self._leg(far=False, swing=swing)
        self._torso()
        self._head()
        self._bag()
        self._arm(far=False, swing=swing * 0.9)
        return np.asarray(self.map)

    def _at(self, x: float, y: float) -> Point:
        lean = self.pose.lean * (1 - y)
        return self.place[0] + (x + lean) * self.scale, self.place[1] + y * self.scale

    def _polygon(self, points: Sequence[Point], part: int) -> None:
        self.draw.polygon([self._at(x, y) for x, y in points], fill=part)

    def _oval(self, x: float, y: float, rx: float, ry: float, part: int) -> None:
        (left, top), (right, bottom) = self._at(x - rx, y - ry), self._at(x + rx, y + ry)
        self.draw.ellipse((left, top, right, bottom), fill=part)

    def _limb(self, points: Sequence[Point], radii: Sequence[float], part: int) -> None:
        """A tapering tube through the points."""
        for (x0, y0), (x1, y1), r0, r1 in zip(points, points[1:], radii, radii[1:], strict=False):
            length = math.hypot(x1 - x0, y1 - y0) or 1.0
            nx, ny = -(y1 - y0) / length, (x1 - x0) / length
            self._polygon(
                [
                    (x0 + nx * r0, y0 + ny * r0),
                    (x1 + nx * r1, y1 + ny * r1),
                    (x1 - nx * r1, y1 - ny * r1),
                    (x0 - nx * r0, y0 - ny * r0),
                ],
                part,
            )
        for (x, y), r in zip(points, radii, strict=True):
            self._oval(x, y, r, r, part)

    def _leg(self, *, far: bool, swing: float) -> None:
        cloth, bare, shoe = (
            (PART.far_leg, PART.bare_far_leg, PART.far_shoe)
            if far
            else (PART.near_leg, PART.bare_near_leg, PART.near_shoe)
        )
        thick = 0.048 * self.looks.build
        hip = 0.0 if self.side else (-0.045 if far else 0.045) * self.girth
        lift = max(0.0, -swing) * 0.25
        foot = hip * 1.15 + swing * (1 if self.side else 0.25)
        knee = (hip + foot) / 2 + (self.facing * 0.02 if self.side else 0.0)
        joints = [(hip, 0.50), (knee, 0.73 - lift * 0.3), (foot, 0.945 - lift)]
        radii = [thick * 1.25, thick * 0.9, thick * 0.62]
        covered = self.looks.lower_kind == "trousers"
        self._limb(joints, radii, cloth if covered else bare)
        if self.looks.lower_kind == "shorts":
            self._limb([joints[0], (knee, 0.70)], [thick * 1.35, thick * 1.2], cloth)
        toe = self.facing * 0.035 if self.side else 0.0
        self._oval(foot + toe, 0.965 - lift, 0.058 if self.side else 0.036, 0.026, shoe)

    def _torso(self) -> None:
        shoulder, waist, hip = 0.118 * self.girth, 0.088 * self.girth, 0.098 * self.girth
        self._polygon(
            [
                (-0.035, 0.145), (0.035, 0.145), (shoulder * 0.9, 0.175), (shoulder, 0.21), (waist, 0.40),
                (hip, 0.53), (-hip, 0.53), (-waist, 0.40), (-shoulder, 0.21), (-shoulder * 0.9, 0.175),
            ],
            PART.torso,
        )  # fmt: skip
        if self.looks.lower_kind == "skirt":
            flare = hip * 1.35
            self._polygon([(-hip, 0.49), (hip, 0.49), (flare, 0.70), (-flare, 0.70)], PART.skirt)

    def _arm(self, *, far: bool, swing: float) -> None:
        part = PART.far_arm if far else PART.near_arm
        thick = 0.030 * self.looks.build
        if self.side:
            shoulder = (0.0, 0.205)
            elbow, hand = (swing * 0.5, 0.35), (swing * 1.1 + self.facing * 0.03, 0.475)
        else:
            sign = -1 if far else 1
            shoulder = (sign * 0.112 * self.girth, 0.205)
            elbow = (sign * (0.142 * self.girth + 0.01), 0.35)
            hand = (sign * (0.148 * self.girth + abs(swing) * 0.4), 0.48)
        self._limb([elbow, hand], [thick * 0.8, thick * 0.62], PART.hand)
        self._oval(hand[0], hand[1] + 0.012, 0.02, 0.024, PART.hand)
        sleeve = [shoulder, elbow, hand] if self.looks.long_sleeves else [shoulder, elbow]
        radii = [thick * 1.15, thick, thick * 0.8][: len(sleeve)]
        if not self.looks.long_sleeves:
            short = ((shoulder[0] + elbow[0]) / 2, (shoulder[1] + elbow[1]) / 2 + 0.02)
            self._limb([short, elbow], [thick * 0.9, thick * 0.8], PART.hand)
            sleeve, radii = [shoulder, short], [thick * 1.2, thick * 1.15]
        self._limb(sleeve, radii, part)

    def _head(self) -> None:
        looks, view = self.looks, self.pose.view
        self._polygon([(-0.03, 0.11), (0.03, 0.11), (0.036, 0.165), (-0.036, 0.165)], PART.skin)
        wide = 0.052 if not self.side else 0.056
        x = self.facing * 0.008 if self.side else 0.0
        if looks.hair_style == "long" and view != "back":
            self._long_hair()
        self._oval(x, 0.072, wide, 0.068, PART.skin)
        if looks.hair_style != "bald":
            self._hair(x, wide)
        if looks.hair_style == "long" and view == "back":
            self._long_hair()
        if view == "front":
            self._oval(-0.019, 0.072, 0.008, 0.006, PART.face)
            self._oval(0.019, 0.072, 0.008, 0.006, PART.face)
            self._oval(0.0, 0.112, 0.015, 0.004, PART.face)
        elif self.side:
            self._oval(x + self.facing * 0.036, 0.07, 0.007, 0.006, PART.face)
            self._oval(x + self.facing * 0.054, 0.085, 0.012, 0.010, PART.skin)

    def _long_hair(self) -> None:
        """What hangs down: beside the face, never before it; from behind it covers the neck."""
        if self.pose.view == "back":
            self._oval(0.0, 0.11, 0.066, 0.108, PART.hair)
        elif self.side:
            self._limb([(-self.facing * 0.03, 0.06), (-self.facing * 0.046, 0.18)], [0.044, 0.03], PART.hair)
        else:
            for sign in (-1, 1):
                self._limb([(sign * 0.04, 0.06), (sign * 0.056, 0.19)], [0.026, 0.018], PART.hair)

    def _hair(self, x: float, wide: float) -> None:
        style, view = self.looks.hair_style, self.pose.view
        if view == "back":
            self._oval(x, 0.062, wide * 1.06, 0.064, PART.hair)
        else:
            back = -self.facing * 0.018 if self.side else 0.0
            box = (*self._at(x + back - wide * 1.1, -0.004), *self._at(x + back + wide * 1.1, 0.115))
            self.draw.chord(box, 180, 360, fill=PART.hair)
            if self.side:
                self._oval(x - self.facing * 0.032, 0.065, 0.026, 0.05, PART.hair)
        if style == "bun":
            self._oval(
                x - (self.facing * 0.055 if self.side else 0),
                0.01 if not self.side else 0.05,
                0.026,
                0.026,
                PART.hair,
            )
        if style == "cap" and view != "back":
            reach = self.facing * 0.045 if self.side else 0.0
            self._oval(x + reach, 0.05, wide * (1.0 if not self.side else 0.7), 0.012, PART.hair)

    def _bag(self) -> None:
        bag, view = self.looks.bag, self.pose.view
        if bag == "backpack":
            if view == "back":
                self._oval(0, 0.21, 0.085, 0.035, PART.bag)
                self._polygon([(-0.085, 0.21), (0.085, 0.21), (0.09, 0.41), (-0.09, 0.41)], PART.bag)
            elif self.side:
                x = -self.facing * 0.105 * self.girth
                self._oval(x, 0.30, 0.055, 0.11, PART.bag)
            else:
                for sign in (-1, 1):
                    self._limb([(sign * 0.062, 0.165), (sign * 0.07, 0.36)], [0.012, 0.012], PART.bag)
        elif bag == "satchel":
            sign = self.facing if self.side else (-1 if view == "back" else 1)
            self._limb([(-sign * 0.08, 0.17), (sign * 0.1, 0.46)], [0.009, 0.009], PART.strap)
            x = sign * (0.115 if not self.side else 0.02)
            self._polygon([(x - 0.055, 0.43), (x + 0.055, 0.43), (x + 0.06, 0.55), (x - 0.06, 0.55)], PART.bag)
        elif bag == "handbag":
            x = (0.165 * self.girth) if not self.side else self.facing * 0.06
            x = -x if view == "back" else x
            self._limb([(x - 0.03, 0.58), (x, 0.5), (x + 0.03, 0.58)], [0.006] * 3, PART.strap)
            self._polygon([(x - 0.055, 0.57), (x + 0.055, 0.57), (x + 0.065, 0.67), (x - 0.065, 0.67)], PART.bag)

    def _backpack_straps_behind(self) -> None:
        self._oval(0, 0.24, 0.13 * self.girth, 0.06, PART.bag)


def colour_figure(parts: Image8, looks: Looks, place: Point, scale: float, light: float) -> npt.NDArray[np.float32]:
    """The coloured and shaded figure: (h, w, 3) float32 in 0 to 255; meaningless where no part is.

    light: where it comes from, -1 left to 1 right.
    """
    table = np.zeros((len(PART), 3), np.float32)
    for number, colour in _part_colours(looks).items():
        table[number] = colour
    rgb = table[parts]
    ys, xs = np.ogrid[: parts.shape[0], : parts.shape[1]]
    across, down = (xs - place[0]) / scale, (ys - place[1]) / scale
    if looks.upper_pattern != "plain":
        second = _pattern(looks.upper_pattern, across, down, looks.cloth)
        rgb[GARMENT[parts] & second] = looks.upper_second
    if looks.cloth:
        weave(rgb, [group[parts] for group in CLOTHS], looks.cloth, across, down)
    return rgb * _shade(parts, light)[:, :, None]


def _part_colours(looks: Looks) -> dict[int, Colour]:
    dark = tuple(int(value * 0.45) for value in looks.skin)
    strap = tuple(int(value * 0.6) for value in looks.bag_colour)
    return {
        **dict.fromkeys((PART.far_leg, PART.near_leg, PART.skirt), looks.lower),
        **dict.fromkeys((PART.bare_far_leg, PART.bare_near_leg, PART.skin, PART.hand), looks.skin),
        **dict.fromkeys((PART.far_shoe, PART.near_shoe), looks.shoes),
        **dict.fromkeys((PART.far_arm, PART.near_arm, PART.torso), looks.upper),
        PART.hair: looks.hair,
        PART.face: (dark[0], dark[1], dark[2]),
        PART.bag: looks.bag_colour,
        PART.strap: (strap[0], strap[1], strap[2]),
    }


def _pattern(name: str, across: Floats, down: Floats, cloth: int) -> npt.NDArray[np.bool_]:
    """Where the garment's second colour shows, in body coordinates."""
    if name not in PATTERNS:
        return varied_pattern(name, across, down, cloth)
    if cloth and name not in ("block", "logo"):  # coarser or finer
        size = float(np.random.default_rng([cloth, 1]).uniform(0.5, 1.6))
        across, down = across * size, down * size
    if name == "stripes":
        return (across * 22 % 1) < 0.4
    if name == "bands":
        return (down * 20 % 1) < 0.45
    if name == "checks":
        return ((across * 16 % 1) < 0.5) ^ ((down * 16 % 1) < 0.5)
    if name == "dots":
        return ((across * 18 % 1) - 0.5) ** 2 + ((down * 18 % 1) - 0.5) ** 2 < 0.09
    if name == "block":
        return down > 0.34
    if name == "logo":
        return (np.abs(across) < 0.05) & (np.abs(down - 0.27) < 0.035)
    return np.zeros(across.shape, dtype=np.bool_)


def _shade(parts: Image8, light: float) -> npt.NDArray[np.float32]:
    """Round bodies: darker towards the outline and away from the light, a thin seam where parts meet."""
    body = Image.fromarray(((parts > 0) * 255).astype(np.uint8))
    inside = np.asarray(body.filter(ImageFilter.GaussianBlur(parts.shape[0] / 50)), np.float32) / 255
    slope = np.zeros_like(inside)
    slope[:, 1:-1] = inside[:, 2:] - inside[:, :-2]
    shade = 0.62 + 0.42 * inside - 2.2 * light * slope
    shade[FAR[parts]] *= 0.86
    seam = np.zeros(parts.shape, dtype=np.bool_)
    seam[:, 1:] |= parts[:, 1:] != parts[:, :-1]
    seam[1:] |= parts[1:] != parts[:-1]
    shade[seam] *= 0.8
    return shade.clip(0.35, 1.2)
