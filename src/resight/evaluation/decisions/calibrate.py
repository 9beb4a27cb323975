"""Fits a calibration: what a similarity means, on people whom the model was not trained on.

P(same) is isotonic (Zadrozny and Elkan, KDD 2002) or logistic (Platt, 1999), whichever has the lower Brier score in
cross-validation by identity. Both are fitted at even odds: pairs of one person and pairs of two weigh the same in sum,
each as much as there are people, since so many are what is independent here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from resight.core.calibration import Calibration, Rate, RateCurve
from resight.core.errors import DataError
from resight.core.records import EmbeddedCrops, IntArray
from resight.evaluation.decisions.probability import CENTRES, FITS, bins_of, histogram
from resight.evaluation.decisions.rates import Trials, Values, share_above, share_below
from resight.evaluation.decisions.search_odds import fit_search_odds
from resight.evaluation.decisions.searches import Searches, searches_within
from resight.evaluation.decisions.verification import FALSE_ACCEPT_RATES, Pairs, pairs_within
from resight.evaluation.intervals import percentile_interval
from resight.evaluation.protocols import DISTRACTOR_PID

LEAST_PEOPLE = 10  # by two cameras: fewer say nothing of people in general
FOLDS = 5
RELIABILITY_BINS = 10
CURVE_THRESHOLDS = 128  # of each kind


@dataclass(frozen=True, eq=False)
class Reliability:
    """What P(same) promised and what was true, at even odds, of pairs whose people were left out of the fit, in bins of
    P(same). told: the mean P(same); true: the share of pairs of one person; weight: the bin's share of all pairs.
    (b,) each, without empty bins."""

    told: Values
    true: Values
    weight: Values


@dataclass(frozen=True, eq=False)
class Fitted:
    """A calibration, and how reliable its P(same) was on people left out of the fit."""

    calibration: Calibration
    reliability: Reliability


def calibrate(
    crops: EmbeddedCrops | Sequence[EmbeddedCrops],
    *,
    data: str = "not stated",
    rights: str = "not stated",
    date: str | None = None,
    site: str = "",
    seed: int = 0,
) -> Fitted:
    """Fits a calibration on all pairs of the crops by two cameras, and on all searches among them.

    crops: of people whom the model was not trained on, query and gallery together; of several places, one each: pairs
    and searches stay within a place, and a place weighs by its pairs. data, rights: what they are and who may do what
    with them, in words. date: ISO 8601, UTC; now, unless given. site: the identity of the site transform that was
    applied to the crops. seed: of the folds and the samples.

    Raises DataError where fewer than ten people are seen by two cameras or a place of several has fewer than two,
    EmbeddingError where an embedding is all
    zeros.

    Example:

        >>> import numpy as np
        >>> from resight import EmbeddedCrops
        >>> from resight.evaluation.decisions.calibrate import calibrate
        >>> rng = np.random.default_rng(0)
        >>> pids = np.repeat(np.arange(1, 41), 4)  # 40 people, each seen twice by each of two cameras
        >>> embeddings = rng.normal(size=(41, 8))[pids] + 0.2 * rng.normal(size=(160, 8))
        >>> crops = EmbeddedCrops(
        ...     embeddings=embeddings.astype(np.float32),
        ...     pids=pids,
        ...     camids=np.tile([1, 1, 2, 2], 40),
        ...     content_hashes=np.arange(160, dtype=np.uint64),
        ...     names=tuple(map(str, range(160))),
        ... )
        >>> calibration = calibrate(crops).calibration
        >>> calibration.decide_pair(0.99, false_accept_rate=0.1).verdict
        'same'
    """
    if date is None:
        date = datetime.now(UTC).isoformat(timespec="seconds")
    places = [_distinct(place) for place in ([crops] if isinstance(crops, EmbeddedCrops) else crops)]
    for number, place in enumerate(places, 1):
        if len(np.unique(place.pids)) < 2 and len(places) > 1:
            raise DataError(f"place {number} of {len(places)} has fewer than two people with a pid: leave it out")
    pairs = pairs_within(places, seed=seed)
    people = len(np.unique(pairs.genuine_person))
    check_people(people)
    searches = searches_within(places)
    thresholds = _thresholds(pairs, searches.others)
    margins = _margins(searches)
    told, out_of_fold = _cross_validate(pairs, np.random.default_rng(seed))
    brier = {method: _brier(told[method], out_of_fold) for method in FITS}
    method = min(FITS, key=lambda name: (brier[name], name == "isotonic"))
    similarity, log_odds = FITS[method](histogram(pairs.genuine, people), histogram(pairs.impostor, people), people)
    low, high = _intervals(pairs, method, similarity, log_odds, np.random.default_rng(seed))
    reliability, ece = _reliability(told[method], out_of_fold, np.random.default_rng(seed))
    calibration = Calibration(
        method=method,
        similarity=tuple(similarity.tolist()),
        log_odds=tuple(log_odds.tolist()),
        thresholds=tuple(thresholds.tolist()),
        false_accept=share_above(Trials(pairs.impostor, pairs.impostor_people, pairs.num_people), thresholds),
        false_reject=share_below(Trials(pairs.genuine, pairs.genuine_person, pairs.num_people), thresholds),
        false_positive=share_above(
            Trials(
                searches.others,
                searches.person,
                searches.num_people,
                searches.other_person,
                searches.next_others,
            ),
            thresholds,
        ),
        false_negative=share_below(
            Trials(searches.own[searches.mated], searches.person[searches.mated], searches.num_people), thresholds
        ),
        num_people=min(len(np.unique(place.pids)) for place in places),
        num_genuine=len(pairs.genuine) // 2,
        num_impostor=pairs.num_impostor // 2,
        brier=brier,
        ece=ece,
        data=data,
        data_digest=digest(*places),
        rights=rights,
        date=date,
        log_odds_low=tuple(low.tolist()),
        log_odds_high=tuple(high.tolist()),
        site=site,
        margins=tuple(margins.tolist()),
        excluded=_excluded(searches, margins),
        search=fit_search_odds(places, searches, np.random.default_rng(seed)),
    )
    return Fitted(calibration, reliability)


def check_people(num_people: int) -> None:
    """Raises DataError where a calibration takes more people whom two cameras see."""
    if num_people < LEAST_PEOPLE:
        raise DataError(
            f"{num_people} people are seen by two cameras; a calibration takes at least {LEAST_PEOPLE}, and a hundred "
            "to be useful"
        )


def seen_by_two(pids: IntArray, camids: IntArray) -> int:
    """How many people two cameras see, or more. pids, camids: (n,), of each picture."""
    kept = pids > DISTRACTOR_PID
    seen = np.unique(np.stack((pids[kept], camids[kept])), axis=1)[0]
    return int((np.unique(seen, return_counts=True)[1] > 1).sum())


@dataclass(frozen=True)
class Promise:
    """What a calibration's threshold for a false accept rate does on other data. at_fit: the rate where it was fitted;
    counted: the rate on the other data."""

    false_accept_rate: float
    threshold: float
    at_fit: Rate
    counted: Rate

    @property
    def verdict(self) -> str:
        """`kept`; `within noise` above the rate asked for; `broken`: even the interval's lower end is above it; or
        `too few to tell`: the interval reaches to ten times that rate."""
        if self.counted.low <= self.false_accept_rate and self.counted.high > 10 * self.false_accept_rate:
            return "too few to tell"
        if self.counted.value <= self.false_accept_rate:
            return "kept"
        return "broken" if self.counted.low > self.false_accept_rate else "within noise"


def check(calibration: Calibration, pairs: Pairs, rates: tuple[float, ...] = FALSE_ACCEPT_RATES) -> tuple[Promise, ...]:
    """What a calibration's thresholds for these false accept rates do on other pairs: a Promise a rate. Rates that the
    calibration does not support are left out; if it supports none of them, its lowest one is there."""
    if calibration.accept_index(max(rates)) is None:
        rates = (calibration.least_false_accept_rate,)
    trials = Trials(pairs.impostor, pairs.impostor_people, pairs.num_people)
    found = []
    for rate in rates:
        index = calibration.accept_index(rate)
        if index is not None:
            threshold = calibration.thresholds[index]
            counted = share_above(trials, np.array([threshold])).at(0)
            found.append(Promise(rate, threshold, calibration.false_accept.at(index), counted))
    return tuple(found)


def digest(*places: EmbeddedCrops) -> str:
    """The fingerprint of each place's pictures and of who is in them, whatever their order: hexadecimal SHA-256."""
    found = hashlib.sha256()
    for crops in places:
        rows = np.stack((crops.content_hashes, crops.pids.astype(np.uint64), crops.camids.astype(np.uint64)), axis=1)
        found.update(rows[np.lexsort(rows.T)].astype("<u8").tobytes())
    return found.hexdigest()


