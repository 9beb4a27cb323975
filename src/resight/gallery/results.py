"""A search: what the store finds, turned into matches with decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, overload

from resight.core.calibration import KNOWN, Decision
from resight.core.records import FloatArray
from resight.core.visibility import SECOND_STAGE, Parts
from resight.embedding.model import Model
from resight.gallery.filters import Filter
from resight.gallery.people import NAMED, Links, person_of, root_of
from resight.gallery.records import Entry, Hit
from resight.gallery.search.occluded import compared_again
from resight.gallery.store import Store

SCHEMA = "resight.answer/1"
Decide = Callable[[float], Decision]


@dataclass(frozen=True, eq=False)
class Match:
    """One entry that a search found.

    similarity: cosine, higher is closer. decision: whether it shows the person searched for; None if the model is not
    calibrated. person: who it shows: the name or the pid with links applied, else its track, else the entry itself. The
    other properties are the entry's.
    """

    similarity: float
    decision: Decision | None
    person: str
    entry: Entry

    @property
    def id(self) -> int:
        """The entry's id."""
        return self.entry.id

    @property
    def camera(self) -> str:
        """The entry's camera."""
        return self.entry.camera

    @property
    def time(self) -> float | None:
        """The entry's time, in seconds since 1970."""
        return self.entry.time

    @property
    def track(self) -> str | None:
        """The entry's track."""
        return self.entry.track

    @property
    def pid(self) -> int | None:
        """The entry's pid as it was added, without links."""
        return self.entry.pid

    @property
    def name(self) -> str:
        """The entry's name, usually the path of its crop."""
        return self.entry.name

    @property
    def verdict(self) -> str:
        """`known as X`, `nobody we know` or `unsure`; empty if there is no decision."""
        return _verdict(self.decision, self.person)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: what `SearchResult.to_dict` has of each match."""
        return {
            "similarity": self.similarity,
            "verdict": self.verdict,
            "person": self.person,
            **{name: getattr(self, name) for name in ("id", "camera", "time", "track", "pid", "name")},
            "attributes": dict(self.entry.attributes),
        }


@dataclass(frozen=True, eq=False)
class SearchResult(Sequence[Match]):
    """The matches of one search, highest similarity first, and the decision on the search as a whole.

    decision, person: of the nearest entry that matches the filter, whether or not it is among the matches; the decision
    is None if the model is not calibrated. num_people: how many people the entries that match the filter show, which
    the decision takes into account. recall: 1 if every entry was compared; of an approximate search, the measured share
    of the true matches that such searches find.

    Example:
        >>> import resight
        >>> from resight.data.city.synthetic import CityConfig, draw_city
        >>> size = {"crops_per_camera": 2, "height": 64, "width": 32}
        >>> city = draw_city(CityConfig(train_people=1, test_people=3, cameras=2, **size))
        >>> with resight.open_gallery("result.db", resight.load("city"), new=True) as gallery:
        ...     added = gallery.add_dataset(city, splits=["gallery"])
        ...     result = gallery.search(city.query[0].read(), top_k=2)
        >>> len(result), result.num_people, result[0].similarity >= result[1].similarity
        (2, 3, True)
        >>> result.to_dict()["matches"][0]["id"] == result[0].id
        True
    """

    matches: tuple[Match, ...]
    decision: Decision | None
    num_people: int
    recall: float = 1.0
    person: str = ""

    @property
    def verdict(self) -> str:
        """`known as X`, `nobody we know` or `unsure`, of the search as a whole; empty if there is no decision."""
        return _verdict(self.decision, self.person)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, by the schema `resight.answer/1`."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "decision": asdict(self.decision) if self.decision else None,
            "num_people": self.num_people,
            "recall": self.recall,
            "matches": [match.to_dict() for match in self.matches],
        }

    def __len__(self) -> int:
        return len(self.matches)

    @overload
    def __getitem__(self, index: int) -> Match: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Match, ...]: ...
    def __getitem__(self, index: int | slice) -> Match | tuple[Match, ...]:
        return self.matches[index]

    def __iter__(self) -> Iterator[Match]:
        return iter(self.matches)


@dataclass(frozen=True, eq=False)
class Query:
    """The checked arguments of a search. vectors: (q, dim) float32. hidden: the occluded part of the picture, as (from,
    to) in fractions of its height; parts: where the strips lie in an embedding, if something is hidden."""

    vectors: FloatArray
    top_k: int | None
    filter: Filter
    min_similarity: float | None
    false_positive_rate: float
    false_negative_rate: float
    hidden: tuple[float, float] | None = None
    parts: Parts | None = None


def search(store: Store, model: Model | None, query: Query) -> list[SearchResult]:
    """A result for each row of the query, with decisions if there is a calibrated model. Raises GalleryError."""
    if query.hidden is None or query.parts is None:
        found = store.search(query.vectors, query.top_k, query.filter, query.min_similarity)
    else:
        found = store.search(query.vectors, SECOND_STAGE, query.filter, None)
        entries = _entries(store, found.hits)
        least = query.min_similarity
        found = compared_again(found, query.vectors, entries, query.parts, query.hidden, query.top_k, least)
    decide = None if model is None or query.hidden is not None else decider(model, found.num_people, query)
    nearest = [hits[:1] for hits in found.hits]
    cut = [row for row, hits in enumerate(nearest) if not hits]
    if cut and decide and query.min_similarity is not None:  # the decision is on the nearest entry, shown or not
        again = store.search(query.vectors[cut], 1, query.filter, None).hits
        for row, hits in zip(cut, again, strict=True):
            nearest[row] = hits
    links = {link.pid: link.into for link in store.links()}
    entries = _entries(store, (*found.hits, *nearest))
    names = names_of(store, entries.values(), links)

    def match_of(hit: Hit) -> Match:
        decision = decide(hit.similarity) if decide else None
        return Match(hit.similarity, decision, person_of(entries[hit.id], links, names), entries[hit.id])

    results = []
    for hits, first in zip(found.hits, nearest, strict=True):
        matches = tuple(match_of(hit) for hit in hits if hit.id in entries)  # others were deleted meanwhile
        best = next((match_of(hit) for hit in first if hit.id in entries), None)
        decision = best.decision if best else decide(-1.0) if decide else None
        results.append(SearchResult(matches, decision, found.num_people, found.recall, best.person if best else ""))
    return results


def names_of(store: Store, entries: Iterable[Entry], links: Links) -> dict[int, str]:
    """The names of the people that entries show, by pid, with links applied; of people who have names."""
    names: dict[int, str] = {}
    wanted: set[int] = set()
    for entry in entries:
        if entry.pid is not None:
            wanted.add(root_of(entry.pid, links))
            names |= {} if entry.person is None else {entry.pid: entry.person}
    for pid in {pid for pid in wanted - set(names) if pid >= NAMED}:  # linked into a name that was not found itself
        found = (entry.person for entry in store.scan(Filter(pids=(pid,))) if entry.pid == pid)
        name = next(found, None)
        names |= {} if name is None else {pid: name}
    return names


def decider(model: Model, num_people: int, query: Query) -> Decide | None:
    """What a similarity means among so many people; None if the model is not calibrated."""
    calibration = model.calibration
    if calibration is None:
        return None
    rates = {name: getattr(query, name) for name in ("false_positive_rate", "false_negative_rate")}
    return lambda similarity: calibration.decide_search(similarity, num_people, **rates)


def _entries(store: Store, found: Sequence[Sequence[Hit]]) -> dict[int, Entry]:
    """The entries of all hits, by id, without those that were deleted meanwhile."""
    ids = sorted({hit.id for hits in found for hit in hits})
    return {entry.id: entry for entry in store.read(ids)}


def _verdict(decision: Decision | None, person: str) -> str:
    if decision is None:
        return ""
    return f"known as {person}" if decision.verdict == KNOWN else decision.verdict
