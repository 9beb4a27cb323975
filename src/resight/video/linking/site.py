"""What a place knows of itself: which views overlap, how far cameras lie apart, how many people there are. A TOML file.

people = 60                              # who are about in one window of linking; estimated unless given
fastest_m_s = 3.0                        # nobody walks faster
overlaps = [["north", "hall"]]           # cameras that may see one person at one time
apart = [[12, 31]]                       # entries that a user knows to be two people

[clock_s]                                # what to add to a camera's times
door = -2.5

[[travel]]                               # all but `between` may be left out
between = ["north", "door"]
metres = 40
least_s = 8
typical_s = 35
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resight.core.errors import ConfigError, unknown_name

Pair = frozenset[str]


@dataclass(frozen=True)
class Travel:
    """Between two cameras. least_s: nobody is faster. typical_s: the median time from leaving one to appearing on the
    other, if it is known; spread: by which factor two thirds of all times lie around it."""

    least_s: float = 0.0
    typical_s: float | None = None
    spread: float = 2.0


@dataclass(frozen=True)
class Site:
    """See the head of this module. overlaps, travel: by pair of cameras. people: None if not known."""

    people: float | None = None
    overlaps: frozenset[Pair] = frozenset()
    travel: Mapping[Pair, Travel] = field(default_factory=dict)
    apart: tuple[tuple[int, int], ...] = ()
    clock_s: Mapping[str, float] = field(default_factory=dict)

    def cameras(self) -> set[str]:
        """All that it names."""
        return {name for pair in (*self.overlaps, *self.travel) for name in pair} | set(self.clock_s)


UNKNOWN_PLACE = Site()


def read_site(path: str | Path | None) -> Site:
    """Of a file; of None, what is known of no place. Raises ConfigError where it is none."""
    if path is None:
        return UNKNOWN_PLACE
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--site: {path} cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--site: {path} is no TOML ({error}). It takes what is known of the place (docs/video.md); a site "
            "transform is the gallery's own: `resight site use`"
        ) from None
    try:
        return _site_of(values)
    except ConfigError as error:
        raise ConfigError(f"--site: {path}: {error}") from None
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ConfigError(f"--site: {path} is not as docs/video.md has it ({type(error).__name__}: {error})") from None


def _site_of(values: Mapping[str, Any]) -> Site:
    known = ("people", "fastest_m_s", "overlaps", "apart", "clock_s", "travel")
    for name in values:
        if name not in known:
            raise unknown_name("setting of a site", name, known)
    people = values.get("people")
    if people is not None and not float(people) >= 1:
        raise ConfigError(f"people is a number from 1 on, not {people!r}")
    fastest = float(values.get("fastest_m_s", 3.0))
    if not fastest > 0:
        raise ConfigError("fastest_m_s is above 0")
    return Site(
        None if people is None else float(people),
        frozenset(_pair(pair) for pair in values.get("overlaps", ())),
        {_pair(each["between"]): _travel(each, fastest) for each in values.get("travel", ())},
        tuple((int(first), int(second)) for first, second in values.get("apart", ())),
        {str(camera): float(seconds) for camera, seconds in values.get("clock_s", {}).items()},
    )


def _pair(cameras: Any) -> Pair:
    names = frozenset(map(str, cameras))
    if isinstance(cameras, str) or len(names) != 2:
        raise ConfigError(f"two cameras make a pair, not {cameras!r}")
    return names


def _travel(values: Mapping[str, Any], fastest_m_s: float) -> Travel:
    known = ("between", "metres", "least_s", "typical_s", "spread")
    for name in values:
        if name not in known:
            raise unknown_name("setting of a travel", name, known)
    least = max(float(values.get("least_s", 0)), float(values.get("metres", 0)) / fastest_m_s)
    typical = values.get("typical_s")
    if typical is not None and not float(typical) > 0:
        raise ConfigError("typical_s is above 0")
    return Travel(least, None if typical is None else float(typical), max(1.05, float(values.get("spread", 2.0))))
