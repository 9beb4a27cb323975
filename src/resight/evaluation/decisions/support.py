"""What a calibration can promise: the rates of wrong answers that it has thresholds for, a verdict each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from resight.core.calibration import FALSE_ACCEPT_RATE, FALSE_REJECT_RATE, Calibration, rounded_up

USELESS = 0.5  # a rate from here on promises nothing
HALF = 0.5


@dataclass(frozen=True)
class Answer:
    """How one verdict can be asked for. Rates are rounded up to two digits; None: at none below USELESS.

    least: the lowest rate of wrong ones that is supported. half: the lowest one at which half of those of whom the
    verdict is true get it; None too where nobody knows. by_default: the share of them that gets it at the default rate;
    None: that rate is not supported; NaN: nobody knows.
    """

    least: float | None
    half: float | None
    by_default: float | None


@dataclass(frozen=True)
class Support:
    """same, different: of pairs, as `decide_pair` takes their rates. known, nobody: of a search among `num_people`
    people, as `decide_search` takes them. named: the lowest rate for `if anybody`, as `naming_margin` takes it."""

    num_people: int
    same: Answer
    different: Answer
    known: Answer
    nobody: Answer
    named: float | None


def supported(calibration: Calibration, num_people: int | None = None) -> Support:
    """num_people: in the gallery; None: as many as the calibration was made of.

    Example:
        >>> import resight
        >>> found = supported(resight.load("city").calibration)
        >>> found.same.least <= found.same.half
        True
    """
    c = calibration
    among = c.num_people if num_people is None else num_people
    grown = 1.0 if among <= c.num_people else among / c.num_people

    def in_search(high: Sequence[float]) -> list[float]:
        return [1 - (1 - rate) ** grown for rate in high]

    named = bool(c.similarity)  # without names nobody knows how many right answers are missed
    accept, reject = FALSE_ACCEPT_RATE, FALSE_REJECT_RATE
    return Support(
        among,
        _answer(c.false_accept.high, c.false_reject.rate, accept, named),
        _answer(c.false_reject.high, c.false_accept.rate, reject, named),
        _answer(in_search(c.false_positive.high), c.false_negative.rate, accept, named),
        _answer(c.false_negative.high, in_search(c.false_positive.rate), reject, named),
        _rounded(min(in_search(c.excluded.high), default=1.0)),
    )


def people_for(rate: float, least: float, num_people: int) -> int:
    """About how many people it takes to support a rate, where so many support `least`, by two digits: the end of an
    interval without a single error falls as one over their number; where errors occur it takes more."""
    needed = num_people * least / rate
    unit = 10.0 ** max(0, math.floor(math.log10(max(1.0, needed))) - 1)
    return int(math.ceil(needed / unit - 1e-9) * unit)


def _answer(wrong: Sequence[float], missed: Sequence[float], default: float, told: bool) -> Answer:
    """wrong: at each threshold the rate of wrong answers, at its upper end. missed: the share of right ones that are
    not given there, if anybody `told` it. One falls with the threshold, the other rises."""
    half = [rate for rate, gone in zip(wrong, missed, strict=True) if told and gone <= HALF]
    given = [1 - gone if told else math.nan for rate, gone in zip(wrong, missed, strict=True) if rate <= default]
    return Answer(_rounded(min(wrong)), _rounded(min(half, default=1.0)), max(given, default=None))


def _rounded(rate: float) -> float | None:
    """Up, to two digits; None where such a rate is of no use."""
    up = rounded_up(rate)
    return up if up < USELESS else None
