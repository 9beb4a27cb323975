"""What goes into REST: every field is named and bounded, and none is ever a path or an address."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, Strict

from resight.core.times import parse_time

Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]  # in a path or a query, which are texts
Number = Annotated[int, Strict(), Field(ge=-(2**63), lt=2**63)]
Float = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Name = Annotated[str, Field(max_length=500)]
Moment = Float | Annotated[str, Field(max_length=40)]
Embedding = Annotated[list[Float], Field(max_length=8192)]
Names = Annotated[list[Name], Field(max_length=200)]
Numbers = Annotated[list[Number], Field(max_length=1000)]
Value = Annotated[str, Strict()] | Annotated[bool, Strict()] | Annotated[int, Strict()] | Float
Attributes = Annotated[dict[Name, Value], Field(max_length=50)]
Fraction = Annotated[float, Strict(), Field(ge=0, le=1)]
MOST_ROWS = 1000  # embeddings of one search
Purpose = Annotated[
    str, Field(min_length=3, max_length=500, description="What for; the audit keeps it.", examples=["request 12"])
]


class Shape(BaseModel):
    """No field that is not named."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False, ser_json_inf_nan="null")


class Where(Shape):
    """Which entries: all conditions that are given must hold. Times are seconds since 1970, or ISO 8601 (UTC unless
    they name a zone)."""

    cameras: Names | None = None
    exclude_cameras: Names | None = None
    tracks: Names | None = None
    exclude_tracks: Names | None = None
    pids: Numbers | None = None
    exclude_pids: Numbers | None = None
    people: Names | None = Field(None, description="By name.")
    exclude_people: Names | None = None
    ids: Numbers | None = None
    after: Moment | None = None
    before: Moment | None = None
    lasting: Annotated[bool, Strict()] | None = Field(
        None, description="With `after`, tracklets of video match too that began before and were still seen then."
    )
    attributes: Attributes | None = None

    def conditions(self) -> dict[str, Any]:
        """As the methods of Gallery take them. Raises ConfigError for a time that is none."""
        told = {name: getattr(self, name) for name in Where.model_fields}
        told = {name: value for name, value in told.items() if value is not None}
        return told | {name: seconds(told[name]) for name in ("after", "before") if name in told}


class SearchOptions(Where):
    """How to search."""

    purpose: Purpose
    top_k: Annotated[int, Strict()] = Field(20, ge=1, le=200, description="How many matches.")
    min_similarity: Annotated[float, Strict(), Field(ge=-2, le=2)] | None = None
    hidden: tuple[Fraction, Fraction] | None = Field(
        None, description="The hidden part of the picture, from and to, in fractions of its height from the top."
    )
    false_positive_rate: Fraction | None = Field(
        None, description="The largest rate of strangers reported as known people."
    )
    false_negative_rate: Fraction | None = Field(
        None, description="The largest rate of known people reported as strangers."
    )
    pool: Literal["mean", "best"] = "mean"
    seen_by: Name | Annotated[list[Name | None], Field(max_length=MOST_ROWS)] | None = Field(
        None,
        description="The camera that saw what is searched for, or one for each; a site transform needs it for a "
        "decision.",
    )

    def options(self) -> dict[str, Any]:
        """As `Gallery.search_embeddings` takes them."""
        named = ("min_similarity", "hidden", "false_positive_rate", "false_negative_rate", "seen_by")
        return self.conditions() | {n: v for n in named if (v := getattr(self, n)) is not None}


class SearchBody(SearchOptions):
    """A search: for one of `crops` (encoded pictures of one person, base64), `embedding` or `embeddings` (of one
    person) with `model`, or `entry`."""

    crops: Annotated[list[Base64Bytes], Field(min_length=1, max_length=64)] | None = None
    embedding: Embedding | None = None
    embeddings: Annotated[list[Embedding], Field(min_length=1, max_length=MOST_ROWS)] | None = Field(
        None, description="Several of one person, which become one query as `pool` says."
    )
    model: Name | None = Field(None, description="The identity of the model that made the embedding.")
    entry: Number | None = Field(None, description="An entry of the gallery, whose embedding is searched for.")


class EntryFacts(Shape):
    """What is known of an entry. time: seconds since 1970, or ISO 8601 (UTC unless it names a zone)."""

    camera: Annotated[str, Field(min_length=1, max_length=500)]
    time: Moment | None = None
    track: Name | None = None
    pid: Number | None = None
    person: Name | None = Field(None, description="A name, in place of a pid.")
    attributes: Attributes | None = None
    name: Name | None = None

    def facts(self) -> dict[str, Any]:
        """As a Row has them. Raises ConfigError for a time that is none."""
        told = {name: getattr(self, name) for name in ("track", "pid", "person", "attributes")}
        return told | {"time": None if self.time is None else seconds(self.time)}


class EntryBody(EntryFacts):
    """An entry to add: `crop`, the encoded picture in base64, or `embedding` with `model`."""

    crop: Base64Bytes | None = None
    embedding: Embedding | None = None
    model: Name | None = None


class LinkBody(Shape):
    """Two pids that are one person, who is reported as `into`."""

    pid: Number
    into: Number
    purpose: Annotated[str, Field(max_length=500)] = ""


class CannotLinkBody(Shape):
    """Two pids that are two people."""

    pid: Number
    other: Number
    purpose: Annotated[str, Field(max_length=500)] = ""


class ForgetBody(Where):
    """Whom to forget. older_than_s: entries whose time is further back than so many seconds. untimed: entries of no
    time count as old."""

    older_than_s: Annotated[float, Strict(), Field(ge=0, le=1e10)] | None = None
    untimed: Annotated[bool, Strict()] = False


class ConfirmBody(Shape):
    """Confirms a preview."""

    token: Annotated[str, Field(max_length=100)]
    purpose: Purpose


class KeyBody(Shape):
    """A key to make. expires: seconds since 1970, or ISO 8601 (UTC unless it names a zone)."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    role: Literal["viewer", "searcher", "operator", "controller", "admin"]
    cameras: Annotated[list[Name], Field(min_length=1, max_length=200)] | None = None
    expires: Moment | None = None


class ReembedBody(Shape):
    """Which of the offered models embeds the kept pictures again."""

    model: Name


def seconds(moment: float | str) -> float:
    """Seconds since 1970; a text without a zone is UTC, as all that is answered. Raises ConfigError for no time."""
    return parse_time(moment, UTC) if isinstance(moment, str) else moment
