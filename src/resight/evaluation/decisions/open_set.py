"""Searches for people who may not be in the gallery at all, in NIST's terms.

FPIR, the false positive identification rate: the share of searches for people who are not in the gallery whose nearest
answer is at or above the threshold. FNIR, the false negative identification rate: the share of searches for people who
are in it whose nearest answer is somebody else's picture, or below the threshold.

Half of the people, drawn at random and many times, are taken out of the gallery. More people in a gallery make more
false positives: were all strangers alike, a rate p among N people would be 1 - (1 - p)^(M / N) among M.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from resight.core.errors import DataError
from resight.core.records import EmbeddedCrops, FloatArray, IntArray
from resight.evaluation.decisions.searches import best_by_person
from resight.evaluation.decisions.verification import SortedSimilarities, Values
from resight.evaluation.intervals import Interval, percentile_interval, widened
from resight.evaluation.protocols import DISTRACTOR_PID

SCHEMA = "resight.open_set/1"
FALSE_POSITIVE_RATES = (0.1, 0.01)
LEAST_POSITIVES = 5  # of a split's searches for strangers, so that a threshold for a rate means anything
SIZES = (0.5, 0.25)  # of the gallery's people, at which the growth of false positives is checked


@dataclass(frozen=True)
class IdentificationPoint:
    """The threshold for a false positive rate, and the false negative rate there with its 95% interval; means over the
    splits. All three are None where the searches are too few for that rate."""

    false_positive_rate: float
    false_negative_rate: float | None
    interval: Interval | None
    threshold: float | None


@dataclass(frozen=True)
class GallerySize:
    """At the threshold of the first point, with fewer people in the gallery: FPIR as counted, and as
    1 - (1 - p)^(M / N) foretells it from the whole (means over the splits)."""

    num_people: float
    counted: float
    foretold: float


@dataclass(frozen=True)
class OpenSet:
    """Searches among a gallery that half of the people are missing from. num_known: people in the gallery of each
    split, distractors not counted. num_mated, num_nonmated: searches for people in it, and for strangers to it, means
    over the splits. points: one for each of FALSE_POSITIVE_RATES. sizes: one for each of SIZES."""

    num_people: int
    num_known: int
    num_mated: float
    num_nonmated: float
    splits: int
    points: tuple[IdentificationPoint, ...]
    sizes: tuple[GallerySize, ...]
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"schema": SCHEMA, "interval": "95%, over splits and people drawn anew", **asdict(self)}


def measure_open_set(
    query: EmbeddedCrops, gallery: EmbeddedCrops, *, splits: int = 20, bootstrap_samples: int = 200, seed: int = 0
) -> OpenSet:
    """FNIR at given FPIR, by cosine similarity, with half of the people taken out of the gallery, `splits` times.

    Pictures of the query's person by the query's camera are left out, as under market1501.

    Raises DataError where fewer than four people have a query and a gallery picture by another camera, EmbeddingError
    where embeddings cannot be compared.
    """
    best, own, people = best_by_person(query, gallery)
    person = np.searchsorted(people, query.pids)
    searched = np.isin(query.pids, people) & np.isfinite(own)
    candidates = np.unique(person[searched])
    if len(candidates) < 4:
        raise DataError(
            "open-set figures take at least four people with a query and a gallery picture by another camera, not "
            f"{len(candidates)}"
        )
    rng = np.random.default_rng(seed)
    halves = [_halve(candidates, len(people), rng) for _ in range(splits)]
    searches = [_Searches(best, own, person, searched, known) for known in halves]
    ones = np.ones(len(people))
    mated, nonmated = (
        float(np.mean([len(getattr(s, name)) for s in searches])) for name in ("mated_person", "stranger_person")
    )
    supported = [rate for rate in FALSE_POSITIVE_RATES if rate * nonmated >= LEAST_POSITIVES]
    found = {rate: [s.miss_rate(rate, ones) for s in searches] for rate in supported}
    resampled: dict[float, list[float]] = {rate: [] for rate in supported}
    for sample in range(bootstrap_samples):
        drawn = np.bincount(rng.choice(candidates, len(candidates)), minlength=len(people)).astype(np.float64)
        for rate in supported:
            resampled[rate].append(searches[sample % splits].miss_rate(rate, drawn)[0])
    misses = {rate: float(np.mean([miss for miss, _ in found[rate]])) for rate in supported}
    points = tuple(
        IdentificationPoint(
            rate,
            misses[rate],
            widened(percentile_interval(np.array(resampled[rate])), misses[rate], len(candidates)),
            float(np.mean([threshold for _, threshold in found[rate]])),
        )
        if rate in supported
        else IdentificationPoint(rate, None, None, None)
        for rate in FALSE_POSITIVE_RATES
    )
    sizes = _sizes(searches, [threshold for _, threshold in found[supported[0]]], rng) if supported else ()
    return OpenSet(
        len(candidates),
        int(halves[0].sum() - (people == DISTRACTOR_PID).sum()),
        mated,
        nonmated,
        splits,
        points,
        sizes,
        seed,
    )


def _halve(candidates: IntArray, num: int, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    known = np.ones(num, np.bool_)
    known[rng.permutation(candidates)[: len(candidates) // 2]] = False
    return known


class _Searches:
    """The searches of one split: of people in the gallery, and of strangers to it."""

    def __init__(
        self,
        best: FloatArray,
        own: FloatArray,
        person: IntArray,
        searched: np.ndarray[tuple[int], np.dtype[np.bool_]],
        known: np.ndarray[tuple[int], np.dtype[np.bool_]],
    ) -> None:
        rows = np.flatnonzero(searched)
        is_known = known[person[rows]]
        mated, strange = rows[is_known], rows[~is_known]
        self._best, self._strange, self.known = best, strange, np.flatnonzero(known)
        nearest_wrong = best[np.ix_(mated, self.known)].max(axis=1)
        # A right answer that is not first is a miss at any threshold.
        self.hits = np.where(own[mated] > nearest_wrong, own[mated], -np.inf)
        self.mated_person, self.stranger_person = person[mated], person[strange]
        self.alarms = SortedSimilarities(self.nearest(self.known))

    def nearest(self, people: IntArray) -> FloatArray:
        """Of each search for a stranger, the nearest answer among these people."""
        found: FloatArray = self._best[np.ix_(self._strange, people)].max(axis=1)
        return found

    def miss_rate(self, rate: float, weight: Values) -> tuple[float, float]:
        """FNIR at the threshold for a FPIR, and the threshold; people weigh as `weight` says. NaN where none weighs."""
        of_strangers, of_mated = weight[self.stranger_person], weight[self.mated_person]
        if not of_strangers.sum() or not of_mated.sum():
            return float("nan"), float("nan")
        threshold = self.alarms.threshold(rate, self.alarms.weights(of_strangers))
        return float(of_mated[self.hits < threshold].sum() / of_mated.sum()), threshold


def _sizes(searches: list[_Searches], thresholds: list[float], rng: np.random.Generator) -> tuple[GallerySize, ...]:
    found = []
    for share in SIZES:
        counted, foretold, numbers = [], [], []
        for s, threshold in zip(searches, thresholds, strict=True):
            number = max(1, round(share * len(s.known)))
            part = rng.choice(s.known, number, replace=False)
            whole = float((s.nearest(s.known) >= threshold).mean())
            counted.append(float((s.nearest(part) >= threshold).mean()))
            foretold.append(1 - (1 - whole) ** (number / len(s.known)))
            numbers.append(number)
        found.append(GallerySize(float(np.mean(numbers)), float(np.mean(counted)), float(np.mean(foretold))))
    return tuple(found)
