"""What a similarity means: how likely it is the same person, and what to decide at a given rate of errors.

A calibration is fitted by `resight.evaluation.decisions.calibrate` on people whom the model was not trained on, and
travels with the model. Its rates were counted on those people, at that site: elsewhere they may not hold, which
`resight evaluate --verification` measures.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from resight.core.errors import CalibrationError, ConfigError

SCHEMA = "resight.calibration/1"
METHODS = ("isotonic", "logistic", "none")
SAME: Final = "same"
DIFFERENT: Final = "different"
KNOWN: Final = "known"
NOBODY: Final = "nobody we know"
UNSURE: Final = "unsure"
IF_ANYBODY: Final = "if anybody"
Verdict = Literal["same", "different", "known", "nobody we know", "unsure", "if anybody"]
FALSE_ACCEPT_RATE, FALSE_REJECT_RATE = 0.01, 0.05  # unless others are asked for
Floats = tuple[float, ...]
BESIDE = 20  # of the nearest hits, whose people take of each other's P(same), however few are asked for
NORMAL_95 = 1.959964


def in_digits(share: float) -> str:
    """A share from 0 to 1 by two digits, and no 1 that is not quite one."""
    return ">0.99" if 0.995 <= share < 1 else f"{share:.2g}"


@dataclass(frozen=True)
class Rate:
    """A share with its 95% interval, from `low` to `high`: where it would lie for as many other people of the same
    site."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{in_digits(self.value)} [{in_digits(self.low)}, {in_digits(self.high)}]"


@dataclass(frozen=True)
class RateCurve:
    """A rate at each of a calibration's k thresholds, with its 95% interval. rate, low, high: k values each."""

    rate: Floats
    low: Floats
    high: Floats

    def at(self, index: int) -> Rate:
        """The rate at `thresholds[index]` of the calibration."""
        return Rate(self.rate[index], self.low[index], self.high[index])


@dataclass(frozen=True)
class Decision:
    """What to say of a similarity. verdict: `same`, `different` or `unsure` of a pair; `known`, `nobody we know`, `if
    anybody` or `unsure` of a search. rate: how often that verdict is wrong; for `if anybody`, of searches for people
    who are there; for `unsure`, the share of people who should be recognised and end there; None where the calibration
    cannot tell. threshold: the similarity at or above which
    (`same`, `known`) or below which (`different`, `nobody we know`) the verdict is given. reason: why it is
    `unsure`."""

    verdict: Verdict
    rate: Rate | None
    threshold: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class SearchOdds:
    """P(same) of what a search finds: log L = offset + slope * similarity, L being how many times as likely the nearest
    row of a person is so similar if that person is searched for as if not.

    Before it is looked at, it is as likely nobody as anybody of N people, and each of them as likely. By Bayes' rule
    P(same) is L / (N + the sum of everybody's L). offset_variance, covariance, slope_variance: of the two over people.

    Raises CalibrationError where they are not finite, or L falls with the similarity.
    """

    offset: float
    slope: float
    offset_variance: float
    covariance: float
    slope_variance: float

    def __post_init__(self) -> None:
        numbers = self.offset, self.slope, self.offset_variance, self.covariance, self.slope_variance
        if not all(map(math.isfinite, numbers)) or min(self.slope, self.offset_variance, self.slope_variance) < 0:
            raise CalibrationError("the odds of a search are finite, and rise with the similarity")

    def same(self, similarity: float, num_people: int, others: Sequence[float] = ()) -> Rate:
        """P(same) of a person among so many, with its 95% interval. similarity: of the nearest row of that person.
        others: of the nearest rows of the nearest other people; those who are left out take nothing."""
        similar = np.array(others, dtype=np.float64)
        against = np.array([math.log(max(1, num_people)), *(self.offset + self.slope * similar)])
        in_all = float(np.logaddexp.reduce(against))
        log_odds = self.offset + self.slope * similarity - in_all
        shares = np.exp(against[1:] - in_all)
        by_offset, by_slope = 1 - float(shares.sum()), similarity - float(shares @ similar)
        variance = by_offset**2 * self.offset_variance + by_slope**2 * self.slope_variance
        width = NORMAL_95 * math.sqrt(max(0.0, variance + 2 * by_offset * by_slope * self.covariance))
        return Rate(*(1 / (1 + math.exp(-max(-700.0, at))) for at in (log_odds, log_odds - width, log_odds + width)))


