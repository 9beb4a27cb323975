"""What goes into a gallery, and what comes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from resight.core.calibration import KNOWN, Decision
from resight.core.records import FloatArray

UNIT = 1e-3  # how far an embedding's length may be from 1
Value = str | int | float | bool
Attributes = Mapping[str, Value]


@dataclass(frozen=True, eq=False)
class Entry:
    """One picture, or several of one walk taken together. id: 0 until a store gives it one.

    embedding: (dim,) float32 of unit length. camera: any name. time: seconds since 1970, UTC. track: which pictures
    are of one walk past one camera. pid: who it is, where known. name: what to call it, a path usually. crop: the
    encoded picture, where the gallery keeps them.
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


@dataclass(frozen=True)
class Where:
    """Which entries are meant: those of which all that is given holds. after <= time < before, in seconds since 1970.

    An entry without a time, track or pid is not meant where one is given, and is never excluded for it. pids: as
    linked. attributes: equal in each of these.
    """

    cameras: tuple[str, ...] | None = None
    after: float | None = None
    before: float | None = None
    tracks: tuple[str, ...] | None = None
    exclude_tracks: tuple[str, ...] = ()
    pids: tuple[int, ...] | None = None
    exclude_pids: tuple[int, ...] = ()
    exclude_cameras: tuple[str, ...] = ()
    attributes: Attributes = field(default_factory=dict)
    ids: tuple[int, ...] | None = None

    def names(self) -> tuple[str, ...]:
        """What is given, without its values: for the audit, which must not say whom a line was about."""
        empty = Where()
        return tuple(name for name in self.__dataclass_fields__ if getattr(self, name) != getattr(empty, name))


@dataclass(frozen=True)
class Hit:
    """An entry that a store found, and its similarity."""

    id: int
    similarity: float


def in_order(hits: Iterable[Hit], top: int | None) -> tuple[Hit, ...]:
    """The `top` most alike first, by id where equal; None: all."""
    return tuple(sorted(hits, key=lambda hit: (-hit.similarity, hit.id))[:top])


@dataclass(frozen=True)
class Findings:
    """What a store found, of one moment. answers: for each query. num_people: how many people the entries that could
    have answered show, as linked: by pid, else by track, else one each; rather too many than too few. recall: the share
    of what a comparison with every row would have found; 1 where it was one."""

    answers: tuple[tuple[Hit, ...], ...]
    num_people: int
    recall: float = 1.0


@dataclass(frozen=True, eq=False)
class Match:
    """One answer. decision: None without a calibration. person: who it shows, by pid as linked, else by its track or
    itself. The other fields are the entry's."""

    similarity: float
    decision: Decision | None
    person: str
    entry: Entry

    @property
    def id(self) -> int:
        """Of the entry."""
        return self.entry.id

    @property
    def camera(self) -> str:
        """Of the entry."""
        return self.entry.camera

    @property
    def time(self) -> float | None:
        """Of the entry, in seconds since 1970."""
        return self.entry.time

    @property
    def track(self) -> str | None:
        """Of the entry."""
        return self.entry.track

    @property
    def pid(self) -> int | None:
        """Of the entry, as it was added."""
        return self.entry.pid

    @property
    def name(self) -> str:
        """Of the entry."""
        return self.entry.name

    @property
    def verdict(self) -> str:
        """`known as X`, `nobody we know`, `unsure`, or nothing where there is no calibration."""
        return _verdict(self.decision, self.person)


@dataclass(frozen=True, eq=False)
class Answer(Sequence[Match]):
    """The matches of one search, the most alike first. decision, person: of the nearest entry that may answer, shown or
    not; the decision is None without a calibration.

    num_people: among the entries that could have answered, which the decision takes into account. recall: 1 where
    every entry was compared; of an approximate search, what share of the true answers such searches find, as measured.
    """

    matches: tuple[Match, ...]
    decision: Decision | None
    num_people: int
    recall: float = 1.0
    person: str = ""

    @property
    def verdict(self) -> str:
        """As Match's: of the search as a whole."""
        return _verdict(self.decision, self.person)

    def __len__(self) -> int:
        return len(self.matches)

    def __getitem__(self, place):  # type: ignore[no-untyped-def]  # int or slice, as tuple has it
        return self.matches[place]

    def __iter__(self) -> Iterator[Match]:
        return iter(self.matches)


def _verdict(decision: Decision | None, person: str) -> str:
    if decision is None:
        return ""
    return f"known as {person}" if decision.verdict == KNOWN else decision.verdict


@dataclass(frozen=True)
class Link:
    """Two pids that are one person: `pid` is told as `into`."""

    number: int
    pid: int
    into: int


@dataclass(frozen=True)
class Settings:
    """What a gallery is, fixed when it is made. model: the identity of the model whose embeddings it takes.

    keep_crops: whether the pictures are kept, so that another model could embed them. audit_searches: whether each
    search is written down; each deletion always is.
    """

    model: str
    model_name: str
    dim: int
    keep_crops: bool = False
    audit_searches: bool = False
    created: str = ""
    rights: str = ""


@dataclass(frozen=True)
class Forgotten:
    """entries: how many were removed. traces: what is left of them now, and what removes it; empty: nothing was found.

    looked_for: how many embeddings and pictures, up to a hundred entries', were looked for in the files afterwards.
    beyond: where the engine may hold them still, out of `forget`'s reach.
    """

    entries: int
    traces: tuple[str, ...] = ()
    looked_for: int = 0
    beyond: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stats:
    """Counts. first, last: times in seconds since 1970, where known. size_bytes: on disk, where the store knows."""

    entries: int
    people: int
    crops: int
    cameras: Mapping[str, int]
    first: float | None
    last: float | None
    size_bytes: int | None
    links: int
    audit_lines: int


@dataclass(frozen=True)
class Damage:
    """What `verify` found: where, what, and what to do."""

    where: str
    what: str
    remedy: str
