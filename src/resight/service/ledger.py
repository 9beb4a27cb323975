"""What is audited by number: pictures that were looked at, searches and refusals, each by whom and what for.

A line for each picture would be twenty for a page, and somebody who guesses keys could fill the disk. So they are
counted, and written a few seconds later as one line each. A kill loses the counts of those seconds, and no more.
"""

from __future__ import annotations

from collections import Counter
from threading import Lock

from resight.gallery.audit import Action
from resight.gallery.store import Store

WITHIN_S = 5.0
MOST = 1000  # different lines that wait; what is beyond goes to one


class Ledger:
    """Counts that wait to be audited. Any number of threads may share one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[tuple[Action, str, str, str]] = Counter()

    def count(self, action: Action, who: str, what: str, purpose: str = "", number: int = 1) -> None:
        """Counts something: what, in a word or two, which is never whom it was about."""
        key = (action, who, purpose, what)
        with self._lock:
            if len(self._counts) >= MOST and key not in self._counts:
                key = (action, "others", "", what)
            self._counts[key] += number

    def write(self, store: Store) -> int:
        """Appends what waits to the audit, and returns how many lines. Raises GalleryError; what waits then stays."""
        with self._lock:
            waiting, self._counts = self._counts, Counter()
        written = 0
        try:
            for (action, who, purpose, what), number in sorted(waiting.items()):
                store.append_audit(action, who, purpose, {"what": what, "times": number})
                written += 1
                del waiting[action, who, purpose, what]
        finally:
            with self._lock:
                self._counts.update(waiting)
        return written
