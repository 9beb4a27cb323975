"""Who walks through the town, when, and past which camera: everything but the pixels, from one seed.

Cameras stand around a ring of streets. People come, walk past a camera, are unseen while they walk on, and turn up at a
neighbouring one or come back; some walk in groups, some stop, some come towards the camera or go away from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from resight.core.errors import ConfigError
from resight.data.city.figure import Pose
from resight.data.city.people import Looks, draw_lookalike, draw_looks

PEOPLE, PLANS, VIEWS, DROPS = 11, 12, 13, 14  # streams of randomness
HEIGHTS_PER_S = 0.78  # how fast people walk: 1.35 m/s, of people of 1.72 m
START = 1_772_352_000.0  # 2026-03-01T08:00:00Z: when the films begin


@dataclass(frozen=True)
class TownConfig:
    """seconds: of film of each camera. rate: frames a second. height, width: of frames, in pixels. lookalike_fraction:
    the share of people who look like the one before but for one region. group_fraction: of visits in company.
    dropped: the share of frames that are missing. wrong_clock_s: by how much the last camera's clock is ahead.
    occluders: posts and benches before the people, a camera. Raises ConfigError for a value out of its bounds."""

    seed: int = 0
    people: int = 12
    cameras: int = 3
    seconds: float = 60.0
    rate: float = 10.0
    height: int = 360
    width: int = 640
    lookalike_fraction: float = 0.25
    group_fraction: float = 0.2
    dropped: float = 0.0
    wrong_clock_s: float = 0.0
    occluders: int = 2

    def __post_init__(self) -> None:
        bounds = {
            "seed": (0, 2**32),
            "people": (1, 100_000),
            "cameras": (1, 64),
            "seconds": (1, 1e6),
            "rate": (0.5, 120),
            "height": (90, 4_320),
            "width": (120, 7_680),
            "lookalike_fraction": (0, 1),
            "group_fraction": (0, 1),
            "dropped": (0, 0.95),
            "wrong_clock_s": (-3600, 3600),
            "occluders": (0, 20),
        }
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"town: {name} must be between {low} and {high}, not {getattr(self, name)}")


def parse_town(spec: str) -> TownConfig:
    """`town`, or `town:seed=3,people=60`. Raises ConfigError for what is not a field or a value."""
    known = {field.name: (float if field.type == "float" else int) for field in fields(TownConfig)}
    kind, _, settings = spec.partition(":")
    if kind != "town":
        raise ConfigError(f"{spec!r} is no drawn town. Write town, or town:seed=3,people=60.")
    values: dict[str, float] = {}
    for setting in filter(None, settings.split(",")):
        name, _, value = setting.partition("=")
        if name not in known:
            raise ConfigError(f"town has no setting {name!r}. Known: {', '.join(known)}.")
        try:
            values[name] = known[name](value)
        except ValueError:
            raise ConfigError(f"town: {name} takes a number, not {value!r}") from None
    return TownConfig(**values)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Visit:
    """One walk past one camera. begin: seconds from the start of the films. kind: `right`, `left`, `toward`, `away`.
    lane: 0 far to 1 near (of `toward` and `away`: from left to right). pause_at, pause_s: where along the way, in
    [0, 1], and for how long the person stands. lasting_s: from the first step to the last."""

    person: int
    camera: int
    begin: float
    kind: str
    lane: float
    pause_at: float
    pause_s: float
    lasting_s: float
    phase: float

    def progress(self, second: float) -> float | None:
        """How far along the way, in [0, 1]; None before and after."""
        passed = second - self.begin
        if not 0 <= passed <= self.lasting_s:
            return None
        moving = self.lasting_s - self.pause_s
        until = self.pause_at * moving
        if passed > until:
            passed = max(until, passed - self.pause_s)
        return passed / moving


@dataclass(frozen=True)
class Placed:
    """Where a person is in a frame. scale: the body's height in pixels. x: its middle; top: the crown; foot: the
    ground, by which people are in front of each other. box: left, top, right, bottom, not cut at the frame."""

    person: int
    x: float
    top: float
    scale: float
    pose: Pose
    box: tuple[float, float, float, float]

    @property
    def foot(self) -> float:
        """Where it touches the ground, in pixels from the top."""
        return self.top + self.scale


class Town:
    """The town of a config. people are numbered from 1 in the truth."""

    def __init__(self, config: TownConfig = TownConfig()) -> None:
        self.config = config
        self.names = tuple(f"camera{number + 1}" for number in range(config.cameras))
        self.looks = tuple(_looks(config, person) for person in range(config.people))
        self.visits = tuple(sorted(self._visits(), key=lambda visit: (visit.begin, visit.person)))
        self._of_camera = [[visit for visit in self.visits if visit.camera == c] for c in range(config.cameras)]

    def travel_s(self, camera: int, other: int) -> float:
        """The usual time on the way between two cameras: by the ring."""
        steps = abs(camera - other) % self.config.cameras
        steps = min(steps, self.config.cameras - steps)
        return 9.0 * steps if steps else 12.0

    def times(self, camera: int) -> list[float]:
        """Of the frames of a camera, seconds from the start; without those that are dropped."""
        config = self.config
        all_times = [number / config.rate for number in range(int(config.seconds * config.rate))]
        rng = np.random.default_rng([config.seed, DROPS, camera])
        kept = rng.random(len(all_times)) >= config.dropped
        return [time for time, keep in zip(all_times, kept.tolist(), strict=True) if keep]

    def clock(self, camera: int) -> float:
        """What the camera's clock says when the films begin, seconds since 1970."""
        wrong = self.config.wrong_clock_s if camera == self.config.cameras - 1 else 0.0
        return START + wrong

    def placed(self, camera: int, second: float) -> list[Placed]:
        """Who is in a camera's view, the farthest first."""
        found = []
        for visit in self._of_camera[camera]:
            if visit.begin > second:
                break
            progress = visit.progress(second)
            if progress is not None:
                found.append(self._place(visit, progress, second))
        return sorted(found, key=lambda each: (each.foot, each.person))

    def _place(self, visit: Visit, progress: float, second: float) -> Placed:
        height, width = self.config.height, self.config.width
        looks = self.looks[visit.person]
        if visit.kind in ("right", "left"):
            near = visit.lane
            share = progress if visit.kind == "right" else 1 - progress
            scale = height * (0.33 + 0.2 * near)
            x = -0.2 * scale + share * (width + 0.4 * scale)
            half = 0.185
        else:
            near = progress if visit.kind == "toward" else 1 - progress
            near = near**1.5  # what comes nearer grows faster and faster
            scale = height * (0.28 + 0.34 * near)
            x = width * (0.5 + (visit.lane - 0.5) * (0.35 + 0.5 * near))
            half = 0.17 * looks.build
        scale *= looks.height
        foot = height * (0.62 + 0.33 * near)
        pausing = visit.progress(second + 1e-3) == progress
        stride = visit.phase + (0.0 if pausing else 2 * math.pi * 1.0 * (second - visit.begin))
        view = {"right": "right", "left": "left", "toward": "front", "away": "back"}[visit.kind]
        top = foot - scale
        box = (x - half * scale, top, x + half * scale, foot)
        return Placed(visit.person, x, top, scale, Pose(view, stride, 0.0), box)

    def _visits(self) -> Iterator[Visit]:
        config = self.config
        company: dict[int, list[Visit]] = {}
        for person in range(config.people):
            rng = np.random.default_rng([config.seed, PLANS, person])
            leader = person - 1
            if leader in company and rng.random() < config.group_fraction:
                own = [self._beside(visit, person, rng) for visit in company[leader]]
            else:
                own = self._walk(person, rng)
            company[person] = own
            yield from own

    def _walk(self, person: int, rng: np.random.Generator) -> list[Visit]:
        config = self.config
        camera = int(rng.integers(config.cameras))
        second = float(rng.uniform(-4, max(1.0, config.seconds * 0.75)))
        visits = []
        for _ in range(int(rng.integers(2, 6))):
            visit = self._visit(person, camera, second, rng)
            visits.append(visit)
            back = config.cameras == 1 or rng.random() < 0.15
            step = 0 if back else int(rng.choice((-1, 1)))
            following = (camera + step) % config.cameras
            way = self.travel_s(camera, following) * float(np.exp(rng.normal(0, 0.25)))
            second, camera = visit.begin + visit.lasting_s + way, following
            if second > config.seconds:
                break
        return visits

    def _visit(self, person: int, camera: int, second: float, rng: np.random.Generator) -> Visit:
        config = self.config
        kind = str(rng.choice(("right", "left", "toward", "away"), p=(0.34, 0.34, 0.2, 0.12)))
        lane = float(rng.uniform(0, 1))
        if kind in ("right", "left"):
            scale = config.height * (0.33 + 0.2 * lane)
            moving = (config.width + 0.4 * scale) / (HEIGHTS_PER_S * scale) * float(rng.uniform(0.85, 1.2))
        else:
            moving = float(rng.uniform(5.0, 8.0))
        pause = float(rng.uniform(1, 4)) if rng.random() < 0.15 else 0.0
        place = float(rng.uniform(0.3, 0.7))
        return Visit(person, camera, second, kind, lane, place, pause, moving + pause, float(rng.uniform(0, 6.28)))

    def _beside(self, visit: Visit, person: int, rng: np.random.Generator) -> Visit:
        """The walk of somebody in company: the same way, a step to the side."""
        shift = float(rng.choice((-1, 1))) * float(rng.uniform(0.12, 0.3))
        lane = visit.lane + shift if 0 <= visit.lane + shift <= 1 else visit.lane - shift
        later = visit.begin + float(rng.uniform(0.1, 0.9))
        return Visit(
            person,
            visit.camera,
            later,
            visit.kind,
            lane,
            visit.pause_at,
            visit.pause_s,
            visit.lasting_s,
            float(rng.uniform(0, 6.28)),
        )


def _looks(config: TownConfig, person: int) -> Looks:
    """Of a person: their own, or those of the one before but for one region."""
    rng = np.random.default_rng([config.seed, PEOPLE, person, 0])
    paired = np.random.default_rng([config.seed, PEOPLE, person - person % 2, 1]).random()
    if person % 2 and paired < config.lookalike_fraction:
        return draw_lookalike(_looks(config, person - 1), rng)
    return draw_looks(rng)
