"""Rates of rare errors among pairs and searches that are not independent, with intervals that say so.

Whoever is easily mistaken is so in many pairs. So the variance of a rate is taken by leaving out one person at a time
(the jackknife; for pairs of people it errs upward, Efron and Stein, 1981), turned into the number of independent trials
that would vary as much, and the exact binomial interval (Clopper and Pearson, 1934) taken of those: Korn and Graubard,
Survey Methodology 24, 1998. Theirs is of the rate itself; ours is of what as many other people would show, whose
chance comes on top: half the trials.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, t

from resight.core.calibration import RateCurve
from resight.core.records import FloatArray, IntArray
from resight.evaluation.intervals import TAIL

Values = npt.NDArray[np.float64]
LEAST_EVIDENCE = 5  # people, or pairs of people, behind a rate: with fewer its variance is not to be had


@dataclass(frozen=True, eq=False)
class Trials:
    """n trials, each with a score. people: whose trial it is, (n,), or of which two people, (n, 2), as indices below
    `num_people`.

    best_person, next_score: for trials whose score is the best over other people: who gave it, and the best without
    that person, which is the score when the person is left out. (n,) each, or None for other trials.

    repeats: how many of the `people` may be one person, where nobody was named: so many times fewer are independent.
    """

    score: FloatArray
    people: IntArray
    num_people: int
    best_person: IntArray | None = None
    next_score: FloatArray | None = None
    repeats: float = 1.0


def share_above(trials: Trials, thresholds: Values) -> RateCurve:
    """The share of trials with a score at or above each threshold, and its interval. thresholds: (k,) ascending."""
    hits = _hits(trials.score, trials.people, trials, thresholds)
    gone = hits
    if trials.best_person is not None and trials.next_score is not None:
        gone = hits + _hits(trials.score, trials.best_person, trials, thresholds)
        gone -= _hits(trials.next_score, trials.best_person, trials, thresholds)
    best = _best_of_groups(trials.score, trials)
    evidence = len(best) - np.searchsorted(best, thresholds, "left")
    rate, low, high = _intervals(hits, gone, trials, evidence)
    # What keeps to a rate at one threshold keeps to it at all above.
    return _curve(rate, low, np.minimum.accumulate(high))


def share_below(trials: Trials, thresholds: Values) -> RateCurve:
    """The share of trials with a score below each threshold, and its interval. thresholds: (k,) ascending."""
    hits = _num_trials(trials)[:, None] - _hits(trials.score, trials.people, trials, thresholds)
    worst = -_best_of_groups(-trials.score, trials)[::-1]
    rate, low, high = _intervals(hits, hits, trials, np.searchsorted(worst, thresholds, "left"))
    return _curve(rate, low, np.minimum.accumulate(high[::-1])[::-1])


def _num_trials(trials: Trials) -> Values:
    return np.bincount(trials.people.ravel(), minlength=trials.num_people).astype(np.float64)


def _hits(score: FloatArray, people: IntArray, trials: Trials, thresholds: Values) -> Values:
    """(num_people, k): of each person's trials, how many are at or above each threshold."""
    place = np.searchsorted(thresholds, score, "right")
    columns = len(thresholds) + 1
    cell = people.reshape(len(score), -1) * columns + place[:, None]
    counts = np.bincount(cell.ravel(), minlength=trials.num_people * columns)
    table = counts.reshape(trials.num_people, columns).astype(np.float64)
    return np.asarray(table[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:])


def _best_of_groups(score: FloatArray, trials: Trials) -> FloatArray:
    """The highest score of each person, or pair of people, ascending."""
    people = trials.people.reshape(len(score), -1)
    group = people.min(axis=1) * trials.num_people + people.max(axis=1)
    order = np.lexsort((score, group))
    last = np.flatnonzero(np.diff(group[order], append=-1))
    return np.sort(score[order][last])


def _intervals(hits: Values, gone: Values, trials: Trials, evidence: IntArray) -> tuple[Values, Values, Values]:
    """hits: (num_people, k); gone: the hits that are lost with each person; evidence: (k,) groups behind the hits."""
    roles = trials.people.reshape(len(trials.score), -1).shape[1]
    num, of_person = len(trials.score), _num_trials(trials)
    taking_part = np.flatnonzero(of_person)
    people = len(taking_part)
    total = hits.sum(axis=0) / roles
    rate = total / num
    left = np.maximum(num - of_person[taking_part, None], 1)
    without = (total - gone[taking_part]) / left
    variance = (people - 1) / people * ((without - rate) ** 2).sum(axis=0)
    # Student's t in place of the normal: the variance is itself estimated from so few people.
    surer = (t.ppf(TAIL, 1e9) / t.ppf(TAIL, max(1, people - 1))) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = surer * rate * (1 - rate) / variance / trials.repeats
    known = (evidence >= LEAST_EVIDENCE) & (variance > 0) & (rate < 1)
    # However little the rate varies here, each pair of people is one independent trial at the most; and where trials
    # take the best over other people, whom all of them share, each person.
    persons = people / trials.repeats
    independent = persons * (persons - 1) / 2 if roles == 2 else persons if trials.best_person is not None else num
    trials_left = np.where(known, np.minimum(effective / 2, independent), persons / 2)
    found = rate * trials_left
    with np.errstate(invalid="ignore"):
        low = np.where((known | (rate > 0.5)) & (found > 0), beta.ppf(TAIL, found, trials_left - found + 1), 0.0)
        high = np.where(rate < 1, beta.ppf(1 - TAIL, found + 1, trials_left - found), 1.0)
    return rate, low, high


def _curve(rate: Values, low: Values, high: Values) -> RateCurve:
    # A bound made tighter by a neighbouring threshold's may not cross the rate itself.
    high = np.maximum(high, rate)
    return RateCurve(tuple(rate.tolist()), tuple(np.minimum(low, rate).tolist()), tuple(high.tolist()))
