"""What callers write, to what a gallery takes: checked at the door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.errors import ConfigError, EmbeddingError, unknown_name
from resight.core.records import FloatArray
from resight.gallery.records import UNIT, Attributes, Entry, Where

JOINS = ("mean", "best")
_SINGLE = {
    "camera": "cameras",
    "track": "tracks",
    "pid": "pids",
    "id": "ids",
    "exclude_camera": "exclude_cameras",
    "exclude_track": "exclude_tracks",
    "exclude_pid": "exclude_pids",
}


def where_of(**asked: Any) -> Where:
    """A filter from plain arguments. Raises ConfigError for an unknown one, or a value that cannot be."""
    found: dict[str, Any] = {}
    for name, value in asked.items():
        field = _SINGLE.get(name, name)
        if field not in Where.__dataclass_fields__:
            raise unknown_name("filter", name, [*Where.__dataclass_fields__, *_SINGLE])
        if value is None:
            continue
        if field in found:
            raise ConfigError(f"{name} is given twice, as {field}")
        if field in ("after", "before"):
            found[field] = seconds_of(value)
        elif field == "attributes":
            found[field] = plain_of(value)
        else:
            values = tuple(value) if isinstance(value, list | tuple | set | frozenset) else (value,)
            numbers = field.endswith("ids")
            found[field] = tuple(whole_of(v) if numbers else text_of(str(v)) for v in values)
    return Where(**found)


def one_for_each(value: Any, num: int, what: str) -> list[Any]:
    """One for all, or one for each."""
    if value is None or isinstance(value, str | int | float | datetime | np.generic):
        return [value] * num
    values = list(value)
    if len(values) != num:
        raise ConfigError(f"{num} pictures, but {len(values)} of {what}")
    return values


def camera_of(name: Any) -> str:
    """Raises ConfigError for what is no name."""
    if not isinstance(name, str | int) or not str(name):
        raise ConfigError(f"a camera is a name, not {name!r}")
    return text_of(str(name))


def word_of(value: Any, what: str) -> str | None:
    """Raises ConfigError for what is no name."""
    if value is not None and not isinstance(value, str | int):
        raise ConfigError(f"a {what} is a name, not {value!r}")
    return None if value is None else text_of(str(value))


def text_of(text: str) -> str:
    """Raises ConfigError for text that not every engine can keep."""
    if "\0" in text or (not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text)):
        raise ConfigError(f"text with a null character or half a letter cannot be kept: {text!r}")
    return text


def whole_of(value: Any) -> int | None:
    """Raises ConfigError for what is no whole number."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not -(2**63) <= value < 2**63:
        raise ConfigError(f"a pid or id is a whole number, not {value!r}")
    return int(value)


def seconds_of(value: Any) -> float | None:
    """Seconds since 1970, UTC."""
    if value is None:
        return None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ConfigError(f"{value} does not say its time zone")
        return value.timestamp()
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not abs(value) < 2**63:  # of NaN nothing is true
        raise ConfigError(f"a time is seconds since 1970, or a datetime with a zone, not {value!r}")
    return float(value)


def plain_of(attributes: Attributes) -> Attributes:
    """Raises ConfigError where one is more than a text, a number or a truth value."""
    if not isinstance(attributes, Mapping):
        raise ConfigError(f"attributes are names with values, not {attributes!r}")
    for name, value in attributes.items():
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ConfigError(f"attribute {name!r} is beyond 64 bits")
        if not isinstance(name, str) or not isinstance(value, str | int | float | bool):
            raise ConfigError(f"an attribute is a name with a text, a number or a truth value, not {name!r}: {value!r}")
        if isinstance(value, float) and not np.isfinite(value):
            raise ConfigError(f"attribute {name!r} is not finite")
        text_of(name), text_of(str(value))
    return attributes


def joined_of(entries: list[Entry], join: str) -> Entry:
    """Several of one walk as one entry: earliest in time, and with what all of them have in common."""
    if join not in JOINS:
        raise unknown_name("way to join", join, JOINS)
    if len({(entry.camera, entry.track, entry.pid) for entry in entries}) > 1:
        raise ConfigError("only pictures of one camera, track and pid are joined to one entry")
    vectors = np.stack([entry.embedding for entry in entries]).astype(np.float64)
    mean = vectors.mean(axis=0)
    best = entries[int(np.argmax(vectors @ mean))]
    times = [entry.time for entry in entries if entry.time is not None]
    length = float(np.sqrt(mean @ mean))
    if join == "best" or length < 1e-3:
        return replace(best, time=min(times, default=None))
    return replace(best, embedding=(mean / length).astype(np.float32), time=min(times, default=None))


def embeddings_of(given: npt.ArrayLike, dim: int) -> FloatArray:
    """(n, dim) float32 of unit length. Raises EmbeddingError for what is no such thing."""
    try:
        with np.errstate(over="ignore"):  # what becomes infinite is refused below
            vectors = np.asarray(given, np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise EmbeddingError(f"embeddings are numbers ({error})") from None
    vectors = vectors[None] if vectors.ndim == 1 else vectors
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise EmbeddingError(f"embeddings here are (n, {dim}), not {vectors.shape}")
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    bad = np.flatnonzero(~(np.abs(lengths - 1) <= UNIT))
    if bad.size:
        raise EmbeddingError(f"embedding {bad[0]} has the length {lengths[bad[0]]:.4g} and not 1 ({bad.size} such)")
    return vectors


def rate_of(value: Any, what: str) -> float:
    """A rate of errors, between 0 and 1. Raises ConfigError."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value <= 1:
        raise ConfigError(f"{what} is a rate from 0 to 1, not {value!r}")
    return float(value)


def top_of(value: Any) -> int | None:
    """How many answers; None: all. Raises ConfigError."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1):
        raise ConfigError(f"top is a whole number, 1 at the least, not {value!r}")
    return None if value is None else int(value)
