"""A search: what the store finds, turned into matches with decisions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, overload

from resight.core.calibration import BESIDE, IF_ANYBODY, KNOWN, Decision, Rate
from resight.core.records import FloatArray
from resight.core.visibility import SECOND_STAGE, Parts
from resight.gallery.arguments import pooled
from resight.gallery.filters import Filter
from resight.gallery.people import NAMED, Links, person_of, root_of
from resight.gallery.records import Entry, Hit, StoreHits
from resight.gallery.search.meaning import Meaning, calibration_of
from resight.gallery.search.naming import LOOKED_AT, named, reaches
from resight.gallery.search.occluded import compared_again
from resight.gallery.store import SiteChanged, Store
from resight.site.transform import SiteTransform

if TYPE_CHECKING:
    from resight.embedding.model import Model

SCHEMA = "resight.answer/1"


@dataclass(frozen=True, eq=False)
class Match:
    """One entry that a search found.

    similarity: cosine, higher is closer. decision: whether it shows the person searched for; None if the model is not
    calibrated. probability: P(same), with the prior that the number of people in the gallery gives, and its interval;
    None where the calibration does not know it. strangers: of searches for strangers, the share whose nearest answer is
    as similar or more. person: who it shows: the name or the pid with links applied, else its track, else the entry
    itself. The other properties are the entry's.
    """

    similarity: float
    decision: Decision | None
    person: str
    entry: Entry
    probability: Rate | None = None
    strangers: Rate | None = None

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
            "probability": asdict(self.probability) if self.probability else None,
            "person": self.person,
            **{name: getattr(self, name) for name in ("id", "camera", "time", "track", "pid", "name")},
            "attributes": dict(self.entry.attributes),
        }


@dataclass(frozen=True, eq=False)
class SearchResult(Sequence[Match]):
    """The matches of one search, highest similarity first, and the decision on the search as a whole.

    decision, person: of the nearest entry that matches the filter, whether or not it is among the matches; the decision
    is None if what is compared is not calibrated. num_people: how many people the entries that match the filter show,
    which the decision takes into account. recall: 1 if every entry was compared; of an approximate search, the measured
    share of the true matches that such searches find. site: the identity of the site transform that was applied, empty
    if none. strangers: of searches for strangers among so many people, the share whose nearest answer is as similar as
    this one's, or more; None if what is compared is not calibrated. named: of the decision `if anybody`, the few people
    one of whom it is, if it is anybody who matches the filter; the nearest first. notes: what may be wrong with
    what was searched for, in words.

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
    site: str = ""
    strangers: Rate | None = None
    named: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """`known as X`, `nobody we know`, `X, if anybody`, `X or Y, if anybody` or `unsure`, of the search as a whole;
        empty if there is no decision."""
        if self.decision is not None and self.decision.verdict == IF_ANYBODY:
            return f"{' or '.join(self.named)}, {IF_ANYBODY}"
        return _verdict(self.decision, self.person)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, by the schema `resight.answer/1`."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "decision": asdict(self.decision) if self.decision else None,
            "named": list(self.named),
            "num_people": self.num_people,
            "strangers": asdict(self.strangers) if self.strangers else None,
            "recall": self.recall,
            "site": self.site,
            "notes": list(self.notes),
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
    """The checked arguments of a search. vectors: (q, dim) float32, raw. hidden: the occluded part of the picture, as
    (from, to) in fractions of its height; parts: where the strips lie in an embedding, if something is hidden. seen_by:
    the cameras that saw what is searched for, one a row. pool: makes one search of all rows."""

    vectors: FloatArray
    top_k: int | None
    filter: Filter
    min_similarity: float | None
    false_positive_rate: float
    false_negative_rate: float
    hidden: tuple[float, float] | None = None
    parts: Parts | None = None
    seen_by: tuple[str | None, ...] = ()
    pool: str | None = None


def search(store: Store, model: Model | None, query: Query) -> list[SearchResult]:
    """A result for each row of the query, with decisions if there is a calibration of what is compared.

    Raises GalleryError; SiteChanged where the site transform was changed twice meanwhile.
    """
    try:
        return _search(store, model, query)
    except SiteChanged:
        return _search(store, model, query)


