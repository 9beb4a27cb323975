"""What a client sends and gets, as records of a gallery and back."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resight.core.calibration import Decision, Rate
from resight.core.errors import ConfigError
from resight.gallery.arguments import encoded, filter_of, seconds_of
from resight.gallery.curation.listing import Person
from resight.gallery.filters import Filter
from resight.gallery.records import Entry
from resight.gallery.results import Match
from resight.gallery.transfer.rows import Row
from resight.site.transform import SiteFacts

NOTHING = np.zeros(0, np.float32)  # in place of an embedding, which a service never gives away


def conditions(filter: Filter | None = None, **conditions: Any) -> dict[str, Any]:
    """Conditions as REST takes them. Raises ConfigError."""
    wanted = filter_of(filter, **conditions)
    told = {name: getattr(wanted, name) for name in wanted.names()}
    if told.pop("untimed", None) is not None:
        raise ConfigError("untimed goes with older_than or before here, not in a filter")
    told.pop("lasting", None)  # the service knows when it deletes
    return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}


def line_of(row: Row, model: str) -> dict[str, Any]:
    """A row as a line, with its picture or embedding in it. Raises UnreadableImage."""
    told = {name: value for name, value in row.facts.items() if value is not None and name != "id"}
    told |= {"camera": row.camera} | ({"name": row.name} if row.name else {})
    if "time" in told:
        told["time"] = seconds_of(told["time"])
    if row.embedding is not None:
        return {**told, "embedding": np.asarray(row.embedding, np.float32).tolist(), "model": row.model or model}
    data = row.picture.read() if row.picture is not None else b""
    return {**told, "crop": base64.b64encode(data).decode()}


def known(facts: dict[str, Any]) -> dict[str, Any]:
    """Those facts that say something."""
    return {name: value for name, value in facts.items() if value is not None and value != "" and value != {}}


def bytes_of(item: Any) -> bytes:
    """The bytes of a picture. Raises ConfigError for what is no path and no bytes."""
    data = encoded(item)
    if data is None:
        raise ConfigError("a service takes pictures as paths or the bytes of files")
    return data


def name_of(item: Any) -> str:
    """The name of a picture that is a file."""
    return str(item) if isinstance(item, str | Path) else ""


def decision_of(told: dict[str, Any] | None) -> Decision | None:
    """The decision in an answer."""
    if told is None:
        return None
    return Decision(told["verdict"], rate_of(told["rate"]), told["threshold"], told["reason"])


def of_match(told: dict[str, Any], decision: Decision | None) -> Decision | None:
    """The decision on one match: its rate is told where it is that of the search."""
    if decision is None or not told["verdict"]:
        return None
    return Decision(told["verdict"], None) if told["verdict"] != decision.verdict else decision


def match_of(told: dict[str, Any], decision: Decision | None) -> Match:
    """The match in an answer to a search of this decision."""
    rates = rate_of(told["p_same"]), rate_of(told["strangers"])
    return Match(told["similarity"], of_match(told, decision), told["person"], entry_of(told), *rates)


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


@dataclass(frozen=True)
class ShownSite:
    """What `Gallery.site` is, as far as a service tells: it is fitted where the gallery is."""

    transform: ShownTransform | None


def site_of(told: dict[str, Any] | None) -> ShownSite:
    """The site in an answer."""
    if told is None:
        return ShownSite(None)
    facts = {name: told[name] for name in SiteFacts.__dataclass_fields__}
    return ShownSite(ShownTransform(told["identity"], told["calibrated"], SiteFacts(**facts)))