def was_fitted_on(calibration: Calibration, *sides: EmbeddedCrops) -> bool:
    """Whether it was fitted on the people of these pictures, all of one place: by the fingerprint."""
    joined = EmbeddedCrops(
        np.concatenate([side.embeddings for side in sides]),
        np.concatenate([side.pids for side in sides]),
        np.concatenate([side.camids for side in sides]),
        np.concatenate([side.content_hashes for side in sides]),
    )
    return digest(_distinct(joined)) == calibration.data_digest


def _distinct(crops: EmbeddedCrops) -> EmbeddedCrops:
    """People only, without copies of one picture, which would be pairs that say nothing; in an order of its own."""
    rows = np.stack((crops.content_hashes, crops.pids.astype(np.uint64), crops.camids.astype(np.uint64)), axis=1)
    kept = np.unique(rows, axis=0, return_index=True)[1]
    kept = kept[crops.pids[kept] > DISTRACTOR_PID]
    return crops.take(kept)


def _thresholds(pairs: Pairs, others: npt.NDArray[np.float32]) -> Values:
    """Ascending, from shares of the scores in even steps of their logarithm, where errors are rare as where not."""
    chosen: list[Values] = []
    for score, above in ((pairs.impostor, True), (pairs.genuine, False), (others, True)):
        share = np.geomspace(1 / len(score), 1, CURVE_THRESHOLDS)
        chosen.append(np.quantile(score, 1 - share if above else share))
    top = np.nextafter(np.float32(max(pairs.impostor.max(), others.max())), np.float32(np.inf))
    return np.unique(np.concatenate([*chosen, [float(top)]]).astype(np.float32)).astype(np.float64)


