"""Checks what callers give a gallery and converts it: filters, facts about entries, embeddings, numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from warnings import warn

import numpy as np
import numpy.typing as npt

from resight.core.errors import ConfigError, EmbeddingError, unknown_name
from resight.core.files import read_regular
from resight.core.records import NO_PERSON_PID, FloatArray
from resight.core.times import date_of_digits
from resight.gallery.filters import Filter
from resight.gallery.people import is_number, pid_of_name, pids_of_name, plain_name
from resight.gallery.records import LAST_ID, UNIT, Attributes, Entry
from resight.gallery.search.rows import RESERVED

POOLS = ("mean", "best")
_SINGULAR = {
    "camera": "cameras",
    "track": "tracks",
    "pid": "pids",
    "id": "ids",
    "exclude_camera": "exclude_cameras",
    "exclude_track": "exclude_tracks",
    "exclude_pid": "exclude_pids",
}
PEOPLE = {"people": "pids", "exclude_people": "exclude_pids"}  # conditions in names: which field has the pids
AHEAD_S = 3 * 86_400  # how far a camera's clock may be ahead
LONG_AGO_S = 5e8  # 1985: no camera's files are older
LAST_S = 1e11  # of a filter's times: the year 5138; milliseconds are above
_UNITS = (("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9))
P = ParamSpec("P")
R = TypeVar("R")


def renamed_arguments(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorates a function so that old keywords still work, with a DeprecationWarning. names: old to new."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def accepting(*args: P.args, **kwargs: P.kwargs) -> R:
            given: dict[str, Any] = dict(kwargs)
            for old in names.keys() & given.keys():
                new = names[old]
                if new in given:
                    raise ConfigError(f"{new} is given twice, also by its old name {old}")
                warn(f"{old} is called {new} now; version 0.2 drops the old name", DeprecationWarning, stacklevel=2)
                given[new] = given.pop(old)
            return function(*args, **given)

        return accepting

    return decorate


def filter_of(filter: Filter | None = None, **conditions: Any) -> Filter:
    """A checked filter, of a Filter or of keywords: the fields of Filter, or in the singular for one value (camera=),
    and people=, exclude_people=, which are names.

    Raises ConfigError for an unknown condition or a wrong value.
    """
    if filter is not None:
        if any(value is not None for value in conditions.values()):
            raise ConfigError("give either filter=, or its conditions as keywords")
        conditions = {name: getattr(filter, name) for name in filter.names()}
    found: dict[str, Any] = {}
    people = {name: value for name, value in conditions.items() if name in PEOPLE and value is not None}
    for name, value in conditions.items():
        field = _SINGULAR.get(name, name)
        if name in PEOPLE:
            continue
        if field not in Filter.__dataclass_fields__:
            raise unknown_name("filter", name, [*Filter.__dataclass_fields__, *_SINGULAR, *PEOPLE])
        if value is None:
            continue
        if field in found:
            raise ConfigError(f"{name} is given twice, also as {field}")
        if field in ("after", "before", "untimed"):
            found[field] = limit_of(value)
        elif field == "lasting":
            found[field] = bool(value)
        elif field == "attributes":
            found[field] = attributes_of(value)
        else:
            values = tuple(value) if isinstance(value, list | tuple | set | frozenset) else (value,)
            numbers = field.endswith("ids")
            found[field] = tuple(whole_of(v) if numbers else text_of(str(v)) for v in values)
    for name, value in people.items():
        names = tuple(value) if isinstance(value, list | tuple | set | frozenset) else (value,)
        pids = (pid for each in names for pid in pids_of_name(person_name_of(each) or ""))
        found[PEOPLE[name]] = (*found.get(PEOPLE[name], ()), *pids)
    return Filter(**found)


def forgotten_of(
    filter: Filter | None, older_than: Any, untimed: float | None, conditions: Mapping[str, Any]
) -> Filter:
    """What `forget` is to delete. untimed: from which time on an entry counts as old, or None.

    Raises ConfigError for a wrong condition, or none.
    """
    conditions = dict(conditions)
    if older_than is not None:
        if filter is not None or conditions.get("before") is not None:
            raise ConfigError("give either older_than, or before or filter")
        conditions["before"] = datetime.now(UTC).timestamp() - period_of(older_than)
    wanted = filter_of(filter, **conditions)
    if not wanted.names():
        raise ConfigError("say what to forget: pid, track, camera, before, ...")
    if untimed is not None and wanted.before is None:
        raise ConfigError("untimed says what else is old: it goes with older_than or before")
    return replace(wanted, untimed=untimed if untimed is not None else wanted.untimed, lasting=wanted.after is not None)


def entries_of(
    vectors: FloatArray,
    camera: Any,
    time: Any,
    track: Any,
    pid: Any,
    person: Any,
    attributes: Attributes | Sequence[Attributes] | None,
    names: Sequence[str] | None,
    crops: Sequence[bytes | None] | None,
    ids: Sequence[int] | None,
) -> list[Entry]:
    """An entry for each of vectors (n, dim), of facts given once for all or once for each. Entries that have ids are
    from another gallery, and keep their times, whatever these are.

    Raises ConfigError for a wrong value, a wrong number of them, or an id that is given twice.
    """
    num = len(vectors)
    times, tracks = one_for_each(time, num, "time"), one_for_each(track, num, "track")
    cameras, pids = one_for_each(camera, num, "camera"), one_for_each(pid, num, "pid")
    persons = one_for_each(person, num, "person")
    latest = seen_until()
    details = [attributes or {}] * num if attributes is None or isinstance(attributes, Mapping) else list(attributes)
    titles, pictures = list(names or [""] * num), list(crops or [None] * num)
    numbers = [whole_of(number) or 0 for number in ids] if ids is not None else [0] * num
    if not len(details) == len(titles) == len(pictures) == len(numbers) == num:
        raise ConfigError(f"{num} embeddings, but {len(details)} attributes, {len(titles)} names")
    check_ids(numbers)
    people = [person_of_facts(number, label) for number, label in zip(pids, persons, strict=True)]
    return [
        Entry(
            vector,
            camera_of(camera),
            seconds_of(moment) if number else seen_at(moment, latest),
            word_of(walk, "track"),
            who[0],
            text_of(name),
            attributes_of(more),
            crop,
            number,
            who[1],
        )
        for vector, camera, moment, walk, who, more, name, crop, number in zip(
            vectors, cameras, times, tracks, people, details, titles, pictures, numbers, strict=True
        )
    ]


def person_of_facts(pid: Any, name: Any) -> tuple[int | None, str | None]:
    """A person's pid, and the name where there is one. pid -1 is nobody, as in data; 0 is a person where it is given.

    Raises ConfigError if both are given and do not belong together, or one is none.
    """
    number, label = whole_of(pid), person_name_of(name)
    if label is None:
        return (None if number == NO_PERSON_PID else number), None
    computed = pid_of_name(label)
    if number not in (None, computed):
        raise ConfigError(f"give pid or person, not both: {pid!r} and {name!r}")
    return computed, None if is_number(label) else label


def person_name_of(name: Any) -> str | None:
    """A person's name, or None. Raises ConfigError if it is none."""
    if name is not None and not isinstance(name, str):
        raise ConfigError(f"a person is a name, not {name!r}; a number is a pid")
    return None if name is None else plain_name(text_of(name))


