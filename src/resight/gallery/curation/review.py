"""Pairs of people that are worth a look: they may be one person, and nobody has said so or otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resight.core.calibration import Calibration
from resight.core.distances import unit_rows
from resight.core.records import FloatArray
from resight.gallery.curation.apart import APART, read
from resight.gallery.curation.listing import Person
from resight.gallery.people import root_of
from resight.gallery.search.meaning import calibration_of
from resight.site.transform import SiteTransform

if TYPE_CHECKING:
    from resight.gallery.gallery import Gallery

EACH = 8  # entries of a person that are looked at


@dataclass(frozen=True)
class Pair:
    """Two people, the cosine similarity of their mean embeddings, with the site transform applied, and what the
    calibration says of it: P(same) at even odds and the verdict; None and empty if there is none."""

    first: Person
    second: Person
    similarity: float
    probability: float | None
    verdict: str


def doubtful_pairs(gallery: Gallery, limit: int = 10, most: int = 1000) -> list[Pair]:
    """The pairs that are least sure, the least sure first: P(same) is nearest to a half; without a calibration, the
    most alike. Those that are linked or kept apart are left out.

    most: people who are compared, those with the lowest pids. It takes most^2 similarities.
    """
    people = gallery.people(limit=most)
    if len(people) < 2:
        return []
    site = gallery.site.transform
    means = np.stack([_mean(gallery, site, person) for person in people])
    similarity = (means @ means.T).astype(np.float64)
    calibration = calibration_of(gallery.model, site)
    doubt = -similarity if calibration is None else np.abs(calibration.probability(similarity) - 0.5)
    doubt[np.tril_indices(len(people))] = np.inf
    place = {person.pid: row for row, person in enumerate(people)}
    links = gallery.store.linked().roots
    for pair in read(gallery.store.note(APART)):
        rows = sorted(place[root] for pid in (pair.pid, pair.other) if (root := root_of(pid, links)) in place)
        if len(rows) == 2:
            doubt[rows[0], rows[1]] = np.inf
    flat = np.argsort(doubt, axis=None, kind="stable")[:limit]
    chosen = [divmod(int(number), len(people)) for number in flat if np.isfinite(doubt.flat[number])]
    return [_pair(people[one], people[other], float(similarity[one, other]), calibration) for one, other in chosen]


def _mean(gallery: Gallery, site: SiteTransform | None, person: Person) -> FloatArray:
    entries = gallery.page(limit=EACH, pids=person.pids)
    rows = np.stack([entry.embedding for entry in entries])
    rows = rows if site is None else site.apply(rows, [entry.camera for entry in entries])
    mean: FloatArray = unit_rows(rows.mean(axis=0, keepdims=True))[0]
    return mean


def _pair(first: Person, second: Person, similarity: float, calibration: Calibration | None) -> Pair:
    if calibration is None:
        return Pair(first, second, similarity, None, "")
    likely = float(calibration.probability(similarity))
    return Pair(first, second, similarity, likely, calibration.decide_pair(similarity).verdict)