def _search(store: Store, model: Model | None, query: Query) -> list[SearchResult]:
    site = store.site()
    identity = site.identity if site else ""
    each = query.vectors if site is None else site.apply(query.vectors, query.seen_by)
    raw, compared = (
        rows if query.pool is None else pooled(rows, query.pool)[1][None] for rows in (query.vectors, each)
    )
    calibration = None if query.hidden is not None else calibration_of(model, site)
    if query.hidden is not None and query.parts is not None:  # the strips are compared as they are stored
        found = store.search(compared, SECOND_STAGE, query.filter, None, identity)
        entries = _entries(store, found.hits)
        least = query.min_similarity
        found = near = compared_again(found, raw, entries, query.parts, query.hidden, query.top_k, least)
    elif calibration is None:
        found = near = store.search(compared, query.top_k, query.filter, query.min_similarity, identity)
    else:
        found, near = _with_others(store, query, compared, identity)
    rates = query.false_positive_rate, query.false_negative_rate
    meaning = Meaning(calibration, site, found.num_people, *rates)
    margin, of_margin = meaning.margin or (0.0, None)
    wide = _wide(store, query, compared, near, identity, meaning) if of_margin else {}
    links = store.linked().roots
    entries = _entries(store, (*found.hits, *near.hits, *(hits for hits, _ in wide.values())))
    names = names_of(store, entries.values(), links)

    def match_of(hit: Hit, seen_by: Sequence[str | None], people: Mapping[int, float]) -> Match:
        entry = entries[hit.id]
        own = None if entry.pid is None else root_of(entry.pid, links)
        others = [] if own is None else [nearest for pid, nearest in people.items() if pid != own]
        said = meaning.of(hit.similarity, (*seen_by, entry.camera), others)
        return Match(
            hit.similarity, said.decision, person_of(entry, links, names), entry, said.probability, said.strangers
        )

    notes = () if query.pool is None else meaning.unlike(each)
    results = []
    for row, (hits, beside) in enumerate(zip(found.hits, near.hits, strict=True)):
        seen_by = query.seen_by if query.pool is not None else query.seen_by[row : row + 1]
        there = [hit for hit in beside if hit.id in entries]  # others were deleted meanwhile
        nearest = _nearest_of_people(there, entries, links, site)
        matches = tuple(match_of(hit, seen_by, nearest) for hit in hits if hit.id in entries)
        best = match_of(there[0], seen_by, nearest) if there else None
        decision = best.decision if best else meaning.of(-1.0, seen_by).decision
        people: tuple[str, ...] = ()
        if row in wide and best is not None and best.probability is not None:  # the nearest is by a camera of a mean
            there = [hit for hit in wide[row][0] if hit.id in entries]
            people = named(there, wide[row][1], margin, lambda hit: person_of(entries[hit.id], links, names))
        if people:
            decision = Decision(IF_ANYBODY, of_margin)
        results.append(
            SearchResult(
                matches,
                decision,
                found.num_people,
                found.recall,
                best.person if best else "",
                identity,
                best.strangers if best else None,
                people,
                notes,
            )
        )
    return results


def _with_others(store: Store, query: Query, compared: FloatArray, identity: str) -> tuple[StoreHits, StoreHits]:
    """What was asked for; and the nearest hits, BESIDE at the least, that what is said of it rests on, however few were
    asked for and however alike."""
    if query.top_k is None:
        found = store.search(compared, None, query.filter, query.min_similarity, identity)
        if query.min_similarity is None:
            return found, found
        return found, store.search(compared, BESIDE, query.filter, None, identity)
    near = store.search(compared, max(query.top_k, BESIDE), query.filter, None, identity)
    least = -math.inf if query.min_similarity is None else query.min_similarity
    asked = (tuple(hit for hit in hits if hit.similarity >= least)[: query.top_k] for hits in near.hits)
    return replace(near, hits=tuple(asked)), near


def _wide(
    store: Store, query: Query, compared: FloatArray, near: StoreHits, identity: str, meaning: Meaning
) -> dict[int, tuple[tuple[Hit, ...], int | None]]:
    """Of each search that is unsure: hits that reach further below the nearest than the margin, if some of LOOKED_AT
    do; and how many were asked for."""
    margin = meaning.margin[0] if meaning.margin else 0.0
    asked = None if query.top_k is None and query.min_similarity is None else max(query.top_k or 0, BESIDE)
    rows = [row for row, hits in enumerate(near.hits) if hits and meaning.undecided(hits[0].similarity)]
    wide = {row: (near.hits[row], asked) for row in rows if reaches(near.hits[row], asked, margin)}
    again = [row for row in rows if row not in wide]
    if again:
        more = store.search(compared[again], LOOKED_AT, query.filter, None, identity).hits
        wide |= {row: (hits, LOOKED_AT) for row, hits in zip(again, more, strict=True) if hits}
    return wide


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


def _nearest_of_people(
    hits: Sequence[Hit], entries: Mapping[int, Entry], links: Links, site: SiteTransform | None
) -> dict[int, float]:
    """Of each person with a pid, the similarity of the nearest hit by a camera that the site knows. hits: the nearest
    first."""
    nearest: dict[int, float] = {}
    for hit in hits:
        entry = entries[hit.id]
        if entry.pid is not None and (site is None or site.knows(entry.camera)):
            nearest.setdefault(root_of(entry.pid, links), hit.similarity)
    return nearest


def _entries(store: Store, found: Sequence[Sequence[Hit]]) -> dict[int, Entry]:
    """The entries of all hits, by id, without those that were deleted meanwhile."""
    ids = sorted({hit.id for hits in found for hit in hits})
    return {entry.id: entry for entry in store.read(ids)}


def _verdict(decision: Decision | None, person: str) -> str:
    if decision is None:
        return ""
    return f"known as {person}" if decision.verdict == KNOWN else decision.verdict