def listed(crops: Any) -> list[Any]:
    """The pictures, of one or several; in place of an open file what it holds."""
    from resight.core.pictures.images import content_of, is_one  # needs Pillow, which a search by an embedding does not

    return list(map(content_of, [crops] if is_one(crops) else crops))


def encoded(item: Any) -> bytes | None:
    """The encoded picture, if the item is a file or its bytes."""
    if isinstance(item, str | Path):
        return read_regular(Path(item))
    return bytes(item) if isinstance(item, bytes | bytearray | memoryview) else None


def check_ids(ids: Sequence[int]) -> None:
    """Raises ConfigError if an id is below 1 or above LAST_ID, or given twice; 0 is none."""
    if strange := [number for number in ids if not 0 <= number <= LAST_ID]:
        raise ConfigError(f"an entry's id is a whole number from 1 to {LAST_ID} (2^53 - 1), not {strange[0]}")
    twice = [number for number, count in Counter(ids).items() if number and count > 1]
    if twice:
        raise id_taken(min(twice))


def id_taken(number: int) -> ConfigError:
    """The error for an id that another entry has."""
    return ConfigError(f"id {number} is given already; ids are unique")


def one_for_each(value: Any, num: int, what: str) -> list[Any]:
    """num values, of one for all or one for each. Raises ConfigError for another number of them."""
    if value is None or isinstance(value, str | int | float | datetime | np.generic):
        return [value] * num
    values = list(value)
    if len(values) != num:
        raise ConfigError(f"{num} pictures, but {len(values)} of {what}")
    return values


