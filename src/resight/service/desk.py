"""All that the requests of one service share: the gallery, the lanes, the keys, and what is remembered for a while."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import numpy as np

from resight.core.errors import GalleryError, ResightError
from resight.gallery.filters import EVERY_ENTRY
from resight.gallery.gallery import Gallery
from resight.service.access.keys import Keys
from resight.service.access.rates import Rates
from resight.service.access.sessions import Sessions
from resight.service.batching import Batcher
from resight.service.jobs import Jobs
from resight.service.lanes import Lane
from resight.service.ledger import WITHIN_S, Ledger
from resight.service.metrics import Metrics
from resight.service.settings import ServiceSettings

log = logging.getLogger("resight.service")
FORGETS_AFTER_S = 600.0  # previews, certificates, and answers to idempotency keys
MOST_REMEMBERED = 1000


class Remembered:
    """A few values for a few minutes, in memory alone. Any number of threads may share one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._values: OrderedDict[str, tuple[float, Any]] = OrderedDict()

    def put(self, key: str, value: Any) -> None:
        """Remembers a value."""
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = (time.monotonic() + FORGETS_AFTER_S, value)
            while len(self._values) > MOST_REMEMBERED:
                self._values.popitem(last=False)

    def get(self, key: str) -> Any:
        """The value, or None."""
        with self._lock:
            until, value = self._values.get(key, (0.0, None))
            return value if time.monotonic() < until else None

    def sweep(self) -> None:
        """Forgets those whose time is over."""
        now = time.monotonic()
        with self._lock:
            while self._values and next(iter(self._values.values()))[0] <= now:  # the oldest come first
                self._values.popitem(last=False)

    def clear(self) -> None:
        """Forgets all of them."""
        with self._lock:
            self._values.clear()

    def drop(self, key: str) -> None:
        """Forgets this one."""
        with self._lock:
            self._values.pop(key, None)


class Desk:
    """One service. Open it before requests come, and close it at the end."""

    def __init__(
        self,
        gallery: Gallery,
        keys: Path,
        settings: ServiceSettings | None = None,
        offered: Mapping[str, str] | None = None,
    ) -> None:
        """gallery: open, and closed by `close`. keys: the file of keys. offered: models for re-embedding, by name, as
        `resight.load` takes them."""
        self.offered = dict(offered or {})
        self.settings = settings = settings or ServiceSettings()
        self.gallery = gallery
        self.keys = Keys(keys)
        self.sessions = Sessions(self.keys)
        self.ledger = Ledger()
        self.metrics = Metrics()
        self.previews = Remembered()
        self.answers = Remembered()
        self.certificates = Remembered()
        self.failures = Rates(settings.failures_a_minute)
        self.requests = Rates(settings.requests_a_minute)
        self.searches = Rates(settings.searches_a_minute)
        self.reading = Lane("reading", settings.readers, settings.waiting, settings.deadline_s)
        self.writing = Lane("writing", 1, settings.waiting, settings.deadline_s, leaves=False)
        self.jobs = Jobs()
        model = gallery.model
        self.batcher = None if model is None else Batcher(model, settings.waiting, settings.deadline_s)
        self.hosts = {name.lower() for name in (*settings.loopback, *settings.hosts)}
        # Browsers send cookies to every port of a host: another service there has a name of its own.
        own = hashlib.sha256(str(keys.absolute()).encode()).hexdigest()[:8]
        self.cookie = f"__Host-resight-{own}" if settings.secure else f"resight-{own}"
        self._index_is_read = False
        self._closing = Event()
        self._ticking: Thread | None = None

    @property
    def place(self) -> str:
        """The path of the gallery, which is for nobody who asks; empty where it has none."""
        return str(getattr(self.gallery.store, "path", ""))

    @property
    def unready(self) -> str:
        """Why searches are not answered, in words; empty where they are."""
        if not self._index_is_read:
            return "the gallery's index is being read"
        if self.batcher is not None and not self.batcher.runs:
            return "the thread that embeds pictures has ended: start the service again"
        return ""

    def open(self) -> None:
        """Begins to read the index, and to write the ledger now and then."""
        self._ticking = Thread(target=self._tick, name="ledger", daemon=True)
        self._ticking.start()

    def close(self) -> None:
        """Ends what runs, writes the ledger, closes the gallery."""
        self._closing.set()
        if self._ticking is not None:
            self._ticking.join()
        self.jobs.close()
        if self.batcher is not None:
            self.batcher.close()
        self.reading.close()
        self.writing.close()
        self._write_ledger()
        self.gallery.close()

    def _tick(self) -> None:
        written: Future[None] | None = None
        self._index_is_read = self._searched()
        while not self._closing.wait(WITHIN_S):
            self._index_is_read = self._index_is_read or self._searched()
            for remembered in (self.previews, self.certificates, self.answers):
                remembered.sweep()
            if written is None or written.done():
                written = self.writing.submit(self._write_ledger)

    def _searched(self) -> bool:
        """Reads the index by a first search; whether it could be searched, which is tried again otherwise."""
        try:
            nothing = np.zeros((1, self.gallery.settings.dim), np.float32)
            site = self.gallery.site.transform
            self.gallery.store.search(nothing, 1, EVERY_ENTRY, None, site.identity if site else "")
        except ResightError as error:
            log.error("the gallery cannot be searched, and is tried again: %s", error)
            return False
        return True

    def _write_ledger(self) -> None:
        try:
            self.ledger.write(self.gallery.store)
        except GalleryError as error:
            log.error("the audit could not be written, and is tried again: %s", error)
