"""The lanes of a service: a few threads that read, search and embed, and one that writes. Both have short queues."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, TypeVar

from resight.core.errors import ResightError

T = TypeVar("T")


class ServiceBusy(ResightError):
    """More is asked at once than this service takes. Ask again in a second."""


class Lane:
    """Some threads, and how many may wait for them."""

    def __init__(self, name: str, threads: int, waiting: int, deadline_s: float, *, leaves: bool = True) -> None:
        """leaves: whether work that has begun is left alone at the deadline. Where it is not, the deadline is for its
        beginning: who is told to ask again can then rely on it that nothing was done."""
        self._leaves = leaves
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = threads + waiting
        self._deadline_s = deadline_s
        self._lock = Lock()  # requests are counted by the loop's thread, and their ends by others
        self.busy = 0  # running and waiting

    async def run(self, act: Callable[..., T], *args: Any, **options: Any) -> T:
        """Runs it in a thread. Raises ServiceBusy if too many wait already, or for the deadline."""
        with self._lock:
            if self.busy >= self._most:
                raise ServiceBusy("too many requests at once; try again in a second")
            self.busy += 1
        future = self._pool.submit(act, *args, **options)
        future.add_done_callback(self._done)
        waited = asyncio.wrap_future(future)
        try:
            return await asyncio.wait_for(waited if self._leaves else asyncio.shield(waited), self._deadline_s)
        except TimeoutError:
            if self._leaves:
                text = f"this took longer than {self._deadline_s:g} s; ask for less, or again later"
            elif future.cancel():
                text = f"others were written for {self._deadline_s:g} s, and nothing of this was done; ask again later"
            else:
                return await waited
            raise ServiceBusy(text) from None

    def submit(self, act: Callable[..., T], *args: Any) -> Future[T]:
        """Runs it when the others are done, however many wait."""
        return self._pool.submit(act, *args)

    def close(self) -> None:
        """Waits for what runs."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _done(self, future: Future[Any]) -> None:
        with self._lock:
            self.busy -= 1