@dataclass(frozen=True)
class Calibration:
    """P(same) of a similarity, and thresholds with their error rates, as `calibrate` fitted them.

    method: one of METHODS; `none` where nobody was named, which tells nothing of pairs of one person. similarity,
    log_odds: m knots of P(same) at even odds; between them it is a straight line, beyond them level. log_odds_low,
    log_odds_high: the ends of their 95% intervals; empty: not known.

    thresholds: k similarities, ascending, at which four rates were counted. false_accept: pairs of two people at or
    above the threshold. false_reject: pairs of one person below it. false_positive: searches for strangers, among
    `num_people` people, whose nearest answer is at or above it. false_negative: searches for people in the gallery
    whose nearest right answer is below it.

    margins: similarities, ascending, 0 and above. excluded: of searches for people in the gallery, those whose nearest
    right answer is further below the nearest of all than each margin, so that naming whoever is within it leaves the
    right person out. Empty where a version before 0.2 fitted it, or nobody was named. search: P(same) of what a search
    finds; None likewise.

    num_genuine, num_impostor: pairs of one person and of two. ece: expected calibration error of P(same). brier: Brier
    score of each method. Both are of people left out of the fit, at even odds. data, data_digest, rights: what it was
    fitted on. date: ISO 8601, UTC. site: the identity of the site transform whose similarities it is of; empty: of the
    model's own.

    Raises CalibrationError where the fields do not fit together.
    """

    method: str
    similarity: Floats
    log_odds: Floats
    thresholds: Floats
    false_accept: RateCurve
    false_reject: RateCurve
    false_positive: RateCurve
    false_negative: RateCurve
    num_people: int
    num_genuine: int
    num_impostor: int
    brier: Mapping[str, float]
    ece: Rate
    data: str
    data_digest: str
    rights: str
    date: str
    log_odds_low: Floats = ()
    log_odds_high: Floats = ()
    site: str = ""
    margins: Floats = ()
    excluded: RateCurve = RateCurve((), (), ())
    search: SearchOdds | None = None

    def __post_init__(self) -> None:
        _check(self)

    def probability(self, similarity: npt.ArrayLike, prior: float = 0.5) -> npt.NDArray[np.float64]:
        """P(same person), float64, of similarities of any shape. prior: the share of pairs of one person among all
        pairs that are looked at.

        Raises ConfigError where the prior is not between 0 and 1, or nobody was named.
        """
        if not self.similarity:
            raise ConfigError(
                "a calibration without labels knows no P(same), which this needs: calibrate on people with names"
            )
        if not 0 < prior < 1:
            raise ConfigError(f"a prior lies between 0 and 1, not at {prior}")
        odds = np.interp(np.asarray(similarity, np.float64), self.similarity, self.log_odds)
        probability: npt.NDArray[np.float64] = 1 / (1 + np.exp(-(odds + np.log(prior / (1 - prior)))))
        return probability

    def same_among(self, similarity: float, num_people: int, others: Sequence[float] = ()) -> Rate | None:
        """P(same) of a row that a search among so many people finds, with its interval; None where nobody was named.
        others: the similarities of the nearest rows of the nearest other people, since no two of them are searched for
        at once. As `SearchOdds`; of an earlier version's calibration by that of pairs, and the interval is not known.
        """
        if self.search is not None:
            return self.search.same(similarity, num_people, others)
        if not self.similarity:
            return None
        return Rate(float(self.probability(similarity, 1 / (max(1, num_people) + 1))), 0.0, 1.0)

    def strangers_as_alike(self, similarity: float, num_people: int) -> Rate:
        """Of searches for strangers among so many people, the share whose nearest answer is as similar or more, at the
        most: as counted at the next lower threshold, and grown as `known_index` has it."""
        index = bisect_right(self.thresholds, similarity) - 1
        counted = self.false_positive.at(index) if index >= 0 else Rate(1.0, 1.0, 1.0)
        return self._grown(counted, num_people)

    def accept_index(self, false_accept_rate: float) -> int | None:
        """The index into `thresholds` of the lowest one whose false accept rate is at most this, at the upper end of
        its interval; None if no threshold's is."""
        return _first_below(self.false_accept.high, false_accept_rate)

    @property
    def least_false_accept_rate(self) -> float:
        """The lowest false accept rate that `accept_index` finds a threshold for, rounded up to two digits."""
        return rounded_up(min(self.false_accept.high))

    def reject_index(self, false_reject_rate: float) -> int | None:
        """The index into `thresholds` of the highest one whose false reject rate is at most this, at the upper end of
        its interval; None if no threshold's is."""
        return _last_below(self.false_reject.high, false_reject_rate)

    def known_index(self, false_positive_rate: float, num_people: int) -> int | None:
        """The index into `thresholds` of the lowest one whose false positive rate, in a search among so many people, is
        at most this, at the upper end of its interval; None if no threshold's is.

        Were strangers alike, a rate p among N people would be 1 - (1 - p)^(M / N) among M. They are not, so that this
        overstates the growth for M above N, which is safe, and the shrinking for M below, where p is taken as it is.
        """
        return _first_below(self.false_positive.high, self._at_own_size(false_positive_rate, num_people))

    def naming_margin(self, false_negative_rate: float, num_people: int) -> tuple[float, Rate] | None:
        """The margin below the nearest answer within which the person searched for is, if they are among so many people
        at all, but for this rate at the most; and the rate. None if no margin's is."""
        index = _first_below(self.excluded.high, self._at_own_size(false_negative_rate, num_people))
        return None if index is None else (self.margins[index], self._grown(self.excluded.at(index), num_people))

    def decide_pair(
        self,
        similarity: float,
        *,
        false_accept_rate: float = FALSE_ACCEPT_RATE,
        false_reject_rate: float = FALSE_REJECT_RATE,
    ) -> Decision:
        """`same`, `different` or `unsure`, from the similarity of two pictures by two cameras. The rates are those of
        wrong `same` and wrong `different` that are accepted. Raises ConfigError for a rate or a similarity that is
        none."""
        _check_asked(similarity, false_accept_rate, false_reject_rate)
        accept, reject = self.accept_index(false_accept_rate), self.reject_index(false_reject_rate)
        return self._decide(similarity, accept, reject, self.false_accept, self.false_reject, (SAME, DIFFERENT))

    def decide_search(
        self,
        similarity: float,
        num_people: int,
        *,
        false_positive_rate: float = FALSE_ACCEPT_RATE,
        false_negative_rate: float = FALSE_REJECT_RATE,
    ) -> Decision:
        """`known`, `nobody we know` or `unsure`, from the similarity of a search's nearest answer. num_people: people
        in the gallery who could have been that answer. The rates are those of wrong `known` and wrong `nobody we know`
        that are accepted; nobody is told as `nobody we know` whose nearest answer is more likely them than not. Raises
        ConfigError for a rate, a similarity or a number of people that is none."""
        _check_asked(similarity, false_positive_rate, false_negative_rate)
        if num_people < 0:
            raise ConfigError(f"num_people is 0 or more, not {num_people}")
        if num_people < 1:
            return Decision(NOBODY, Rate(0.0, 0.0, 0.0), reason="nobody is there who may answer")
        accept = self.known_index(false_positive_rate, num_people)
        reject = _last_below(self.false_negative.high, false_negative_rate)
        found = self._decide(similarity, accept, reject, self.false_positive, self.false_negative, (KNOWN, NOBODY))
        if found.verdict == KNOWN and found.rate is not None:
            return Decision(KNOWN, self._grown(found.rate, num_people), found.threshold)
        if found.verdict == NOBODY and self.search and self.search.same(similarity, num_people).value >= 0.5:
            return Decision(UNSURE, None, reason="the nearest is more likely the person than not")
        return found

    def _grown(self, rate: Rate, num_people: int) -> Rate:
        """A rate of searches, among more people than it was counted among."""
        if num_people <= self.num_people:
            return rate
        return Rate(*(1 - (1 - value) ** (num_people / self.num_people) for value in (rate.value, rate.low, rate.high)))

    def _at_own_size(self, rate: float, num_people: int) -> float:
        return rate if num_people <= self.num_people else 1 - (1 - rate) ** (self.num_people / num_people)

    def _decide(
        self,
        similarity: float,
        accept: int | None,
        reject: int | None,
        wrongly_accepted: RateCurve,
        wrongly_rejected: RateCurve,
        verdicts: tuple[Verdict, Verdict],
    ) -> Decision:
        # Where the two would overlap, whatever keeps to the rate of false accepts is accepted.
        if accept is not None and reject is not None:
            reject = min(accept, reject)
        if accept is not None and similarity >= self.thresholds[accept]:
            return Decision(verdicts[0], wrongly_accepted.at(accept), self.thresholds[accept])
        if reject is not None and similarity < self.thresholds[reject]:
            return Decision(verdicts[1], wrongly_rejected.at(reject), self.thresholds[reject])
        if accept is None and reject is None:
            return Decision(UNSURE, None, reason="the calibration's data support neither rate asked for")
        if accept is None:
            return Decision(UNSURE, None, reason=f"no threshold for `{verdicts[0]}` is supported at the rate asked for")
        above = wrongly_rejected.at(accept)
        below = wrongly_rejected.at(reject) if reject is not None else Rate(0.0, 0.0, 0.0)
        between = Rate(above.value - below.value, max(0.0, above.low - below.high), max(0.0, above.high - below.low))
        return Decision(UNSURE, between, reason="between the thresholds")

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """From `to_dict`'s JSON. Raises CalibrationError where it is no calibration, or of another schema."""
        try:
            fields = dict(values)
            if fields.pop("schema") != SCHEMA:
                raise CalibrationError(f"a calibration of schema {values['schema']!r}; this version reads {SCHEMA!r}")
            fields.setdefault("excluded", {"rate": (), "low": (), "high": ()})  # which version 0.1 did not have
            for name in ("false_accept", "false_reject", "false_positive", "false_negative", "excluded"):
                curve = fields[name]
                fields[name] = RateCurve(*(_floats(curve[part]) for part in ("rate", "low", "high")))
            for name in ("similarity", "log_odds", "thresholds"):
                fields[name] = _floats(fields[name])
            for name in ("log_odds_low", "log_odds_high", "margins"):  # nor these
                fields[name] = _floats(fields.get(name, ()))
            fields["brier"] = {str(name): float(value) for name, value in fields["brier"].items()}
            if odds := fields.get("search"):  # nor this
                fields["search"] = SearchOdds(**{name: float(value) for name, value in odds.items()})
            fields["ece"] = Rate(**{name: float(fields["ece"][name]) for name in ("value", "low", "high")})
            return cls(**fields)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CalibrationError(f"this is not a calibration: {type(error).__name__} {error}") from None


