"""What the gallery's verbs read: rows of a data set, of a file of embeddings, or lines of JSON; times and periods."""

from __future__ import annotations

import base64
import binascii
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from resight.core.errors import ConfigError, DataError, unknown_name
from resight.data.crops import SPLITS, Crop
from resight.gallery.arguments import camera_of, word_of
from resight.gallery.records import Entry

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, eq=False)
class Row:
    """One row to add. picture: bytes or a path, or None where `embedding` is given, made by `model`."""

    name: str
    camera: str
    picture: Crop | None = None
    embedding: Any = None
    model: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def moment(text: str | None) -> float | None:
    """Seconds since 1970. text: those, or ISO 8601; without a zone it is this machine's own. Raises ConfigError."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise ConfigError(f"{text!r} is no time; as in 2026-03-01T08:00:00+01:00, or seconds since 1970") from None


def told_moment(seconds: float | None) -> str:
    """ISO 8601, UTC; a dash where it is not known."""
    if seconds is None:
        return "-"
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g}"


def period_s(text: str) -> float:
    """30d, 12h, 2w: seconds. Raises ConfigError."""
    match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*([smhdw])\s*", text)
    if not match:
        raise ConfigError(f"{text!r} is no period; as in 30d, 12h or 2w")
    return float(match[1]) * UNITS_S[match[2]]


def rows_of_crops(crops: Iterable[Crop], camera: str | None, with_pids: bool) -> Iterator[Row]:
    """A data set's. camera: its name for all, in place of the data's own number."""
    camera = None if camera is None else camera_of(camera)
    for crop in crops:
        facts = {"time": crop.time, "track": crop.track, "pid": crop.pid if with_pids and crop.pid >= 0 else None}
        yield Row(crop.name, camera or str(crop.camid), crop, facts=facts)


def rows_of_embeddings(source: str, camera: str | None, splits: list[str], with_pids: bool) -> Iterator[Row]:
    """A file of embeddings', as `resight embed` writes it. Raises ConfigError where it does not tell the cameras."""
    from resight.data.embeddings import read_rows

    camera = None if camera is None else camera_of(camera)
    found = read_rows(Path(source))
    if camera is None and (found.camids < 0).any():
        raise ConfigError(f"{source} does not tell by which camera: name it with --camera")
    for row in range(len(found.vectors)):
        if splits and str(found.splits[row]) not in splits:
            continue
        pid = int(found.pids[row])
        facts = {"pid": pid if with_pids and pid >= 0 else None}
        name, place = str(found.names[row]), camera or str(int(found.camids[row]))
        yield Row(name, place, None, found.vectors[row], found.model, facts)


def crops_of(source: str, format: str | None, splits: list[str]) -> list[Crop]:
    """Of a data set, those of the splits named, or all."""
    from resight.cli.data import open_data

    dataset = open_data(source, format, strict=False)
    for split in splits:
        if split not in SPLITS:
            raise unknown_name("split", split, SPLITS)
    return [crop for split in splits or SPLITS for crop in getattr(dataset, split)]


def rows_of_lines(lines: Iterable[str], what: str) -> Iterator[Row | DataError]:
    """Lines of JSON: `camera`; `path`, `crop` (base64), or `embedding` and `model`; and, where known, `time`, `track`,
    `pid`, `attributes`, `name`. What is no such line is an error in its place."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _row(json.loads(line), f"{what}, line {number}")
            except (ConfigError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
                missing = isinstance(error, KeyError)
                text = f"no {error.args[0]}" if missing else " ".join(str(error).split())[:200]
                yield DataError(f"{what}, line {number}: {text}")


def line_of(entry: Entry, model: str) -> str:
    """What `rows_of_lines` reads."""
    values: dict[str, Any] = {"id": entry.id, "camera": entry.camera, "model": model}
    values["embedding"] = entry.embedding.tolist()
    facts = {name: getattr(entry, name) for name in ("time", "track", "pid")}
    facts |= {"name": entry.name or None, "attributes": dict(entry.attributes) or None}
    values |= {name: value for name, value in facts.items() if value is not None}
    if entry.crop is not None:
        values["crop"] = base64.b64encode(entry.crop).decode()
    return json.dumps(values, sort_keys=True)


def open_lines(source: str) -> Iterator[str]:
    """The lines of a file, or of standard input for `-`. Raises DataError where the file cannot be opened."""
    if source == "-":
        yield from sys.stdin
        return
    try:
        with Path(source).open(encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as error:
        raise DataError(f"{source}: {error.strerror}") from None


def _row(values: Any, place: str) -> Row:
    if not isinstance(values, dict):
        raise TypeError("a line is one object of JSON")
    known = {"path", "crop", "embedding", "model", "camera", "time", "track", "pid", "attributes", "name", "id"}
    strange = sorted(set(values) - known)
    if strange:
        raise ValueError(f"unknown field {strange[0]!r}; known: {', '.join(sorted(known))}")
    camera = camera_of(values["camera"])
    time = values.get("time")
    facts = {name: values.get(name) for name in ("track", "pid", "attributes", "id")}
    facts["time"] = moment(time) if isinstance(time, str) else time
    name = word_of(values.get("name") or values.get("path"), "name") or place
    try:
        data = base64.b64decode(values["crop"], validate=True) if values.get("crop") is not None else None
    except binascii.Error as error:
        raise ValueError(f"crop is not base64 ({error})") from None
    picture = None
    if data is not None:
        picture = Crop(name, -1, -1, data=data)
    elif values.get("embedding") is None:
        picture = Crop(name, -1, -1, path=Path(values["path"]))
    return Row(name, camera, picture, values.get("embedding"), str(values.get("model", "")), facts)