def _margins(searches: Searches) -> Values:
    """Ascending from 0, in even steps of the logarithm of the share of searches that are further off."""
    behind = (searches.others - searches.own)[searches.mated]
    share = np.geomspace(1 / len(behind), 1, CURVE_THRESHOLDS)
    top = np.nextafter(np.float32(max(behind.max(), 0)), np.float32(np.inf))
    chosen = np.concatenate([np.maximum(np.quantile(behind, 1 - share), 0), [0.0, float(top)]])
    return np.unique(chosen.astype(np.float32)).astype(np.float64)


def _excluded(searches: Searches, margins: Values) -> RateCurve:
    """Of searches for people who are there, how often the right answer is further than each margin from the nearest."""
    rows = searches.mated
    behind, without = ((others - searches.own)[rows] for others in (searches.others, searches.next_others))
    above = np.nextafter(margins.astype(np.float32), np.float32(np.inf)).astype(np.float64)  # at the margin: named
    trials = Trials(behind, searches.person[rows], searches.num_people, searches.other_person[rows], without)
    return share_above(trials, above)


@dataclass(frozen=True, eq=False)
class _OutOfFold:
    """Pairs whose people were all left out of the fit: whether of one person, their people (n, 2), and weights of an
    even prior."""

    same: npt.NDArray[np.bool_]
    people: IntArray
    weight: Values