def camera_of(name: Any) -> str:
    """A camera's name. Raises ConfigError if it is none."""
    if not isinstance(name, str | int) or not str(name):
        raise ConfigError(f"a camera is a name, not {name!r}")
    return text_of(str(name))


def word_of(value: Any, what: str) -> str | None:
    """A name, or None. what: what it is called in the message. Raises ConfigError if it is no name."""
    if value is not None and not isinstance(value, str | int):
        raise ConfigError(f"a {what} is a name, not {value!r}")
    return None if value is None else text_of(str(value))


def text_of(text: str) -> str:
    """The text. Raises ConfigError if not every engine can store it."""
    if "\0" in text or (not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text)):
        raise ConfigError(f"text that is no UTF-8, or has a null character, cannot be kept: {text!r}")
    return text


def whole_of(value: Any) -> int | None:
    """A whole number of 64 bits, or None. Raises ConfigError if it is none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not -(2**63) <= value < 2**63:
        raise ConfigError(f"a pid or id is a whole number of 64 bits, not {value!r}")
    return int(value)


def seconds_of(value: Any) -> float | None:
    """Seconds since 1970, UTC, or None. Raises ConfigError if it is no time, or a datetime without a time zone."""
    if value is None:
        return None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ConfigError(f"{value} has no time zone")
        return value.timestamp()
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not abs(value) < 2**63:  # NaN compares false
        raise ConfigError(f"a time is seconds since 1970, or a datetime with a time zone, not {value!r}")
    return float(value)


def seen_until() -> float:
    """The latest time that an entry may have: some days ahead of now, as a camera's clock may be off."""
    return datetime.now(UTC).timestamp() + AHEAD_S


def seen_at(value: Any, latest: float) -> float | None:
    """The time of an entry: as `seconds_of`. Raises ConfigError too if it is after `latest`: no clock is so wrong."""
    return _until(seconds_of(value), latest)


def limit_of(value: Any) -> float | None:
    """A time in a filter: as `seconds_of`. Raises ConfigError too for a date's digits, or far ahead: no seconds."""
    seconds = seconds_of(value)
    if seconds is not None and seconds.is_integer() and date_of_digits(f"{seconds:.0f}"):
        raise ConfigError(f"{seconds:.0f} is a date, not seconds since 1970: give a datetime, or in REST a text")
    return _until(seconds, LAST_S)


def _until(seconds: float | None, latest: float) -> float | None:
    if seconds is None or seconds <= latest:
        return seconds
    unit = next((f"; {name} look like this" for name, many in _UNITS if LONG_AGO_S < seconds / many <= latest), "")
    year = 1970 + seconds / 31_556_952
    told = f"the time {seconds:.17g} is far ahead, in the year {year // 1:.0f}{unit}"
    raise ConfigError(f"{told}. A time is seconds since 1970")


