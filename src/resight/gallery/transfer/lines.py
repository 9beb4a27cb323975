"""A gallery as lines of JSON: what a camera process sends, and what `resight gallery export` writes and `import` reads.

A line is an object with `camera`, and one of `path`, `crop` (the encoded picture, base64) or `embedding` (with `model`,
the identity of the model that made it); and, if known, `time` (seconds since 1970 or ISO 8601), `track`, `pid` or
`person` (a name), `attributes` and `name`. An export begins with a header line: `gallery` (its settings), `links` (each
with `who` made it and for what `purpose`, where that is known), `entries` (how many lines follow; 0.1.0 did not say)
and `site` (a site transform's file, base64). Where it has `counted_last`, so many there were when it was begun, and a
last line says how many came: {"entries": 7}. Lines are UTF-8, with or without a byte order mark.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import tzinfo
from pathlib import Path
from typing import Any, Generic, TypeVar

from resight.core.errors import ConfigError, DataError
from resight.core.times import parse_time
from resight.data.crops import Crop
from resight.gallery.arguments import camera_of, text_of, word_of
from resight.gallery.records import CannotLink, Entry, Link, Settings
from resight.gallery.transfer.origins import Origin
from resight.gallery.transfer.rows import Row
from resight.site.files import from_bytes, to_bytes
from resight.site.transform import SiteTransform

LAST = '{"entries":'  # how the last line begins; no entry has such a field
FIELDS = ("path", "crop", "embedding", "model", "camera", "time", "track", "pid", "person", "attributes", "name", "id")
NO_ORIGINS: Mapping[int, Origin] = {}
L = TypeVar("L", bound=str | bytes)


@dataclass(frozen=True)
class Header:
    """The first line of an export.

    links: pairs of pids, each linked into the second. entries: how many follow, None where it does not say. mark: by
    which the same export is known again. apart: pairs of pids that are two people. site: its site transform, if any.
    origins: who made each link, in the order of links. counted_last: the last line says how many came, and `entries`
    only about how many.
    """

    settings: Settings
    links: tuple[tuple[int, int], ...] = ()
    entries: int | None = None
    mark: str = ""
    apart: tuple[tuple[int, int], ...] = ()
    site: SiteTransform | None = None
    origins: tuple[Origin, ...] = ()
    counted_last: bool = False


class Body(Generic[L]):
    """The lines of an export after its header, without the last one where that is a count. entries: how many there are
    to be, as far as it is known by now; None: it is not."""

    def __init__(self, lines: Iterable[L], header: Header) -> None:
        self._lines = lines
        self._counted_last = header.counted_last
        self.entries = None if header.counted_last else header.entries

    def __iter__(self) -> Iterator[L]:
        for line in self._lines:
            if self._counted_last and line[:11] in (LAST, LAST.encode()):
                self.entries = int(json.loads(line)["entries"])
            else:
                yield line

    def is_short(self, read: int) -> bool:
        """Whether so many entries, which are all that came, are not all."""
        return self._counted_last if self.entries is None else read < self.entries


def rows_of_lines(
    lines: Iterable[str | bytes], source: str, first: int = 1, zone: tzinfo | None = None
) -> Iterator[Row | DataError]:
    """A Row for each line, or a DataError in its place that names the line.

    lines: bytes are UTF-8; a byte that is none spoils its line alone. source: what the lines are from. first: the
    number of the first line. zone: of times that name none; None: this machine's.

    Example:
        >>> row, error = rows_of_lines(['{"path": "a.jpg", "camera": "north"}', '{"camera": 7'], "stdin")
        >>> row.name, row.camera
        ('a.jpg', 'north')
        >>> print(error)
        stdin, line 2: it is no JSON (Expecting ',' delimiter: line 1 column 13 (char 12))
    """
    for number, line in enumerate(lines, first):
        if line.strip():
            try:
                yield _row_of(json.loads(_text_of(line)), f"{source}, line {number}", zone)
            except (ConfigError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
                missing, no_json = isinstance(error, KeyError), isinstance(error, json.JSONDecodeError)
                text = f"no {error.args[0]}" if missing else " ".join(str(error).split())[:200]
                text = f"it is no JSON ({text})" if no_json else text
                yield DataError(f"{source}, line {number}: {text}")


def line_of(entry: Entry, model: str) -> str:
    """The line of an entry, which `rows_of_lines` reads. model: the identity of the gallery's model."""
    values: dict[str, Any] = {"id": entry.id, "camera": entry.camera, "model": model}
    values["embedding"] = entry.embedding.tolist()
    facts = {name: getattr(entry, name) for name in ("time", "track", "pid", "person")}
    facts |= {"name": entry.name or None, "attributes": dict(entry.attributes) or None}
    values |= {name: value for name, value in facts.items() if value is not None}
    if entry.crop is not None:
        values["crop"] = base64.b64encode(entry.crop).decode()
    return json.dumps(values, sort_keys=True)


