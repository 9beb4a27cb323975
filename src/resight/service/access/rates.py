"""How often: a bucket for each key and each address, which fills by the second."""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Lock

MOST = 10_000  # buckets that are remembered


class Rates:
    """So many at once, and so many a minute after that."""

    def __init__(self, a_minute: float) -> None:
        """a_minute: how many a minute; also how many at once."""
        self._most = a_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def take(self, whose: str) -> float:
        """Takes one. Returns 0, or how many seconds to wait if there is none."""
        now = time.monotonic()
        with self._lock:
            left, then = self._buckets.pop(whose, (self._most, now))
            left = min(self._most, left + (now - then) * self._most / 60)
            enough = left >= 1
            self._buckets[whose] = (left - enough, now)
            while len(self._buckets) > MOST:
                self._buckets.popitem(last=False)
            return 0.0 if enough else (1 - left) * 60 / self._most
