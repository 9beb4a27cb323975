"""A service's answers: each is checked to be of the kind that was asked for, and its problems become errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from resight.core.errors import (
    ConfigError,
    DataError,
    EmbeddingError,
    GalleryBusy,
    GalleryError,
    ResightError,
    UnreadableImage,
)
from resight.service.client.address import place_of

URN = "urn:resight:problem:"
# What an answer is, by the beginning of its media type.
JSON = ("application/json",)
LINES = ("application/x-ndjson",)
PICTURE = ("image/", "application/octet-stream")
NOTHING = ()
NONE = "it is none of a resight service; check the address"
T = TypeVar("T")


class NotThere(GalleryError):
    """What is asked for is not there, or not for this key."""


class Stranger(GalleryError):
    """The answer is not what a service says: the address is another one's, or a proxy answered."""


class NoPreview(GalleryError):
    """What was previewed for a deletion is no longer remembered, or no longer what was shown."""


ERRORS: dict[str, type[ResightError]] = {
    **{kind.__name__: kind for kind in (ConfigError, DataError, EmbeddingError, GalleryBusy, GalleryError)},
    "invalid": ConfigError,
    "not-found": NotThere,
    "no-preview": NoPreview,
    "changed-meanwhile": NoPreview,
    "other-model": EmbeddingError,
    "UnreadableImage": DataError,
    "ServiceBusy": GalleryBusy,
    "too-often": GalleryBusy,
    "not-ready": GalleryBusy,
}


@dataclass(frozen=True)
class Answer:
    """What came back. kind: its media type. location: where a redirect leads."""

    status: int
    kind: str
    location: str
    body: bytes


@dataclass(frozen=True)
class Job:
    """A job of the service, as it tells of it. problem: the kind of error that it failed with, if it did."""

    id: str
    state: str
    done: int
    total: int
    result: dict[str, Any]
    error: str
    problem: str


def job_of(told: Any) -> Job:
    """The job in an answer."""
    return Job(**{name: told[name] for name in Job.__dataclass_fields__})


def value_of(answer: Answer, media: tuple[str, ...], of: Callable[[Any], T], url: str) -> T:
    """What `of` makes of an answer: of its JSON, or of its bytes where it is something else.

    Raises what the service's problem is of, and Stranger for an answer that is none of a service.
    """
    if answer.status >= 400:
        raise error_of(answer.status, answer.body)
    if 300 <= answer.status < 400:
        raise Stranger(
            f"{url} leads elsewhere ({place_of(answer.location) or 'it does not say where'}); give the address of the "
            "service itself"
        )
    fits = answer.kind.startswith(media) if media else answer.status == 204
    if answer.status < 200 or not fits:
        raise Stranger(f"{url} answers, but {NONE}")
    return understood(lambda body: of(json.loads(body) if media == JSON else body), answer.body, url)


def understood(of: Callable[[Any], T], told: Any, url: str) -> T:
    """What `of` makes of it. Raises Stranger where it is not what a service says."""
    try:
        return of(told)
    except ResightError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise Stranger(f"{url} answers, but {NONE}") from None


def error_of(status: int, body: bytes) -> ResightError:
    """The error in a problem's body."""
    try:
        return error_in(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Stranger(f"the answer has status {status}, and {NONE}")


def error_in(told: Any) -> ResightError:
    """The error in a problem. Raises KeyError, TypeError, AttributeError for what is none."""
    kind, text = told["type"].removeprefix(URN), told["detail"]
    if not isinstance(text, str):
        raise TypeError(text)
    if kind == UnreadableImage.__name__ and "reason" in told:
        return UnreadableImage(str(told["name"]), str(told["reason"]))
    return ERRORS.get(kind, GalleryError)(text)