def header_line(
    settings: Settings,
    links: Iterable[Link],
    entries: int | None = None,
    apart: Iterable[CannotLink] = (),
    site: SiteTransform | None = None,
    origins: Mapping[int, Origin] = NO_ORIGINS,
    *,
    counted_last: bool = False,
) -> str:
    """The first line of an export. entries: how many lines follow; it is left out where that is not known. origins: who
    made the links, by their numbers. counted_last: a `last_line` will say how many they were."""
    values: dict[str, Any] = {"gallery": asdict(settings)}
    if site is not None:
        values["site"] = base64.b64encode(to_bytes(site)).decode()
    values["links"] = [
        {"pid": link.pid, "into": link.into, **(asdict(origins[link.number]) if link.number in origins else {})}
        for link in links
    ]
    if pairs := [{"pid": pair.pid, "other": pair.other} for pair in apart]:
        values["cannot_links"] = pairs
    values |= {"counted_last": True} if counted_last else {}
    return json.dumps(values if entries is None else {**values, "entries": entries})


def last_line(entries: int) -> str:
    """The last line of an export whose header says so: how many entries came."""
    return json.dumps({"entries": entries})


def header_of(line: str | bytes, source: str) -> Header:
    """Reads the first line of an export. source: what it is from. Raises DataError if it is none."""
    try:
        values = json.loads(_text_of(line))
        settings = Settings(**values["gallery"])
        links = tuple((int(link["pid"]), int(link["into"])) for link in values.get("links", []))
        origins = tuple(Origin(_told(link, "who"), _told(link, "purpose")) for link in values.get("links", []))
        apart = tuple((int(pair["pid"]), int(pair["other"])) for pair in values.get("cannot_links", []))
        entries = None if values.get("entries") is None else int(values["entries"])
        counted_last = values.get("counted_last") is True
        site = from_bytes(base64.b64decode(values["site"]), f"{source}: its site") if values.get("site") else None
        mark = hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=16).hexdigest()
    except (ConfigError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise DataError(f"{source}: its first line is not that of `resight gallery export`") from None
    fitting = all(type(getattr(settings, field.name)).__name__ == field.type for field in fields(settings))
    if not fitting or settings.dim < 1:
        raise DataError(f"{source}: its first line is not what `resight gallery export` wrote: {settings}")
    return Header(settings, links, entries, mark, apart, site, origins, counted_last)


def _told(link: Mapping[str, Any], name: str) -> str:
    """Who made a link, or what for; empty where it is not told. Raises TypeError if it is no text."""
    if not isinstance(text := link.get(name, ""), str):
        raise TypeError(name)
    return text_of(text)


def _text_of(line: str | bytes) -> str:
    """Without a byte order mark, which Windows writes and which stands within files that were joined. Raises ValueError
    if it is not UTF-8: two names with other bytes must not become one."""
    if isinstance(line, str):
        return line.lstrip("\ufeff")
    try:
        return line.decode("utf-8").lstrip("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8") from None


def _row_of(values: Any, place: str, zone: tzinfo | None) -> Row:
    if not isinstance(values, dict):
        raise TypeError("a line is one JSON object")
    strange = sorted(set(values) - set(FIELDS))
    if strange:
        raise ValueError(f"unknown field {strange[0]!r}; known: {', '.join(sorted(FIELDS))}")
    camera = camera_of(values["camera"])
    time = values.get("time")
    facts = {name: values.get(name) for name in ("track", "pid", "person", "attributes", "id")}
    facts["time"] = parse_time(time, zone) if isinstance(time, str) else time
    name = word_of(values.get("name") or values.get("path"), "name") or ""
    try:
        data = base64.b64decode(values["crop"], validate=True) if values.get("crop") is not None else None
    except binascii.Error as error:
        raise ValueError(f"crop is not base64 ({error})") from None
    picture = None
    if data is not None:
        picture = Crop(name or place, -1, -1, data=data)
    elif values.get("embedding") is None:
        picture = Crop(name or place, -1, -1, path=Path(values["path"]))
    return Row(name, camera, picture, values.get("embedding"), str(values.get("model", "")), facts, place)
