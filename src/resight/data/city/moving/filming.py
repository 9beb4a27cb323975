"""The frames of the town, and the truth about each box in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resight.data.city.figure import FigurePainter, Image8, colour_figure
from resight.data.city.moving.town import VIEWS, Placed, Town
from resight.data.city.scenery import Camera, FloatImage, draw_camera, draw_occluder, draw_scene, shade_ground

LEAST_SEEN = 0.1  # of whom less is within the frame and not hidden has no box


@dataclass(frozen=True)
class TrueBox:
    """A person in a frame. pid: from 1. box: left, top, right, bottom in pixels, cut at the frame. visibility: the
    share of the person that is within the frame and that nothing hides."""

    pid: int
    box: tuple[float, float, float, float]
    visibility: float


@dataclass(frozen=True, eq=False)
class TownFrame:
    """One frame. number: from 1, dropped ones not counted. time: as the camera's clock has it, seconds since 1970.
    pixels: (height, width, 3) uint8 RGB; None of a film without pixels."""

    camera: str
    number: int
    time: float
    pixels: Image8 | None
    truth: tuple[TrueBox, ...]


def film(town: Town, camera: int, *, pixels: bool = True) -> Iterator[TownFrame]:
    """The frames of one camera. pixels: without them boxes are those of the figures' measures, and visibility is of
    boxes; with them both are counted pixel by pixel."""
    filming = _Filming(town, camera) if pixels else None
    clock = town.clock(camera)
    for number, second in enumerate(town.times(camera), 1):
        placed = town.placed(camera, second)
        if filming is None:
            yield TownFrame(town.names[camera], number, clock + second, None, _measured(town, placed))
        else:
            picture, truth = filming.shoot(placed, round(second * 1000))
            yield TownFrame(town.names[camera], number, clock + second, picture, truth)


class _Filming:
    """One camera with its scene and what stands in it, drawn once."""

    def __init__(self, town: Town, camera: int) -> None:
        config = town.config
        self.town, self.size, self.seed = town, (config.height, config.width), [config.seed, VIEWS, camera]
        rng = np.random.default_rng(self.seed)
        self.camera: Camera = draw_camera(rng, camera)
        self.scene = draw_scene(self.camera.scene, *self.size, rng).astype(np.float32)
        self.objects: list[tuple[float, int, FloatImage, npt.NDArray[np.bool_]]] = []
        for _ in range(config.occluders):
            foot = config.height * float(rng.uniform(0.72, 0.98))
            high = round(0.45 * config.height)
            colours, mask = draw_occluder((high, round(high * 0.6)), rng)
            self.objects.append((foot, int(rng.integers(0, config.width - mask.shape[1])), colours, mask))
        self.tones = _tones(self.camera)
        self.noise = rng.normal(0, self.camera.noise, (self.size[0] * 2, self.size[1], 1)).astype(np.int16)

    def shoot(self, placed: list[Placed], moment: int) -> tuple[Image8, tuple[TrueBox, ...]]:
        """The picture and its truth. moment: milliseconds, from which the noise follows."""
        canvas = self.scene.copy()
        owner = np.full(self.size, -1, np.int32)
        whole = [0] * len(placed)
        boxes: list[tuple[float, float, float, float] | None] = [None] * len(placed)
        things = [(each.foot, 0, number) for number, each in enumerate(placed)]
        things += [(foot, 1, number) for number, (foot, *_) in enumerate(self.objects)]
        for _, kind, number in sorted(things):
            if kind == 1:
                self._object(canvas, owner, number)
            else:
                whole[number], boxes[number] = self._person(canvas, owner, placed[number], number)
        seen = np.bincount(owner[owner >= 0].ravel(), minlength=len(placed))
        truth = []
        for number, each in enumerate(placed):
            box = boxes[number]
            visibility = float(seen[number] / max(1, whole[number]))
            if box is not None and visibility >= LEAST_SEEN:
                truth.append(TrueBox(each.person + 1, box, round(visibility, 4)))
        return self._developed(canvas, moment), tuple(truth)

    def _person(
        self, canvas: FloatImage, owner: npt.NDArray[np.int32], placed: Placed, number: int
    ) -> tuple[int, tuple[float, float, float, float] | None]:
        """Paints somebody, in place; how many pixels the whole figure has, and the box of those within the frame."""
        height, width = self.size
        margin = max(4, round(placed.scale * 0.08))
        left, top = int(placed.x - 0.36 * placed.scale), int(placed.top) - margin
        size = (int(placed.scale * 1.02) + 2 * margin, int(0.72 * placed.scale) + 1)
        place = (placed.x - left, placed.top - top)
        looks = self.town.looks[placed.person]
        parts = FigurePainter(size, looks, placed.pose, place, placed.scale).paint()
        x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + size[1]), min(height, top + size[0])
        total = int((parts > 0).sum())
        if x1 <= x0 or y1 <= y0:
            return total, None
        shade_ground(canvas, placed.x, placed.foot, placed.scale * 0.16)
        window = parts[y0 - top : y1 - top, x0 - left : x1 - left]
        colours = colour_figure(parts, looks, place, placed.scale, self.camera.light)
        colours = colours[y0 - top : y1 - top, x0 - left : x1 - left]
        mask = window > 0
        if not mask.any():
            return total, None
        np.copyto(canvas[y0:y1, x0:x1], colours, where=mask[:, :, None])
        owner[y0:y1, x0:x1][mask] = number
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = (x0 + columns[0], y0 + rows[0], x0 + columns[-1] + 1, y0 + rows[-1] + 1)
        return total, tuple(float(side) for side in box)  # type: ignore[return-value]

    def _object(self, canvas: FloatImage, owner: npt.NDArray[np.int32], number: int) -> None:
        foot, left, colours, mask = self.objects[number]
        top = max(0, int(foot) - mask.shape[0])
        high = min(mask.shape[0], self.size[0] - top)
        area = (slice(top, top + high), slice(left, left + mask.shape[1]))
        canvas[area][mask[:high]] = colours[:high][mask[:high]]
        owner[area][mask[:high]] = -1

    def _developed(self, canvas: FloatImage, moment: int) -> Image8:
        """What the camera makes of it: tones by channel, and noise."""
        levels = canvas.clip(0, 255).astype(np.uint8)
        toned = np.stack([self.tones[channel][levels[:, :, channel]] for channel in range(3)], axis=2)
        shift = int(np.random.default_rng([*self.seed, moment]).integers(0, self.size[0]))
        noisy: Image8 = (toned + self.noise[shift : shift + self.size[0]]).clip(0, 255).astype(np.uint8)
        return noisy


def _tones(camera: Camera) -> npt.NDArray[np.int16]:
    """(3, 256): what each level becomes in each channel."""
    levels = (np.arange(256, dtype=np.float32) / 255) ** np.float32(camera.gamma)
    toned = ((levels - 0.45) * camera.contrast + 0.45) * camera.exposure
    return np.round(np.outer(np.array(camera.gains, np.float32), toned) * 255).astype(np.int16)


def _measured(town: Town, placed: list[Placed]) -> tuple[TrueBox, ...]:
    """Without pixels: boxes by the figures' measures, hidden by the boxes of who stands nearer."""
    height, width = town.config.height, town.config.width
    truth = []
    for number, each in enumerate(placed):
        left, top, right, bottom = each.box
        box = (max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom))
        if box[2] - box[0] < 2 or box[3] - box[1] < 2:
            continue
        share = (box[2] - box[0]) * (box[3] - box[1]) / ((right - left) * (bottom - top))
        for nearer in placed[number + 1 :]:
            wide = min(right, nearer.box[2]) - max(left, nearer.box[0])
            high = min(bottom, nearer.box[3]) - max(top, nearer.box[1])
            if wide > 0 and high > 0:
                share *= 1 - 0.8 * wide * high / ((right - left) * (bottom - top))
        if share >= LEAST_SEEN:
            truth.append(TrueBox(each.person + 1, box, round(share, 4)))
    return tuple(truth)
