"""The cameras of the synthetic city: what stands behind the people, what hides them, and what the lens does."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from resight.data.city.figure import VIEWS, Image8
from resight.data.city.variety import vary_scene

FloatImage = npt.NDArray[np.float32]
SCENES = ("street", "brick", "park", "station", "shop")
SCENE_WIDTHS = 5  # a scene is this many crops wide, and every crop shows a window of it


@dataclass(frozen=True)
class Camera:
    """gains: of the channels (colour cast). gamma, exposure, contrast: of the tones. detail: native resolution
    relative to the crop. blur, noise: in pixels and grey levels. view: the angle that most people are seen
    from. light: where it comes from, -1 left to 1 right."""

    scene: str
    gains: tuple[float, float, float]
    gamma: float
    exposure: float
    contrast: float
    detail: float
    blur: float
    noise: float
    view: str
    light: float
    quality: int


def draw_camera(rng: np.random.Generator, index: int) -> Camera:
    """Each camera has one weakness of its own besides what is random: dark, coarse, blurred, or noisy."""
    weakness = ("none", "dark", "coarse", "blurred", "noisy")[index % 5]
    gains = np.exp(rng.normal(0, 0.13, 3)).clip(0.76, 1.28)
    return Camera(
        scene=SCENES[index % len(SCENES)],
        gains=(float(gains[0]), float(gains[1]), float(gains[2])),
        gamma=float(rng.uniform(0.85, 1.2)) + (0.25 if weakness == "dark" else 0.0),
        exposure=0.78 if weakness == "dark" else float(rng.uniform(0.92, 1.15)),
        contrast=float(rng.uniform(0.78, 1.12)),
        detail=0.42 if weakness == "coarse" else float(rng.uniform(0.7, 1.0)),
        blur=1.1 if weakness == "blurred" else float(rng.uniform(0.0, 0.4)),
        noise=9.0 if weakness == "noisy" else float(rng.uniform(1.5, 4.0)),
        view=VIEWS[index % len(VIEWS)],
        light=float(rng.uniform(-1, 1)),
        quality=int(rng.integers(78, 92)),
    )


def draw_scene(scene: str, height: int, width: int, rng: np.random.Generator, varied: bool = False) -> Image8:
    """A wide picture of the place without people: (height, width, 3) uint8. varied: with colours and things of any kind
    before it."""
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    horizon = int(height * rng.uniform(0.5, 0.62))
    wall, floor = {
        "street": ((150, 156, 160), (104, 104, 106)),
        "brick": ((142, 92, 74), (128, 122, 116)),
        "park": ((96, 124, 82), (136, 140, 96)),
        "station": ((172, 172, 164), (148, 150, 152)),
        "shop": ((116, 110, 126), (168, 160, 150)),
    }[scene]
    draw.rectangle((0, 0, width, horizon), fill=wall)
    draw.rectangle((0, horizon, width, height), fill=floor)
    {
        "street": _windows,
        "brick": _bricks,
        "park": _bushes,
        "station": _tiles,
        "shop": _shelves,
    }[scene](draw, width, horizon, wall, rng)
    _floor_lines(draw, width, height, horizon, floor)
    pixels = np.asarray(image, np.float32) + rng.normal(0, 5, (height, width, 1)).astype(np.float32)
    if varied:
        vary_scene(pixels, rng)
    fade = np.linspace(1.06, 0.94, height, dtype=np.float32)[:, None, None]
    return (pixels * fade).clip(0, 255).astype(np.uint8)


def shade_ground(scene: FloatImage, x: float, y: float, radius: float) -> None:
    """A soft shadow on the ground below a figure, in place."""
    h, w = scene.shape[:2]
    top, bottom = max(0, int(y - radius * 0.4)), min(h, int(y + radius * 0.4) + 1)
    if bottom <= top:
        return
    ys, xs = np.mgrid[top:bottom, :w]
    away = ((xs - x) / radius) ** 2 + ((ys - y) / (radius * 0.3)) ** 2
    scene[top:bottom] *= (1 - 0.45 * np.exp(-away)).astype(np.float32)[:, :, None]


def draw_occluder(size: tuple[int, int], rng: np.random.Generator) -> tuple[FloatImage, npt.NDArray[np.bool_]]:
    """Something that stands before the person: a post, a bin, a railing or a bench; its colours and its mask."""
    height, width = size
    image, mask = Image.new("RGB", (width, height)), Image.new("L", (width, height), 0)
    draw, covered = ImageDraw.Draw(image), ImageDraw.Draw(mask)
    grey = int(rng.integers(50, 150))
    colour = (grey, grey + int(rng.integers(-15, 15)), grey + int(rng.integers(-20, 20)))

    def box(left: float, top: float, right: float, bottom: float) -> None:
        area = (int(left * width), int(top * height), int(right * width), int(bottom * height))
        covered.rectangle(area, fill=255)
        draw.rectangle(area, fill=colour)

    kind = str(rng.choice(("post", "bin", "railing", "bench")))
    x = float(rng.uniform(0.05, 0.8))
    if kind == "post":
        box(x, 0, x + 0.13, 1)
    elif kind == "bin":
        box(x, rng.uniform(0.6, 0.75), x + 0.38, 1)
    elif kind == "railing":
        top = float(rng.uniform(0.58, 0.75))
        box(0, top, 1, top + 0.035)
        for i in range(6):
            box(i / 6 + 0.03, top, i / 6 + 0.075, 1)
    else:
        top = float(rng.uniform(0.72, 0.82))
        for i in range(3):
            box(0, top + i * 0.055, 1, top + i * 0.055 + 0.035)
    return np.asarray(image, np.float32), np.asarray(mask) > 0


def photograph(scene: FloatImage, camera: Camera, size: tuple[int, int], rng: np.random.Generator) -> bytes:
    """What the camera makes of (h, w, 3) float32 in 0 to 255: a JPEG of `size` (height, width)."""
    height, width = size
    image = Image.fromarray(scene.clip(0, 255).astype(np.uint8))
    coarse = (max(8, round(width * camera.detail)), max(8, round(height * camera.detail)))
    image = image.resize(coarse, Image.Resampling.BOX).resize((width, height), Image.Resampling.BILINEAR)
    if camera.blur > 0.2:
        image = image.filter(ImageFilter.GaussianBlur(camera.blur * height / 128))
    x = (np.asarray(image, np.float32) / 255) ** np.float32(camera.gamma)
    exposure = camera.exposure * float(rng.uniform(0.9, 1.1))
    x = ((x - 0.45) * camera.contrast + 0.45) * exposure * np.asarray(camera.gains, np.float32)
    x = x * 255 + rng.normal(0, camera.noise, x.shape).astype(np.float32)
    out = io.BytesIO()
    Image.fromarray(x.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=camera.quality)
    return out.getvalue()


def _tone(colour: tuple[int, int, int], factor: float) -> tuple[int, int, int]:
    r, g, b = (min(255, int(value * factor)) for value in colour)
    return r, g, b


def _windows(
    draw: ImageDraw.ImageDraw, width: int, horizon: int, wall: tuple[int, int, int], rng: np.random.Generator
) -> None:
    step = horizon * 0.55
    for i in range(int(width / step) + 1):
        left = i * step + float(rng.uniform(0, step * 0.2))
        draw.rectangle(
            (left, horizon * 0.12, left + step * 0.5, horizon * 0.6), fill=_tone(wall, rng.uniform(0.4, 0.6))
        )
        draw.line(
            (left + step * 0.25, horizon * 0.12, left + step * 0.25, horizon * 0.6),
            fill=_tone(wall, 1.2),
            width=2,
        )
    draw.rectangle((0, horizon * 0.92, width, horizon), fill=_tone(wall, 0.75))


def _bricks(
    draw: ImageDraw.ImageDraw, width: int, horizon: int, wall: tuple[int, int, int], rng: np.random.Generator
) -> None:
    rows = 16
    h = horizon / rows
    for row in range(rows):
        for column in range(int(width / (h * 2.4)) + 2):
            left = (column - 0.5 * (row % 2)) * h * 2.4
            draw.rectangle(
                (left, row * h, left + h * 2.25, row * h + h * 0.86),
                fill=_tone(wall, rng.uniform(0.85, 1.15)),
            )


def _bushes(
    draw: ImageDraw.ImageDraw, width: int, horizon: int, wall: tuple[int, int, int], rng: np.random.Generator
) -> None:
    draw.rectangle((0, 0, width, horizon * 0.35), fill=(186, 202, 212))
    for _ in range(width // 6):
        x, r = float(rng.uniform(0, width)), float(rng.uniform(0.08, 0.26)) * horizon
        y = float(rng.uniform(0.3, 1.0)) * horizon
        draw.ellipse((x - r, y - r, x + r, min(horizon, y + r)), fill=_tone(wall, rng.uniform(0.55, 1.2)))


def _tiles(
    draw: ImageDraw.ImageDraw, width: int, horizon: int, wall: tuple[int, int, int], rng: np.random.Generator
) -> None:
    step = horizon / 5
    for i in range(int(width / step) + 1):
        draw.line((i * step, 0, i * step, horizon), fill=_tone(wall, 0.85))
    for i in range(6):
        draw.line((0, i * step, width, i * step), fill=_tone(wall, 0.85))
    for _ in range(3):
        x = float(rng.uniform(0, width))
        draw.rectangle(
            (x, horizon * 0.1, x + horizon * 0.5, horizon * 0.7),
            fill=_tone((110, 130, 160), rng.uniform(0.7, 1.2)),
        )


def _shelves(
    draw: ImageDraw.ImageDraw, width: int, horizon: int, wall: tuple[int, int, int], rng: np.random.Generator
) -> None:
    for row in range(4):
        top = horizon * row / 4
        x = 0.0
        while x < width:
            w = float(rng.uniform(0.05, 0.14)) * horizon
            shade = tuple(int(v) for v in rng.integers(60, 200, 3))
            draw.rectangle(
                (x, top + horizon * 0.05, x + w * 0.9, top + horizon * 0.22),
                fill=(shade[0], shade[1], shade[2]),
            )
            x += w
        draw.rectangle((0, top + horizon * 0.22, width, top + horizon * 0.25), fill=_tone(wall, 0.6))


def _floor_lines(draw: ImageDraw.ImageDraw, width: int, height: int, horizon: int, floor: tuple[int, int, int]) -> None:
    for i in range(1, 5):  # rows of paving, closer together with distance
        y = horizon + (height - horizon) * (i / 5) ** 1.7
        draw.line((0, y, width, y), fill=_tone(floor, 0.86))
    step = (height - horizon) * 0.8
    for i in range(-2, int(width / step) + 3):
        draw.line((i * step, horizon, i * step + (i * step - width / 2) * 0.35, height), fill=_tone(floor, 0.88))
