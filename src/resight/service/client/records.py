"""What a client sends and gets, as records of a gallery and back."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from resight.core.calibration import Decision, Rate
from resight.core.errors import ConfigError, UnreadableImage
from resight.core.words import counted
from resight.gallery.arguments import embeddings_of, encoded, entries_of, filter_of
from resight.gallery.curation.listing import Person
from resight.gallery.filters import Filter
from resight.gallery.records import Damage, Entry, Forgotten, Settings, Stats
from resight.gallery.results import Match
from resight.gallery.transfer.rows import Row, columns_of
from resight.service.settings import ServiceSettings
from resight.site.files import facts_of
from resight.site.transform import CameraRows, SiteFacts

NOTHING = np.zeros(0, np.float32)  # in place of an embedding, which a service never gives away
LONGEST = ServiceSettings.max_line
IN_A_REQUEST = re.compile(r"(?:picture |lines, line )(\d{1,9})")  # what a service calls a picture without a name


def conditions(filter: Filter | None = None, **conditions: Any) -> dict[str, Any]:
    """Conditions as REST takes them. Raises ConfigError."""
    wanted = filter_of(filter, **conditions)
    told = {name: getattr(wanted, name) for name in wanted.names()}
    if told.pop("untimed", None) is not None:
        raise ConfigError("untimed goes with older_than or before here, not in a filter")
    if "attributes" in told:
        told["attributes"] = dict(told["attributes"])
    return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}


def line_of(row: Row, settings: Settings) -> bytes:
    """A row as a line, with its picture or embedding in it, checked as a gallery checks it. Raises ConfigError,
    EmbeddingError, UnreadableImage."""
    made = [NOTHING] if row.embedding is None else []
    columns = columns_of([row], made, replace(settings, keep_crops=False), False)
    vectors = columns.pop("embeddings")
    (entry,) = entries_of(embeddings_of(vectors, settings.dim) if not made else np.stack(made), **columns)
    picture = row.picture.read() if row.embedding is None and row.picture is not None else None
    return line_of_entry(entry, row.model, picture, row.place)


def line_of_entry(entry: Entry, model: str, picture: bytes | None = None, title: str = "") -> bytes:
    """An entry as a line, with its picture, or its embedding of this model. A name determines the pid. title: what to
    call it in a message, where it has no name. Raises UnreadableImage, or ConfigError, for a line that is longer than a
    service takes."""
    told = {name: getattr(entry, name) for name in ("camera", "time", "track", "person", "name")}
    told |= {"pid": None if entry.person else entry.pid, "attributes": dict(entry.attributes) or None}
    if picture is None:
        told |= {"embedding": entry.embedding.tolist(), "model": model}
    else:
        told["crop"] = base64.b64encode(picture).decode()
    line = json.dumps({name: value for name, value in told.items() if value is not None}).encode()
    if len(line) > LONGEST:
        why = f"it is a line of {len(line):,} bytes, and a service takes {LONGEST:,} at most"
        if picture is None:
            raise ConfigError(f"{why}: leave attributes out")
        raise UnreadableImage(entry.name or title, f"{why}: make the picture smaller")
    return line + b"\n"


def bytes_of(item: Any, place: int) -> bytes:
    """The bytes of a picture. place: among others. Raises UnreadableImage, and ConfigError for what is no path and no
    bytes."""
    if isinstance(item, UnreadableImage):
        raise item
    try:
        data = encoded(item)
    except OSError as error:
        raise UnreadableImage(title_of(item, place), error.strerror or str(error)) from None
    except ValueError as error:  # a path with a null character in it
        raise UnreadableImage(title_of(item, place), str(error)) from None
    if data is None:
        raise ConfigError("a service takes pictures as paths or the bytes of files")
    return data


def name_of(item: Any) -> str:
    """The name of a picture that is a file: its path, as a gallery has it."""
    return str(item) if isinstance(item, str | Path) else ""


def title_of(item: Any, place: int) -> str:
    """What a message calls a picture, as a model does."""
    return name_of(item) or f"picture {place}"


def titled(error: UnreadableImage, items: Sequence[Any]) -> UnreadableImage:
    """A service's error about one of these pictures, which it counts from 1, with the picture's name."""
    found = IN_A_REQUEST.fullmatch(error.name)
    place = int(found[1]) - 1 if found else -1
    return UnreadableImage(title_of(items[place], place), error.reason) if 0 <= place < len(items) else error


def decision_of(told: dict[str, Any] | None) -> Decision | None:
    """The decision in an answer."""
    if told is None:
        return None
    return Decision(told["verdict"], rate_of(told["rate"]), told["threshold"], told["reason"])


def match_of(told: dict[str, Any]) -> Match:
    """The match in an answer."""
    rates = rate_of(told["p_same"]), rate_of(told["strangers"])
    return Match(told["similarity"], decision_of(told["decision"]), told["person"], entry_of(told), *rates)


def entry_of(told: dict[str, Any]) -> Entry:
    """The entry in an answer, without its embedding."""
    facts = {name: told[name] for name in ("camera", "time", "track", "pid", "name", "attributes", "id")}
    return Entry(NOTHING, person=told.get("person_name"), **facts)


def person_of(told: dict[str, Any]) -> Person:
    """The person in an answer."""
    return Person(**{**told, "pids": tuple(told["pids"])})


def rate_of(told: dict[str, float] | None) -> Rate | None:
    """A rate with its interval."""
    return None if told is None else Rate(**told)


@dataclass(frozen=True)
class ShownTransform:
    """What a service tells of its site transform. calibration: whether it has one."""

    identity: str
    calibration: bool
    facts: SiteFacts

    def knows(self, camera: str | None) -> bool:
        """As SiteTransform.knows, of the cameras that the key may see."""
        return CameraRows(list(self.facts.cameras)).of(camera) >= 0


@dataclass(frozen=True)
class ShownSite:
    """What `Gallery.site` is, as far as a service tells: it is fitted where the gallery is."""

    transform: ShownTransform | None


def site_of(told: dict[str, Any]) -> ShownSite:
    """The site in an answer."""
    facts = facts_of({name: told[name] for name in SiteFacts.__dataclass_fields__})
    return ShownSite(ShownTransform(told["identity"], told["calibrated"], facts))


def settings_of(told: dict[str, Any]) -> Settings:
    """A gallery's settings in an answer."""
    return Settings(**{name: told[name] for name in Settings.__dataclass_fields__})


def stats_of(told: dict[str, Any]) -> Stats:
    """Counts in an answer. Raises ConfigError where they are of a part of the gallery."""
    if "audit_lines" not in told and "settings" in told:
        raise ConfigError("stats is of the whole gallery, and this key is bounded to some cameras")
    return Stats(**{name: told[name] for name in Stats.__dataclass_fields__})


def gone_of(told: dict[str, Any]) -> Forgotten:
    """What a certificate says of a deletion."""
    found: dict[str, Any] = {name: told[name] for name in Forgotten.__dataclass_fields__}
    lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
    return Forgotten(**{**found, **lists})


def damages_of(told: dict[str, Any]) -> list[Damage]:
    """What a job of verifying found; the last one says how many a service does not name."""
    found = []
    for text in told["first"]:
        where, _, rest = text.partition(": ")
        what, _, remedy = rest.partition("; ")
        found.append(Damage(where, what, remedy))
    if more := told["damages"] - len(found):
        what = f"{counted(more, 'more place is', 'more places are')} damaged, {told['damages']:,} in all"
        found.append(Damage("the gallery", what, "`resight gallery verify` where the gallery is names all of them"))
    return found
