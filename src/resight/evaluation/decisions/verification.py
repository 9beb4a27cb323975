"""Same person or not: how often a threshold on the similarity is right, over pairs of pictures by two cameras.

FAR, the false accept rate, is the share of pairs of two people at or above the threshold; TAR, the true accept rate,
that of pairs of one person. Pairs are not independent: whoever is hard to recognise is so in all of them. So intervals
come from resampling people: a pair of one person weighs as often as the person was drawn, a pair of two people as
often as the one times the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.distances import distance_blocks
from resight.core.errors import DataError
from resight.core.records import EmbeddedCrops, FloatArray, IntArray
from resight.evaluation.intervals import LEAST_GROUPS, Interval, percentile_interval, widened
from resight.evaluation.protocols import DISTRACTOR_PID

SCHEMA = "resight.verification/1"
FALSE_ACCEPT_RATES = (1e-1, 1e-2, 1e-3, 1e-4)
MOST_IMPOSTORS = 2_000_000
LEAST_ACCEPTED = 10  # fewer pairs above a threshold say nothing of the rate there
CURVE_POINTS = 200
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Scored pairs of pictures by two cameras. genuine: similarities of the pairs of one person, (m,) float32;
    impostor: of pairs of two people, (n,) float32. genuine_person (m,), impostor_people (n, 2): who they are, as
    indices into the sorted list of people. num_impostor: how many pairs of two people there are; `impostor` is a sample
    of them where it is shorter."""

    genuine: FloatArray
    genuine_person: IntArray
    impostor: FloatArray
    impostor_people: IntArray
    num_impostor: int
    num_people: int


@dataclass(frozen=True)
class OperatingPoint:
    """The threshold for a false accept rate, and the true accept rate there with its 95% interval over people. All
    three are None where the pairs of two people, or the people in them, are too few for that rate."""

    false_accept_rate: float
    true_accept_rate: float | None
    interval: Interval | None
    threshold: float | None


@dataclass(frozen=True, eq=False)
class Verification:
    """How well a threshold tells pairs of one person from pairs of two. eer: the equal error rate, where false accepts
    and false rejects are equally frequent. points: one for each of FALSE_ACCEPT_RATES. curve_far, curve_tar: the ROC
    at log-spaced false accept rates, from the lowest that so many pairs can show, (CURVE_POINTS,) each."""

    num_genuine: int
    num_impostor: int
    num_sampled: int
    num_people: int
    eer: float
    eer_interval: Interval
    points: tuple[OperatingPoint, ...]
    curve_far: Values
    curve_tar: Values
    bootstrap_samples: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "schema": SCHEMA,
            "num_genuine_pairs": self.num_genuine,
            "num_impostor_pairs": self.num_impostor,
            "num_impostor_pairs_sampled": self.num_sampled,
            "num_people": self.num_people,
            "pairs": "by two cameras, of people with a pid above 0",
            "eer": self.eer,
            "eer_interval": asdict(self.eer_interval),
            "points": [asdict(point) for point in self.points],
            "roc": {"far": self.curve_far.tolist(), "tar": self.curve_tar.tolist()},
            "interval": "95% bootstrap over people",
            "bootstrap_samples": self.bootstrap_samples,
            "seed": self.seed,
        }


def verify(
    query: EmbeddedCrops, gallery: EmbeddedCrops, *, bootstrap_samples: int = 200, seed: int = 0
) -> Verification:
    """EER, and TAR at given FAR, over all pairs of a query and a gallery picture by two cameras, by cosine similarity.

    bootstrap_samples: of the intervals, which resample people. seed: of them, and of the sample of pairs.

    Raises DataError where there is no pair of one person or no pair of two, EmbeddingError where embeddings cannot be
    compared.

    Example:

        >>> import numpy as np
        >>> from resight import EmbeddedCrops
        >>> from resight.evaluation.decisions.verification import verify
        >>> rng = np.random.default_rng(0)
        >>> pids = np.arange(1, 21)
        >>> centre = rng.normal(size=(20, 8))  # each person's, seen a little otherwise by each of two cameras
        >>> def seen_by(camid):
        ...     embeddings = (centre + 0.1 * rng.normal(size=(20, 8))).astype(np.float32)
        ...     hashes = np.arange(20, dtype=np.uint64) + np.uint64(100 * camid)
        ...     return EmbeddedCrops(embeddings, pids, np.full(20, camid), hashes, tuple(map(str, pids)))
        >>> found = verify(seen_by(1), seen_by(2))
        >>> found.num_genuine, found.num_impostor, found.eer < 0.05
        (20, 380, True)
    """
    return verify_pairs(score_pairs(query, gallery, seed=seed), bootstrap_samples=bootstrap_samples, seed=seed)


