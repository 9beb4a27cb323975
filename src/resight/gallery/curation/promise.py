"""Does the model's calibration keep its promise here? Its rates are of other people; a gallery's own people tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resight.core.calibration import FALSE_ACCEPT_RATE, FALSE_REJECT_RATE
from resight.gallery.search.meaning import calibration_of

if TYPE_CHECKING:
    from resight.gallery.gallery import Gallery

PEOPLE, EACH = 200, 6
FEWEST = 300  # pairs, below which nothing is said


@dataclass(frozen=True)
class Promise:
    """What was counted, on pairs of entries by two cameras.

    same, other: pairs of one person, and of two. false_accepts: of two people, at or above the threshold for `same`, of
    which `accept_rate` was promised at most; false_rejects: of one person, below that for `different`. A threshold that
    the calibration does not support is None.
    """

    same: int
    other: int
    accept_rate: float
    reject_rate: float
    accept_threshold: float | None
    reject_threshold: float | None
    false_accepts: int
    false_rejects: int

    @property
    def enough(self) -> bool:
        """Whether so many pairs tell anything."""
        return self.same >= FEWEST and self.other >= FEWEST

    @property
    def words(self) -> str:
        """Whether it holds, in a sentence."""
        if not self.enough:
            return f"Too few people with pids to tell: {self.same:,} pairs of one person, {self.other:,} of two."
        told = []
        for number, total, rate, threshold, what in (
            (self.false_accepts, self.other, self.accept_rate, self.accept_threshold, "two people taken for one"),
            (self.false_rejects, self.same, self.reject_rate, self.reject_threshold, "one person taken for two"),
        ):
            if threshold is None:
                told.append(f"{what}: no threshold keeps to {rate:.0%}, so such a verdict is not given")
                continue
            doubtful = number / total > rate + 2 * (rate * (1 - rate) / total) ** 0.5
            kept = "not kept" if doubtful else "kept"
            told.append(f"{what}: {number / total:.2%} of {total:,} pairs, promised {rate:.0%} at most: {kept}")
        return "; ".join(told) + "."

    @property
    def kept(self) -> bool:
        """Whether nothing speaks against it."""
        return "not kept" not in self.words


def kept_promise(gallery: Gallery) -> Promise | None:
    """Counts, on at most PEOPLE people with pids, which are taken as the truth; None if what is compared is not
    calibrated."""
    site = gallery.site.transform
    calibration = calibration_of(gallery.model, site)
    if calibration is None:
        return None
    vectors, whose, cameras = [], list[int](), list[str]()
    for person in gallery.people(limit=PEOPLE):
        for entry in gallery.page(limit=EACH, pids=person.pids):
            vectors.append(entry.embedding)
            whose.append(person.pid)
            cameras.append(entry.camera)
    accept, reject = calibration.accept_index(FALSE_ACCEPT_RATE), calibration.reject_index(FALSE_REJECT_RATE)
    above = None if accept is None else calibration.thresholds[accept]
    below = None if reject is None else calibration.thresholds[reject]
    if above is not None and below is not None:
        below = min(above, below)  # as decisions have it
    if not vectors:
        return Promise(0, 0, FALSE_ACCEPT_RATE, FALSE_REJECT_RATE, above, below, 0, 0)
    rows = np.stack(vectors) if site is None else site.apply(np.stack(vectors), cameras)
    similarity = rows @ rows.T
    person_of, camera_of = np.array(whose), np.array(cameras)
    compared = np.triu(camera_of[:, None] != camera_of[None], 1)
    same = compared & (person_of[:, None] == person_of[None])
    other = compared & ~(person_of[:, None] == person_of[None])
    false_accepts = 0 if above is None else int((other & (similarity >= above)).sum())
    false_rejects = 0 if below is None else int((same & (similarity < below)).sum())
    rates = FALSE_ACCEPT_RATE, FALSE_REJECT_RATE
    return Promise(int(same.sum()), int(other.sum()), *rates, above, below, false_accepts, false_rejects)
