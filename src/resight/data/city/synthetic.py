"""`synthetic`: our own small city, drawn by code and the same for the same seed. No real person is in it.

People are seen by cameras that differ in colour, exposure, background, resolution, angle, blur and noise;
they are partly hidden and imperfectly cropped; and some have a look-alike who differs in one region only,
since telling those apart is what slicing is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from resight.core.errors import ConfigError
from resight.data.city.figure import VIEWS, FigurePainter, Image8, Pose, colour_figure
from resight.data.city.people import Looks, draw_lookalike, draw_looks
from resight.data.city.scenery import (
    SCENE_WIDTHS,
    Camera,
    FloatImage,
    draw_camera,
    draw_occluder,
    draw_scene,
    photograph,
    shade_ground,
)
from resight.data.city.variety import draw_varied_looks
from resight.data.crops import Crop, Dataset

RIGHTS = "drawn by code, shows no real person; Apache-2.0, as resight itself"
TRAIN, TEST, DISTRACTORS, CAMERAS = 1, 2, 3, 4  # streams of randomness
FIRST_TEST_PID = 10_001
SUPERSAMPLING = 2
OCCLUDED, NEIGHBOURED = 0.22, 0.12  # shares of crops with something, or somebody, before the person


@dataclass(frozen=True)
class CityConfig:
    """What city to draw. crops_per_camera: of each person. height, width: of the crops, in pixels. lookalike_fraction:
    the share of people who have a look-alike. varied: 1: clothes have cloths, and clothes and scenes any colour, which
    is more to learn from. Raises ConfigError for a value out of its bounds."""

    seed: int = 0
    train_people: int = 64
    test_people: int = 32
    cameras: int = 4
    crops_per_camera: int = 4
    height: int = 128
    width: int = 64
    lookalike_fraction: float = 0.4
    varied: int = 0

    def __post_init__(self) -> None:
        bounds = {
            "seed": (0, 2**32),
            "train_people": (0, 9_999),
            "test_people": (0, 100_000),
            "cameras": (2, 64),
            "crops_per_camera": (2, 1_000),
            "height": (16, 1_024),
            "width": (8, 1_024),
            "lookalike_fraction": (0.0, 1.0),
            "varied": (0, 1),
        }
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"synthetic: {name} must be between {low} and {high}, not {getattr(self, name)}")


def parse_city(spec: str) -> CityConfig:
    """`synthetic`, or `synthetic:seed=3,test_people=50`. Raises ConfigError for what is not a field or a value."""
    known = {field.name: (float if field.type == "float" else int) for field in fields(CityConfig)}
    values: dict[str, float] = {}
    kind, _, settings = spec.partition(":")
    if kind != "synthetic":
        raise ConfigError(f"{spec!r} is no synthetic city. Write synthetic, or synthetic:seed=3,test_people=50.")
    for setting in filter(None, settings.split(",")):
        name, _, value = setting.partition("=")
        if name not in known:
            raise ConfigError(f"synthetic has no setting {name!r}. Known: {', '.join(known)}.")
        try:
            values[name] = known[name](value)
        except ValueError:
            raise ConfigError(f"synthetic: {name} takes a number, not {value!r}") from None
    return CityConfig(**values)  # type: ignore[arg-type]


def draw_city(config: CityConfig = CityConfig()) -> Dataset:
    """The whole data set, its pictures as JPEG bytes. One query a test person and camera; the rest, and a few
    distractors (pid 0), are the gallery. The crops of a person by a camera are one walk: one track, 0.4 s apart."""
    city = _City(config)
    train = [crop for i in range(config.train_people) for crop in city.crops_of(TRAIN, i, pid=i + 1, folder="train")]
    query: list[Crop] = []
    gallery: list[Crop] = []
    for i in range(config.test_people):
        seen: set[int] = set()
        for crop in city.crops_of(TEST, i, pid=FIRST_TEST_PID + i, folder="test"):
            (gallery if crop.camid in seen else query).append(crop)
            seen.add(crop.camid)
    for i in range(config.test_people // 10):
        gallery += city.crops_of(DISTRACTORS, i, pid=0, folder=f"distractors/{i}")
    name = f"synthetic:seed={config.seed}"
    return Dataset(name, "synthetic", tuple(train), tuple(query), tuple(gallery), RIGHTS)


def lookalikes(config: CityConfig) -> frozenset[int]:
    """The test pids that have a look-alike among the test people."""
    pairs = (i for i in range(0, config.test_people - 1, 2) if _has_lookalike(config, TEST, i))
    return frozenset(pid for i in pairs for pid in (FIRST_TEST_PID + i, FIRST_TEST_PID + i + 1))


def save_city(dataset: Dataset, root: Path) -> None:
    """Writes the crops in the `folder` layout: <split>/<pid>/<camera>_<number>.jpg."""
    for split, crops in (("train", dataset.train), ("query", dataset.query), ("gallery", dataset.gallery)):
        for number, crop in enumerate(crops):
            path = root / split / f"{crop.pid:05d}" / f"{crop.camid:02d}_{number:05d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(crop.read())


class _City:
    """The cameras and their scenes, drawn once."""

    def __init__(self, config: CityConfig) -> None:
        self.config = config
        self.size = (config.height * SUPERSAMPLING, config.width * SUPERSAMPLING)
        self.cameras: list[Camera] = []
        self.scenes: list[Image8] = []
        for index in range(config.cameras):
            rng = np.random.default_rng([config.seed, CAMERAS, index])
            self.cameras.append(draw_camera(rng, index))
            width = self.size[1] * SCENE_WIDTHS
            self.scenes.append(draw_scene(self.cameras[index].scene, self.size[0], width, rng, bool(config.varied)))

    def crops_of(self, stream: int, person: int, *, pid: int, folder: str) -> Iterable[Crop]:
        """All crops of one person: seen by most cameras, by two at the least."""
        config = self.config
        looks = _looks(config, stream, person)
        rng = np.random.default_rng([config.seed, stream, person, 1])
        least = min(config.cameras, max(2, config.cameras - 1))
        seen_by = rng.permutation(config.cameras)[: int(rng.integers(least, config.cameras + 1))]
        start = float(rng.uniform(0, 3600))
        for camid in sorted(seen_by.tolist()):
            track = f"{np.random.default_rng([config.seed, stream, person, 4, camid]).integers(2**48):012x}"
            for index in range(config.crops_per_camera):
                crop_rng = np.random.default_rng([config.seed, stream, person, 2, camid, index])
                time = round(start + camid * 60 + index * 0.4, 2)
                yield Crop(
                    f"{folder}/{pid:05d}/c{camid}_{index:02d}.jpg",
                    pid,
                    camid,
                    data=self._crop(looks, camid, crop_rng),
                    frame=int(time * 25),
                    time=time,
                    track=track,  # says nothing of whose it is
                )

    def _crop(self, looks: Looks, camid: int, rng: np.random.Generator) -> bytes:
        camera, scene = self.cameras[camid], self.scenes[camid]
        width = self.size[1]
        left = int(rng.integers(0, scene.shape[1] - width + 1))
        canvas = scene[:, left : left + width].astype(np.float32)
        self._person(canvas, looks, camera, rng, shift=0.0)
        if rng.random() < OCCLUDED:
            colours, mask = draw_occluder(self.size, rng)
            canvas[mask] = colours[mask]
        if rng.random() < NEIGHBOURED:
            side = float(rng.choice((-1.0, 1.0)))
            self._person(canvas, _draw(self.config)(rng), camera, rng, shift=side * float(rng.uniform(0.42, 0.55)))
        return photograph(canvas, camera, (self.config.height, self.config.width), rng)

    def _person(self, canvas: FloatImage, looks: Looks, camera: Camera, rng: np.random.Generator, shift: float) -> None:
        """Paints a person into the canvas. shift: of the middle, in widths."""
        height, width = self.size
        view = camera.view if rng.random() < 0.55 else str(rng.choice(VIEWS))
        pose = Pose(view, float(rng.uniform(0, 2 * np.pi)), float(rng.normal(0, 0.012)))
        scale = height * float(rng.normal(0.88, 0.045)) * looks.height
        middle = width * (0.5 + shift + float(rng.normal(0, 0.045)))
        top = height * float(rng.normal(0.51, 0.022)) - scale * 0.5
        shade_ground(canvas, middle, top + scale * 0.975, scale * 0.16)
        parts = FigurePainter(self.size, looks, pose, (middle, top), scale).paint()
        columns = np.flatnonzero(parts.any(axis=0))
        if not columns.size:
            return
        margin = height // 12  # as far as the shading's blur reaches
        left, right = max(0, int(columns[0]) - margin), int(columns[-1]) + 1 + margin
        window = parts[:, left:right]
        colours = colour_figure(window, looks, (middle - left, top), scale, camera.light)
        np.copyto(canvas[:, left:right], colours, where=(window > 0)[:, :, None])


def _looks(config: CityConfig, stream: int, person: int) -> Looks:
    """Of a person: their own, or those of the one before but for one region."""
    rng = np.random.default_rng([config.seed, stream, person, 0])
    if person % 2 and _has_lookalike(config, stream, person - 1):
        return draw_lookalike(_looks(config, stream, person - 1), rng, _draw(config))
    return _draw(config)(rng)


def _draw(config: CityConfig) -> Callable[[np.random.Generator], Looks]:
    return draw_varied_looks if config.varied else draw_looks


def _has_lookalike(config: CityConfig, stream: int, person: int) -> bool:
    """Whether this person (of an even number) and the next look alike."""
    rng = np.random.default_rng([config.seed, stream, person, 3])
    return bool(rng.random() < config.lookalike_fraction)