def rounded_up(rate: float) -> float:
    """A rate to two digits, 1e-9 at the least."""
    least = max(rate, 1e-9)
    unit = 10.0 ** (math.floor(math.log10(least)) - 1)
    return float(f"{math.ceil(least / unit - 1e-9) * unit:.2g}")


def _check_asked(similarity: float, *rates: float) -> None:
    for rate in rates:
        if not 0 <= rate <= 1:
            raise ConfigError(f"a rate lies between 0 and 1, not at {rate}")
    if math.isnan(similarity):
        raise ConfigError("a similarity is a number, not NaN")


def _floats(values: Any) -> Floats:
    return tuple(float(value) for value in values)


def _first_below(high: Floats, rate: float) -> int | None:
    """Rates fall with the threshold: what holds at one holds at all above."""
    return next((index for index, value in enumerate(high) if value <= rate), None)


def _last_below(high: Floats, rate: float) -> int | None:
    """Rates rise with the threshold: what holds at one holds at all below."""
    return next((index for index in range(len(high) - 1, -1, -1) if high[index] <= rate), None)


def _check(c: Calibration) -> None:
    curves = (c.false_accept, c.false_reject, c.false_positive, c.false_negative)
    shares = np.array([part for curve in curves for part in (curve.rate, curve.low, curve.high)], dtype=np.float64)
    excluded = np.array([c.excluded.rate, c.excluded.low, c.excluded.high], dtype=np.float64)
    margins = np.array(c.margins)
    if excluded.shape != (3, len(margins)) or not (((excluded >= 0) & (excluded <= 1)).all() and (margins >= 0).all()):
        raise CalibrationError("a calibration's margins are of another number than their rates, or below 0")
    knots, odds, thresholds = (np.array(v) for v in (c.similarity, c.log_odds, c.thresholds))
    if c.method not in METHODS:
        raise CalibrationError(f"a calibration's method is one of {', '.join(METHODS)}, not {c.method!r}")
    unequal = len(knots) != len(odds) or bool(len(knots)) == (c.method == "none")
    unequal |= any(len(ends) not in (0, len(odds)) for ends in (c.log_odds_low, c.log_odds_high))
    if shares.shape != (12, len(thresholds)) or unequal or not len(thresholds):
        raise CalibrationError("a calibration's curves are of unequal lengths, or empty")
    if not (np.isfinite(shares).all() and np.isfinite(odds).all() and (shares >= 0).all() and (shares <= 1).all()):
        raise CalibrationError("a calibration's rates lie between 0 and 1, and its log-odds are finite")
    rises = (knots[:-1] < knots[1:]).all() and (odds[:-1] <= odds[1:]).all() and (np.diff(thresholds) > 0).all()
    rises &= (np.diff(margins) > 0).all()
    ends = np.array([*c.log_odds_low, *c.log_odds_high])
    if np.isnan(ends).any() or not all(0 <= share <= 1 for share in (c.ece.value, c.ece.low, c.ece.high)):
        raise CalibrationError("a calibration's intervals are numbers, and its calibration error lies between 0 and 1")
    if not rises or not 1 <= c.num_people < np.inf:
        raise CalibrationError("a calibration's knots and thresholds must rise, and it takes people")