def verify_pairs(pairs: Pairs, *, bootstrap_samples: int = 200, seed: int = 0) -> Verification:
    """As `verify`, of scored pairs. Raises DataError where there is no pair of one person or no pair of two."""
    if not len(pairs.genuine) or not len(pairs.impostor):
        raise DataError(
            f"{len(pairs.genuine)} pairs of one person and {len(pairs.impostor)} of two, by two cameras: "
            "verification takes both"
        )
    genuine, impostor = SortedSimilarities(pairs.genuine), SortedSimilarities(pairs.impostor)
    supported = [
        far
        for far in FALSE_ACCEPT_RATES
        if far * len(pairs.impostor) >= LEAST_ACCEPTED and _num_mistaken(pairs, impostor.highest(far)) >= LEAST_GROUPS
    ]
    people = len(np.unique(pairs.genuine_person))
    rng = np.random.default_rng(seed)
    eers, tars = np.empty(bootstrap_samples), np.empty((bootstrap_samples, len(supported)))
    for sample in range(bootstrap_samples):
        drawn = np.bincount(rng.integers(0, pairs.num_people, pairs.num_people), minlength=pairs.num_people)
        weight_g = genuine.weights(drawn[pairs.genuine_person])
        weight_i = impostor.weights(drawn[pairs.impostor_people].prod(axis=1))
        if weight_g[-1] == 0 or weight_i[-1] == 0:  # a draw without a pair says nothing
            eers[sample], tars[sample] = np.nan, np.nan
            continue
        eers[sample] = weighted_equal_error_rate(genuine, weight_g, impostor, weight_i)
        tars[sample] = [genuine.share_above(impostor.threshold(far, weight_i), weight_g) for far in supported]
    ones_g, ones_i = genuine.weights(np.ones(len(pairs.genuine))), impostor.weights(np.ones(len(pairs.impostor)))
    points = []
    for far in FALSE_ACCEPT_RATES:
        if far not in supported:
            points.append(OperatingPoint(far, None, None, None))
            continue
        threshold = impostor.threshold(far, ones_i)
        tar = genuine.share_above(threshold, ones_g)
        points.append(
            OperatingPoint(
                far, tar, widened(percentile_interval(tars[:, supported.index(far)]), tar, people), threshold
            )
        )
    lowest = min(1.0, LEAST_ACCEPTED / len(pairs.impostor))
    curve_far = np.geomspace(lowest, 1, CURVE_POINTS)
    curve_tar = np.array([genuine.share_above(impostor.threshold(far, ones_i), ones_g) for far in curve_far])
    eer = weighted_equal_error_rate(genuine, ones_g, impostor, ones_i)
    return Verification(
        num_genuine=len(pairs.genuine),
        num_impostor=pairs.num_impostor,
        num_sampled=len(pairs.impostor),
        num_people=pairs.num_people,
        eer=eer,
        eer_interval=widened(percentile_interval(eers), eer, people),
        points=tuple(points),
        curve_far=curve_far,
        curve_tar=curve_tar,
        bootstrap_samples=bootstrap_samples,
        seed=seed,
    )


def _num_mistaken(pairs: Pairs, rows: IntArray) -> int:
    """How many pairs of people these impostor pairs are of: many pictures of two people are one mistake."""
    both = np.sort(pairs.impostor_people[rows], axis=1)
    return len(np.unique(both[:, 0] * pairs.num_people + both[:, 1]))


