"""Where each person was, when, and why that is believed: what a timeline shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resight.core.errors import ConfigError, DataError
from resight.gallery.filters import Filter
from resight.gallery.gallery import Gallery
from resight.gallery.people import TRACKLETS, LinkTable, root_of
from resight.gallery.records import Entry, Link
from resight.video.adding import is_tracklet
from resight.video.linking.clustering import cluster
from resight.video.linking.evidence import Evidence, evidence_of, line_of
from resight.video.linking.linker import WINDOW, own_links, with_cannot_links
from resight.video.linking.planning import SURE, held_together, plan_of, reason_of
from resight.video.linking.sightings import Sightings, sightings_of
from resight.video.linking.site import UNKNOWN_PLACE, Site


@dataclass(frozen=True, eq=False)
class Sighting:
    """One tracklet of a timeline. start, end: seconds since 1970. probability: of its link, None where a user made it
    or there is none. reason: in words. unsure: it is not linked, but may be this person too. crop: the encoded picture,
    if the gallery keeps it."""

    entry: int
    camera: str
    track: str
    start: float
    end: float
    probability: float | None
    reason: str
    unsure: bool
    crop: bytes | None


@dataclass(frozen=True, eq=False)
class Followed:
    """A person. person: the number, or None of a tracklet that is linked with nobody. sightings: by time."""

    person: int | None
    sightings: tuple[Sighting, ...]


def follow(
    gallery: Gallery,
    site: Site = UNKNOWN_PLACE,
    *,
    pid: int | None = None,
    after: float | None = None,
    before: float | None = None,
    alone: bool = True,
) -> list[Followed]:
    """The people of a gallery's videos, those with the most tracklets first. Nothing is changed.

    pid: only this person, and who may be the same. after, before: seconds since 1970. alone: also tracklets that are
    linked with nobody.

    Raises DataError where there is nothing, ConfigError where there is too much for one page, or no such person.
    """
    entries = [entry for entry in gallery.entries(Filter(after=after, before=before)) if is_tracklet(entry)]
    if not entries:
        raise DataError("no tracklet of video is there in this time: `resight video add` first")
    if len(entries) > WINDOW:
        raise ConfigError(f"{len(entries):,} tracklets are too many for one page: narrow it by --after and --before")
    found = sightings_of(entries, site)
    place = with_cannot_links(site, found, gallery)
    evidence = evidence_of(found, line_of(gallery.needed_model().calibration), place)
    links, own = gallery.links(), own_links(gallery)
    table = LinkTable((link.pid, link.into) for link in links)
    chances = {link.pid: own.get(link.number) for link in links}
    by_id = {entry.id: entry for entry in entries}
    roots = [root_of(int(each), table) for each in found.pids]
    doubts = _doubts(found, evidence, table, links, frozenset(own))
    wanted = None if pid is None else table.members_of(pid)
    people = []
    for root in dict.fromkeys(roots):
        rows = [row for row in range(len(found)) if roots[row] == root]
        number = None if root >= TRACKLETS and len(rows) == 1 else root
        if wanted is not None and root not in wanted and not wanted & {int(found.pids[row]) for row in rows}:
            continue
        if number is None and not alone and wanted is None:
            continue
        seen = [_sighting(by_id, found, evidence, row, [mate for mate in rows if mate != row], chances) for row in rows]
        for row in rows:
            seen += [_unsure(by_id, found, other, chance, why) for other, chance, why in doubts.get(row, ())]
        people.append(Followed(number, tuple(sorted(_once(seen), key=lambda each: (each.start, each.entry)))))
    if not people:
        raise ConfigError(f"no tracklet of a person {pid} is there in this time; `resight video link` numbers people")
    return sorted(people, key=lambda each: (-len(each.sightings), each.sightings[0].start))


def _doubts(
    found: Sightings, evidence: Evidence, table: dict[int, int], links: Sequence[Link], own: frozenset[int]
) -> dict[int, list[tuple[int, float, str]]]:
    """Of each row: rows that may be the same person, how likely, and why."""
    held = held_together(found, links, own)
    clusters = cluster(evidence.ratios, evidence.prior, evidence.forbidden, held)
    plan = plan_of(found, evidence, clusters, links, own, SURE)
    row_of = {int(number): row for row, number in enumerate(found.ids)}
    doubts: dict[int, list[tuple[int, float, str]]] = {}
    for each in plan.unsure:
        one, other = row_of[each.entry], row_of[each.other]
        if root_of(int(found.pids[one]), table) != root_of(int(found.pids[other]), table):
            doubts.setdefault(other, []).append((one, each.probability, each.reason))
    return doubts


def _sighting(
    by_id: dict[int, Entry],
    found: Sightings,
    evidence: Evidence,
    row: int,
    mates: list[int],
    chances: dict[int, float | None],
) -> Sighting:
    entry = by_id[int(found.ids[row])]
    pid = int(found.pids[row])
    chance = chances.get(pid)
    by_hand = pid in chances and chance is None
    reason = "linked by hand" if by_hand else reason_of(found, evidence, row, mates)[1] if mates else "seen once"
    return _made(entry, found, row, chance, reason, False)


def _unsure(by_id: dict[int, Entry], found: Sightings, row: int, chance: float, reason: str) -> Sighting:
    return _made(by_id[int(found.ids[row])], found, row, chance, reason, True)


def _made(entry: Entry, found: Sightings, row: int, chance: float | None, reason: str, unsure: bool) -> Sighting:
    start, end = float(found.starts[row]), float(found.ends[row])
    return Sighting(entry.id, entry.camera, entry.track or "", start, end, chance, reason, unsure, entry.crop)


def _once(sightings: list[Sighting]) -> list[Sighting]:
    """Each entry once: sure ones, and of unsure ones the likeliest."""
    found: dict[int, Sighting] = {}
    for each in sorted(sightings, key=lambda one: (one.unsure, -(one.probability or 0))):
        found.setdefault(each.entry, each)
    return list(found.values())
