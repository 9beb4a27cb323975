"""The interval of a share that was counted."""

from __future__ import annotations

import math

Z = 1.959964  # of a 95% interval


def wilson_interval(share: float, number: float, z: float = Z) -> tuple[float, float]:
    """The score interval of a share seen in `number` independent trials (Wilson, JASA 22, 1927), 95% by default. Where
    they are not independent: in as many as would vary as much. number: above 0."""
    middle = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z / (1 + z**2 / number) * math.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    return middle - half, middle + half
