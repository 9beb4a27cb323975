"""What linking would change: from clusters of tracklets to links of a gallery, with what stands there already.

A person is a number that no entry has; each tracklet is linked into it by a link of its own, so that each can be undone
by itself, and forgetting one leaves the others together. The number is that of the person's first link, which galleries
never give twice. What a user has linked by hand stays, and nobody whom a user has joined is taken apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from resight.core.records import IntArray
from resight.gallery.people import TRACKLETS, root_of
from resight.gallery.records import Link
from resight.video.linking.clustering import Clusters
from resight.video.linking.evidence import Evidence
from resight.video.linking.sightings import Sightings

SURE = 0.5  # links of a lower probability are not made


@dataclass(frozen=True)
class Proposal:
    """One tracklet and the person whom it is of. entry: its id. pid: its own. person: the number, or, of somebody new,
    -1, -2, ... probability: that this is right, against every other person there and somebody new. reason: in words."""

    entry: int
    pid: int
    person: int
    probability: float
    reason: str


@dataclass(frozen=True)
class Unsure:
    """A tracklet that is likely of a person, and not likely enough. other: an entry of that person."""

    entry: int
    other: int
    probability: float
    reason: str


@dataclass(frozen=True, eq=False)
class Plan:
    """links: to make. undo: numbers of links to undo first. unsure: by probability, the likeliest first. stay: links
    that are there already and stay. people: persons of two tracklets or more. alone: tracklets of no such person.
    about: how many people are likely behind all. expected_f: of pairs of tracklets, by the probabilities."""

    links: tuple[Proposal, ...]
    undo: tuple[int, ...]
    unsure: tuple[Unsure, ...]
    stay: int
    people: int
    alone: int
    about: float
    expected_f: float
    tracklets: int


def held_together(found: Sightings, links: Sequence[Link], ours: frozenset[int]) -> IntArray:
    """(n,) labels of tracklets that users have said to be of one person, -1 of all others. ours: links of our own."""
    table = {link.pid: link.into for link in links}
    by_hand = {root_of(link.into, table) for link in links if link.number not in ours}
    roots = [root_of(int(pid), table) for pid in found.pids]
    return np.array([root if root in by_hand else -1 for root in roots], np.int64)


def plan_of(
    found: Sightings,
    evidence: Evidence,
    clusters: Clusters,
    links: Sequence[Link],
    ours: frozenset[int],
    sure: float = SURE,
) -> Plan:
    """links: all of the gallery. ours: the numbers of those that linking made, the only ones that it may undo."""
    table = {link.pid: link.into for link in links}
    by_pid = {link.pid: link for link in links}
    held = held_together(found, links, ours)
    rows_of = _sure_rows(clusters, held, sure)
    persons = _persons(rows_of, found, table, held)
    proposals, undo, stay = list[Proposal](), list[int](), 0
    wanted = {row: persons[label] for label, rows in rows_of.items() for row in rows}
    first_of = {pid: row for row, pid in reversed(list(enumerate(found.pids.tolist())))}
    for row in range(len(found)):
        pid, person = int(found.pids[row]), wanted.get(row)
        if first_of[pid] != row:  # two tracklets of one pid, as resight added them once: linked once
            continue
        there = by_pid.get(pid)
        if held[row] >= 0 and there is not None:
            stay += 1
            continue
        if there is not None and there.number not in ours:
            continue
        if there is not None and person is not None and root_of(there.into, table) == person:
            stay += 1
            continue
        if there is not None:
            undo.append(there.number)
        if person is not None and person != pid:
            mates = [mate for mate in rows_of[int(clusters.labels[row])] if mate != row]
            proposals.append(
                Proposal(
                    int(found.ids[row]),
                    pid,
                    person,
                    float(clusters.probability[row]),
                    reason_of(found, evidence, row, mates)[1],
                )
            )
    return Plan(
        tuple(proposals),
        tuple(undo),
        tuple(_unsure(found, evidence, clusters, rows_of)),
        stay,
        len(rows_of),
        len(found) - len(wanted),
        evidence.people,
        clusters.expected_f,
        len(found),
    )


def reason_of(found: Sightings, evidence: Evidence, row: int, mates: Sequence[int]) -> tuple[int, str]:
    """The tracklet among mates that speaks most for it, and how, in words."""
    mate = max(mates, key=lambda other: (float(evidence.ratios[row, other]), -other))
    gap = float(evidence.gaps[row, mate])
    first, second = (row, mate) if found.starts[row] <= found.starts[mate] else (mate, row)
    where = (
        f"again on {found.camera(row)}"
        if found.camera(row) == found.camera(mate)
        else f"{found.camera(first)} to {found.camera(second)}"
    )
    when = f"after {period(gap)}" if gap > 0 else "at one time"
    return mate, f"looks alike (similarity {evidence.similarity[row, mate]:.2f}), {where} {when}"


def period(seconds: float) -> str:
    """In words: 41 s, 3.5 min, 2.1 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _sure_rows(clusters: Clusters, held: IntArray, sure: float) -> dict[int, list[int]]:
    """Of each person with two or more: the rows that surely belong there."""
    found: dict[int, list[int]] = {}
    for label in range(int(clusters.labels.max()) + 1):
        rows = np.flatnonzero(clusters.labels == label)
        if len(rows) < 2:
            continue
        good = rows[(clusters.probability[rows] >= sure) | (held[rows] >= 0)]
        if len(good) >= 2:
            found[label] = good.tolist()
    return found


def _persons(
    rows_of: Mapping[int, Sequence[int]], found: Sightings, table: Mapping[int, int], held: IntArray
) -> dict[int, int]:
    """The number of each person: the one that most of the tracklets have already; of somebody new, -1, -2, ..."""
    votes: Counter[tuple[int, int]] = Counter()
    for label, rows in rows_of.items():
        for row in rows:
            root = root_of(int(found.pids[row]), table)
            if root < TRACKLETS or held[row] >= 0:
                votes[label, root] += len(found) if held[row] >= 0 else 1
    persons: dict[int, int] = {}
    for (label, root), _ in sorted(votes.items(), key=lambda vote: (-vote[1], vote[0][1], vote[0][0])):
        if label not in persons and root not in persons.values():
            persons[label] = root
    fresh = iter(range(-1, -len(rows_of) - 2, -1))
    return {label: persons[label] if label in persons else next(fresh) for label in rows_of}


def _unsure(
    found: Sightings, evidence: Evidence, clusters: Clusters, rows_of: Mapping[int, Sequence[int]], least: float = 0.2
) -> list[Unsure]:
    """What was clustered, but not surely, and what might well be of another person too."""
    linked = {row for rows in rows_of.values() for row in rows}
    seen: set[frozenset[int]] = set()
    unsure = []
    for row in range(len(found)):
        if row not in linked and clusters.probability[row] < 1:
            label, probability = int(clusters.labels[row]), float(clusters.probability[row])
        else:
            label, probability = int(clusters.alternative[row]), float(clusters.alternative_probability[row])
        mates = (
            [mate for mate in np.flatnonzero(clusters.labels == label).tolist() if mate != row] if label >= 0 else []
        )
        if not mates or probability < least:
            continue
        mate, reason = reason_of(found, evidence, row, mates)
        if frozenset((row, mate)) not in seen:
            seen.add(frozenset((row, mate)))
            unsure.append(Unsure(int(found.ids[row]), int(found.ids[mate]), probability, reason))
    return sorted(unsure, key=lambda each: (-each.probability, each.entry))