def score_pairs(
    query: EmbeddedCrops, gallery: EmbeddedCrops, *, most_impostors: int = MOST_IMPOSTORS, seed: int = 0
) -> Pairs:
    """All pairs of a query and a gallery picture by two cameras, scored by cosine similarity. Of the pairs of two
    people it takes an even sample of about `most_impostors`, where there are more. Distractors (pid 0 and below) are
    left out.

    Raises EmbeddingError where embeddings cannot be compared.
    """
    people = np.unique(np.concatenate((query.pids, gallery.pids)))
    people = people[people > DISTRACTOR_PID]
    place_q, place_g = np.searchsorted(people, query.pids), np.searchsorted(people, gallery.pids)
    known_g = gallery.pids > DISTRACTOR_PID
    rng = np.random.default_rng(seed)
    share = min(1.0, most_impostors / max(1, len(query) * len(gallery)))
    genuine, genuine_person = [np.zeros(0, np.float32)], [np.zeros(0, np.int64)]
    impostor, impostor_people = [np.zeros(0, np.float32)], [np.zeros((0, 2), np.int64)]
    num_impostor = 0
    for start, block in distance_blocks(query.embeddings, gallery.embeddings):
        for row, distances in enumerate(block, start):
            if query.pids[row] <= DISTRACTOR_PID:
                continue
            allowed = known_g & (gallery.camids != query.camids[row])
            same = gallery.pids == query.pids[row]
            mates, others = np.flatnonzero(allowed & same), np.flatnonzero(allowed & ~same)
            num_impostor += len(others)
            if share < 1:
                others = others[rng.random(len(others)) < share]
            genuine.append(1 - distances[mates])
            genuine_person.append(np.full(len(mates), place_q[row]))
            impostor.append(1 - distances[others])
            impostor_people.append(np.stack((np.full(len(others), place_q[row]), place_g[others]), axis=1))
    return Pairs(
        np.concatenate(genuine),
        np.concatenate(genuine_person),
        np.concatenate(impostor),
        np.concatenate(impostor_people),
        num_impostor,
        len(people),
    )


def pairs_within(places: Sequence[EmbeddedCrops], *, seed: int = 0) -> Pairs:
    """All pairs of two crops of one place, as `score_pairs` has them. A pid means somebody else at each place."""
    found = [score_pairs(crops, crops, seed=seed) for crops in places]
    first = np.cumsum([0, *(one.num_people for one in found)])
    return Pairs(
        np.concatenate([one.genuine for one in found]),
        np.concatenate([one.genuine_person + start for one, start in zip(found, first, strict=False)]),
        np.concatenate([one.impostor for one in found]),
        np.concatenate([one.impostor_people + start for one, start in zip(found, first, strict=False)]),
        sum(one.num_impostor for one in found),
        int(first[-1]),
    )


class SortedSimilarities:
    """(n,) similarities, sorted once, so that the weighted share above a threshold is one look into a running sum."""

    def __init__(self, similarity: FloatArray) -> None:
        self._order = np.argsort(-similarity, kind="stable")
        # Ascending, for searchsorted, which converts another type than the threshold's at each look.
        self._falling = -similarity[self._order].astype(np.float64)

    def weights(self, weight: npt.NDArray[np.generic]) -> Values:
        """(n,) the running sum of the pairs' weights, from the highest similarity down."""
        running: Values = np.cumsum(weight[self._order], dtype=np.float64)
        return running

    def highest(self, share: float) -> IntArray:
        """The rows of so large a share of the pairs, the most similar."""
        return self._order[: int(share * len(self._order))]

    def share_above(self, threshold: float, running: Values) -> float:
        """The weighted share at or above the threshold."""
        count = int(np.searchsorted(self._falling, -threshold, "right"))
        return float(running[count - 1] / running[-1]) if count else 0.0

    def threshold(self, share: float, running: Values) -> float:
        """The lowest threshold with at most this weighted share at or above it."""
        count = int(np.searchsorted(running, share * running[-1] * (1 + 1e-12), "right"))
        if count == len(self._falling):
            return float(-self._falling[-1])
        # Just above the first pair that is too many: those as similar are too many with it.
        return float(np.nextafter(np.float32(-self._falling[count]), np.float32(np.inf)))


def equal_error_rate(genuine: FloatArray, impostor: FloatArray) -> float:
    """The EER of similarities of pairs of one person, (m,), and of two, (n,): at least one of each."""
    one, two = SortedSimilarities(genuine), SortedSimilarities(impostor)
    return weighted_equal_error_rate(one, one.weights(np.ones(len(genuine))), two, two.weights(np.ones(len(impostor))))


def weighted_equal_error_rate(
    genuine: SortedSimilarities, weight_g: Values, impostor: SortedSimilarities, weight_i: Values
) -> float:
    """The EER of pairs with weights, given as running sums: halfway between both rates at the threshold where they
    cross, found by halving."""
    low, high = -1.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        far, frr = impostor.share_above(middle, weight_i), 1 - genuine.share_above(middle, weight_g)
        low, high = (middle, high) if far > frr else (low, middle)
    rates = [(impostor.share_above(t, weight_i), 1 - genuine.share_above(t, weight_g)) for t in (low, high)]
    far, frr = min(rates, key=lambda pair: abs(pair[0] - pair[1]))
    return (far + frr) / 2
