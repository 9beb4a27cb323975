"""What a calibration can promise: the lowest rate of wrong answers that it has a threshold for, a verdict each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from resight.core.calibration import Calibration

USELESS = 0.5  # a rate from here on promises nothing


@dataclass(frozen=True)
class Support:
    """The lowest rate at which each verdict can be asked for, rounded up to two digits; None: at none below USELESS.

    same, different: of pairs, as `decide_pair` takes them. known, nobody: of a search among `num_people` people, as
    `decide_search` takes them. named: for `if anybody`, as `naming_margin` takes it.
    """

    num_people: int
    same: float | None
    different: float | None
    known: float | None
    nobody: float | None
    named: float | None


def supported(calibration: Calibration, num_people: int | None = None) -> Support:
    """num_people: in the gallery; None: as many as the calibration was made of.

    Example:
        >>> import resight
        >>> found = supported(resight.load("city").calibration)
        >>> found.known is None or 0 < found.known < 0.5
        True
    """
    c = calibration
    among = c.num_people if num_people is None else num_people
    grown = 1.0 if among <= c.num_people else among / c.num_people

    def in_search(high: Sequence[float]) -> float | None:
        return _least(tuple(1 - (1 - rate) ** grown for rate in high))

    return Support(
        among,
        _least(c.false_accept.high),
        _least(c.false_reject.high),
        in_search(c.false_positive.high),
        _least(c.false_negative.high),
        in_search(c.excluded.high),
    )


def people_for(rate: float, least: float, num_people: int) -> int:
    """About how many people it takes to support a rate, where so many support `least`, by two digits: the end of an
    interval without a single error falls as one over their number; where errors occur it takes more."""
    needed = num_people * least / rate
    unit = 10.0 ** max(0, math.floor(math.log10(max(1.0, needed))) - 1)
    return int(math.ceil(needed / unit - 1e-9) * unit)


def _least(high: Sequence[float]) -> float | None:
    """The least of them, rounded up to two digits."""
    least = max(min(high, default=1.0), 1e-9)
    unit = 10.0 ** (math.floor(math.log10(least)) - 1)
    rate = float(f"{math.ceil(least / unit - 1e-9) * unit:.2g}")
    return rate if rate < USELESS else None
