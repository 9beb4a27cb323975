"""What searches find, person by person: the nearest picture of each person counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resight.core.distances import distance_blocks
from resight.core.errors import DataError
from resight.core.records import EmbeddedCrops, FloatArray, IntArray
from resight.evaluation.protocols import DISTRACTOR_PID, JUNK_PID


@dataclass(frozen=True, eq=False)
class Searches:
    """Each of n crops searches among all the others. All arrays are (n,), but for num_people.

    person: whose crop it is, as an index into the sorted list of people. own: similarity to the nearest picture of
    that person by another camera, -inf where there is none. others: to the nearest picture of anybody else, and
    other_person whose that is. next_others: to the nearest picture of anybody but these two.
    """

    person: IntArray
    own: FloatArray
    others: FloatArray
    other_person: IntArray
    next_others: FloatArray
    num_people: int

    @property
    def mated(self) -> npt.NDArray[np.bool_]:
        """(n,) whether there is a picture to be found."""
        return np.isfinite(self.own)


def own_and_others(crops: EmbeddedCrops) -> Searches:
    """Searches of all crops among each other. crops: of people (pid above 0), three of them at the least. Raises
    EmbeddingError where an embedding is all zeros."""
    person, own, others, other_person, next_others = [], [], [], [], []
    people = np.zeros(0, np.int64)
    for start, best, mates, people in _person_blocks(crops, crops):
        rows = np.arange(len(best))
        column = np.searchsorted(people, crops.pids[start : start + len(best)])
        first = best.argmax(axis=1)
        others.append(best[rows, first])
        best[rows, first] = -np.inf
        next_others.append(best.max(axis=1))
        person.append(column)
        own.append(mates)
        other_person.append(first)
    return Searches(
        np.concatenate(person),
        np.concatenate(own),
        np.concatenate(others),
        np.concatenate(other_person),
        np.concatenate(next_others),
        len(people),
    )


def searches_within(places: Sequence[EmbeddedCrops]) -> Searches:
    """As `own_and_others`, each crop among those of its own place. A pid means somebody else at each place."""
    found = [own_and_others(crops) for crops in places]
    first = np.cumsum([0, *(one.num_people for one in found)])
    return Searches(
        np.concatenate([one.person + start for one, start in zip(found, first, strict=False)]),
        np.concatenate([one.own for one in found]),
        np.concatenate([one.others for one in found]),
        np.concatenate([one.other_person + start for one, start in zip(found, first, strict=False)]),
        np.concatenate([one.next_others for one in found]),
        int(first[-1]),
    )


def best_by_person(query: EmbeddedCrops, gallery: EmbeddedCrops) -> tuple[FloatArray, FloatArray, IntArray]:
    """Three arrays: the similarity of each query to the nearest picture of each other person in the gallery, (q,
    people) float32, -inf for the query's own; to the nearest picture of its own person by another camera, (q,) float32,
    -inf where there is none; and those people's pids, ascending. Distractors (pid 0) count as one person. Raises
    EmbeddingError where embeddings cannot be compared, DataError where nobody is in the gallery."""
    blocks = list(_person_blocks(query, gallery))
    best, own = (np.concatenate([block[part] for block in blocks]) for part in (1, 2))
    return best, own, blocks[0][3]


def _person_blocks(
    query: EmbeddedCrops, gallery: EmbeddedCrops
) -> Iterator[tuple[int, FloatArray, FloatArray, IntArray]]:
    kept = np.flatnonzero(gallery.pids > JUNK_PID)
    if not len(kept):
        raise DataError("nobody with a pid is in the gallery, so there is nobody to compare with")
    order = kept[np.argsort(gallery.pids[kept], kind="stable")]
    people, starts = np.unique(gallery.pids[order], return_index=True)
    for start, block in distance_blocks(query.embeddings, gallery.embeddings):
        pids, camids = (values[start : start + len(block), None] for values in (query.pids, query.camids))
        similarity = 1 - block[:, order]
        best = np.maximum.reduceat(similarity, starts, axis=1)
        mates = (gallery.pids[order] == pids) & (gallery.camids[order] != camids)
        own = np.where(mates, similarity, -np.inf).max(axis=1)
        column = np.searchsorted(people, pids[:, 0])
        inside = np.flatnonzero((column < len(people)) & np.isin(pids[:, 0], people))
        best[inside, column[inside]] = -np.inf
        own[pids[:, 0] <= DISTRACTOR_PID] = -np.inf
        yield start, best, own.astype(np.float32), people
