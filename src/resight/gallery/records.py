"""The records of a gallery: entries, links, settings, counts, and what deletions and checks report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from resight.core.records import FloatArray
from resight.core.words import counted
from resight.embedding.card import short_of

LAST_ID = 2**53 - 1  # above, JSON readers round, and an engine would have no number left to give
UNIT = 1e-3  # how far an embedding's length may be from 1
LOOKED_FOR = 100  # deleted entries, of which a file is searched for the bytes
STATS_SCHEMA = "resight.gallery-stats/1"
Value = str | int | float | bool
Attributes = Mapping[str, Value]
Detail = Mapping[str, str | int | float | bool | None]  # of an audit line: counts and names of filter fields


@dataclass(frozen=True, eq=False)
class Entry:
    """One row of a gallery: the embedding of one crop, or of several crops of one track pooled together.

    embedding: (dim,) float32 of unit length. camera: the camera's name. time: seconds since 1970, UTC. track: which
    crops are of one person walking past one camera once. pid: the person id, if known. name: usually the crop's path.
    crop: the encoded picture, if the gallery keeps pictures. id: unique in its gallery and never reused; 0 until the
    gallery assigns one. person: the person's name, if the person is known by one; it determines the pid.
    """

    embedding: FloatArray
    camera: str
    time: float | None = None
    track: str | None = None
    pid: int | None = None
    name: str = ""
    attributes: Attributes = field(default_factory=dict)
    crop: bytes | None = field(default=None, repr=False)
    id: int = 0
    person: str | None = None


@dataclass(frozen=True)
class Hit:
    """An entry's id and its cosine similarity to the query."""

    id: int
    similarity: float


def in_order(hits: Iterable[Hit], top_k: int | None) -> tuple[Hit, ...]:
    """The `top_k` hits of highest similarity, highest first, ties by id. None: all of them."""
    return tuple(sorted(hits, key=lambda hit: (-hit.similarity, hit.id))[:top_k])


@dataclass(frozen=True)
class StoreHits:
    """What a store's search returns, from one consistent read.

    hits: one tuple for each query, highest similarity first. num_people: the number of people among the entries that
    match the filter: by pid with links applied, else by track, else each entry counts as one person; an upper bound
    if it is not exact. recall: the expected share of the true hits; 1 if every row was compared.
    """

    hits: tuple[tuple[Hit, ...], ...]
    num_people: int
    recall: float = 1.0


@dataclass(frozen=True)
class Link:
    """Two pids that are one person: `pid` is reported as `into`. number: what `unlink` takes."""

    number: int
    pid: int
    into: int


@dataclass(frozen=True)
class CannotLink:
    """Two pids that are two people, whatever they look like. number: what `allow_link` takes."""

    number: int
    pid: int
    other: int


@dataclass(frozen=True)
class Sighting:
    """The entries of one pid by one camera, counted. first, last: seconds since 1970, where any time is known. example:
    the lowest id."""

    pid: int
    camera: str
    entries: int
    first: float | None
    last: float | None
    example: int


@dataclass(frozen=True)
class Settings:
    """A gallery's settings, fixed when it is created.

    model, model_name, rights: identity, name and rights of the model whose embeddings it holds. dim: the dimension of
    the embeddings. keep_crops: whether it stores the pictures, so that another model can embed them later.
    audit_searches: whether searches are audited; deletions always are. created: ISO 8601.
    """

    model: str
    model_name: str
    dim: int
    keep_crops: bool = False
    audit_searches: bool = False
    created: str = ""
    rights: str = ""

    @property
    def model_label(self) -> str:
        """The model's name and enough of its identity, for messages."""
        return f"{self.model_name} ({short_of(self.model)})"


@dataclass(frozen=True)
class Placed:
    """What a store did with entries of which some may be there already. ids: of each, in order: a new one, or that of
    the equal entry. there: which of these ids were there before."""

    ids: tuple[int, ...]
    there: tuple[int, ...] = ()


@dataclass(frozen=True)
class Added:
    """What `add_dataset` and `add_rows` did. ids: of the new entries. left_out: an error message for each row that
    could not be added. there: the ids of the equal entries of rows that were there already, and are not added again.
    rows: of `add_rows`, for each row of the batch in order its id, or why it was left out."""

    ids: tuple[int, ...] = ()
    left_out: tuple[str, ...] = ()
    there: tuple[int, ...] = ()
    rows: tuple[int | str, ...] = ()


@dataclass(frozen=True)
class Forgotten:
    """What a deletion did. The entries are deleted, whatever else is reported here.

    entries: how many were deleted. traces: where their bytes may still be in the gallery's own files, why, and what
    removes them; empty: none were found. looked_for: how many embeddings and pictures (of at most 100 entries) were
    searched for in the files afterwards. beyond: where the engine may keep copies that a deletion cannot reach.
    untimed: how many entries a condition on time could not judge, and which are still there: they have no time, or one
    that is far ahead of now. site: what became of the site transform, which was made of them too; empty where there is
    none or it was not. copies: where galleries are that were made of this one by migration, and may have them too.
    """

    entries: int
    traces: tuple[str, ...] = ()
    looked_for: int = 0
    beyond: tuple[str, ...] = ()
    untimed: int = 0
    site: str = ""
    copies: tuple[str, ...] = ()

    @property
    def sought(self) -> str:
        """What was searched for in the files afterwards, in words."""
        of_site = ", the site transform of before among them," if self.site else ""
        some = f" of {LOOKED_FOR} of the {self.entries:,} entries" if self.entries > LOOKED_FOR else ""
        return f"{counted(self.looked_for, 'embedding or picture', 'embeddings and pictures')}{some}{of_site}"

    @property
    def elsewhere(self) -> str:
        """What to do about copies, in words; empty where nothing was deleted, or no copy is known."""
        if not self.copies or not self.entries:
            return ""
        places = ", ".join(self.copies)
        return f"also in {places}, made of this gallery: forget there too, or run the migration again"

    def with_more(self, other: Forgotten) -> Forgotten:
        """Two deletions of one gallery, told as one."""
        return replace(
            self,
            entries=self.entries + other.entries,
            traces=tuple(dict.fromkeys((*self.traces, *other.traces))),
            looked_for=self.looked_for + other.looked_for,
            beyond=tuple(dict.fromkeys((*self.beyond, *other.beyond))),
            site=other.site or self.site,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Stats:
    """Counts. cameras: entries by camera. first, last: the earliest and latest time, in seconds since 1970, if any is
    known. size_bytes: on disk, if the engine can tell."""

    entries: int
    people: int
    crops: int
    cameras: Mapping[str, int]
    first: float | None
    last: float | None
    size_bytes: int | None
    links: int
    audit_lines: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, by the schema `resight.gallery-stats/1`."""
        return {"schema": STATS_SCHEMA, **asdict(self)}


@dataclass(frozen=True)
class Damage:
    """One problem that `verify` found: where, what it is, and how to repair it."""

    where: str
    what: str
    remedy: str