def _cross_validate(pairs: Pairs, rng: np.random.Generator) -> tuple[dict[str, Values], _OutOfFold]:
    """P(same) of each pair that lies in one fold, by a fit on the pairs outside of it."""
    fold = rng.permutation(pairs.num_people) % FOLDS
    fold_g, fold_i = fold[pairs.genuine_person], fold[pairs.impostor_people]
    told: dict[str, list[Values]] = {method: [] for method in FITS}
    same, people = [], []
    for number in range(FOLDS):
        inside_g, inside_i = fold_g == number, (fold_i == number).all(axis=1)
        train_g, train_i = pairs.genuine[~inside_g], pairs.impostor[(fold_i != number).all(axis=1)]
        if not len(train_g) or not len(train_i) or not inside_g.any() or not inside_i.any():
            continue
        number_left = len(np.unique(pairs.genuine_person[~inside_g]))
        test = np.concatenate((pairs.genuine[inside_g], pairs.impostor[inside_i]))
        for method, fit in FITS.items():
            knots = fit(histogram(train_g, number_left), histogram(train_i, number_left), number_left)
            told[method].append(1 / (1 + np.exp(-np.interp(test, *knots))))
        same.append(np.repeat([True, False], [inside_g.sum(), inside_i.sum()]))
        own = pairs.genuine_person[inside_g]
        people.append(np.concatenate((np.stack((own, own), axis=1), pairs.impostor_people[inside_i])))
    if not same:
        raise DataError("too few people are seen by two cameras to cross-validate a calibration by identity")
    is_same = np.concatenate(same)
    weight = np.where(is_same, 0.5 / is_same.sum(), 0.5 / (~is_same).sum())
    return (
        {method: np.concatenate(parts) for method, parts in told.items()},
        _OutOfFold(is_same, np.concatenate(people), weight),
    )


def _intervals(
    pairs: Pairs, method: str, similarity: Values, log_odds: Values, rng: np.random.Generator, samples: int = 100
) -> tuple[Values, Values]:
    """The ends of the 95% interval of P(same)'s knots, by fits on people drawn with replacement."""
    bins_g, bins_i = bins_of(pairs.genuine), bins_of(pairs.impostor)
    found = []
    for _ in range(samples):
        drawn = np.bincount(rng.integers(0, pairs.num_people, pairs.num_people), minlength=pairs.num_people)
        weights = drawn[pairs.genuine_person], drawn[pairs.impostor_people].prod(axis=1)
        people = int((drawn[np.unique(pairs.genuine_person)] > 0).sum())
        genuine, impostor = (
            np.bincount(bins, weight, len(CENTRES)) for bins, weight in zip((bins_g, bins_i), weights, strict=True)
        )
        if genuine.any() and impostor.any():
            knots = FITS[method](genuine * (people / genuine.sum()), impostor * (people / impostor.sum()), people)
            found.append(np.interp(similarity, *knots))
    low, high = np.percentile(np.array(found or [log_odds]), [2.5, 97.5], axis=0)
    return np.minimum(low, log_odds), np.maximum(high, log_odds)


def _brier(told: Values, out: _OutOfFold) -> float:
    return float((out.weight * (told - out.same) ** 2).sum())


def _reliability(
    told: Values, out: _OutOfFold, rng: np.random.Generator, samples: int = 100
) -> tuple[Reliability, Rate]:
    """And the expected calibration error (Naeini et al., AAAI 2015), its interval by resampling people."""
    place = np.minimum((told * RELIABILITY_BINS).astype(np.int64), RELIABILITY_BINS - 1)
    num_people = int(out.people.max()) + 1

    def tabulate(weight: Values) -> tuple[Values, Values, Values]:
        for kind in (out.same, ~out.same):
            weight = np.where(kind, weight * (0.5 / max(weight[kind].sum(), 1e-300)), weight)
        return tuple(  # type: ignore[return-value]
            np.bincount(place, weight * value, RELIABILITY_BINS) for value in (np.ones(len(told)), told, out.same)
        )

    def error(weight: Values) -> float:
        _, of_told, of_true = tabulate(weight)
        return float(np.abs(of_told - of_true).sum())

    resampled = []
    for _ in range(samples):
        drawn = np.bincount(rng.integers(0, num_people, num_people), minlength=num_people)[out.people]
        weight = np.where(out.same, drawn[:, 0], drawn.prod(axis=1)).astype(np.float64)
        if weight[out.same].any() and weight[~out.same].any():
            resampled.append(error(weight))
    total, of_told, of_true = tabulate(out.weight)
    filled = total > 0
    interval = percentile_interval(np.array(resampled)) if resampled else None
    value = error(out.weight)
    rate = Rate(value, min(value, interval.low), max(value, interval.high)) if interval else Rate(value, 0.0, 1.0)
    return Reliability(of_told[filled] / total[filled], of_true[filled] / total[filled], total[filled]), rate