def period_of(value: Any) -> float:
    """A period in seconds. Raises ConfigError if it is none."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float | np.number) or not 0 <= seconds < 1e11:
        raise ConfigError(f"older_than is a number of seconds or a timedelta, not {value!r}")
    return float(seconds)


def attributes_of(attributes: Attributes) -> Attributes:
    """The attributes. Raises ConfigError if they are no mapping of names to texts, finite numbers or truth values."""
    if not isinstance(attributes, Mapping):
        raise ConfigError(f"attributes are names with values, not {attributes!r}")
    for name, value in attributes.items():
        if name in RESERVED:
            raise ConfigError(f"an attribute cannot be called {name!r}: resight keeps its own there")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ConfigError(f"attribute {name!r} is beyond 64 bits")
        if not isinstance(name, str) or not isinstance(value, str | int | float | bool):
            raise ConfigError(f"an attribute is a name with a text, a number or a truth value, not {name!r}: {value!r}")
        if isinstance(value, float) and not np.isfinite(value):
            raise ConfigError(f"attribute {name!r} is not finite")
        text_of(name), text_of(str(value))
    return attributes


def embeddings_of(given: npt.ArrayLike, dim: int) -> FloatArray:
    """(n, dim) float32 of unit length, of that or of one (dim,). Raises EmbeddingError if it is none."""
    try:
        with np.errstate(over="ignore"):  # what becomes infinite is refused below
            vectors = np.asarray(given, np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise EmbeddingError(f"embeddings are numbers ({error})") from None
    vectors = vectors[None] if vectors.ndim == 1 else vectors
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise EmbeddingError(f"embeddings here have shape (n, {dim}), not {vectors.shape}")
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    bad = np.flatnonzero(~(np.abs(lengths - 1) <= UNIT))
    if bad.size:
        which, such = ("the embedding", "") if len(vectors) == 1 else (f"embedding {bad[0]}", f" ({bad.size} such)")
        length = lengths[bad[0]]
        advice = "divide it by its length" if 0 < length < np.inf else "leave it out"
        raise EmbeddingError(f"{which} has length {length:.4g} and not 1{such}: {advice}")
    return vectors


def pool_of(pool: str | None, num: int) -> str | None:
    """How `num` rows become one. Raises ConfigError for an unknown way, or no rows."""
    if pool is not None and pool not in POOLS:
        raise unknown_name("pool", pool, POOLS)
    if pool is not None and not num:
        raise ConfigError("there are no pictures to pool")
    return pool


def pooled(vectors: FloatArray, pool: str) -> tuple[int, FloatArray]:
    """Which of vectors (n, dim) is nearest to their mean, and the pooled embedding (dim,).

    pool: `mean`, at unit length (or the nearest one, where the mean has no direction), or `best`, the nearest one.
    Raises ConfigError for another pool, or no vectors.
    """
    pool_of(pool, len(vectors))
    mean = vectors.astype(np.float64).mean(axis=0)
    best = int(np.argmax(vectors.astype(np.float64) @ mean))
    length = float(np.sqrt(mean @ mean))
    return best, vectors[best] if pool == "best" or length < 1e-3 else (mean / length).astype(np.float32)


def pooled_entry(entries: Sequence[Entry], pool: str) -> Entry:
    """Several entries of one track as one: pooled embedding, earliest time, the rest of the one nearest to the mean.

    Raises ConfigError for an unknown pool, or entries of several cameras, tracks or pids.
    """
    if len({(entry.camera, entry.track, entry.pid) for entry in entries}) > 1:
        raise ConfigError("only pictures of one camera, track and pid can be pooled into one entry")
    best, vector = pooled(np.stack([entry.embedding for entry in entries]), pool)
    times = [entry.time for entry in entries if entry.time is not None]
    return replace(entries[best], embedding=vector, time=min(times, default=None))


def rate_of(value: Any, what: str) -> float:
    """An error rate in [0, 1]. what: its name in the message. Raises ConfigError if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value <= 1:
        raise ConfigError(f"{what} is a rate from 0 to 1, not {value!r}")
    return float(value)


def top_k_of(value: Any) -> int | None:
    """How many hits to return; None: all. Raises ConfigError if it is no positive whole number."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1):
        raise ConfigError(f"top_k is a whole number, 1 or more, not {value!r}")
    return None if value is None else int(value)


def min_similarity_of(value: Any) -> float | None:
    """A lower bound on similarities, or None. Raises ConfigError if it is no number in [-2, 2]."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if value is not None and not (number and -2 <= value <= 2):  # NaN compares false
        raise ConfigError(f"min_similarity is a cosine similarity, not {value!r}")
    return None if value is None else float(value)
