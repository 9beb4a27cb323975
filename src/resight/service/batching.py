"""Pictures of several requests, embedded together: a network takes less than half the time for each of eight."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread

import numpy as np

from resight.core.errors import UnreadableImage
from resight.core.records import FloatArray
from resight.embedding.model import Model
from resight.service.lanes import ServiceBusy

TOGETHER = 32  # pictures of a batch
Waiting = tuple[Sequence[bytes], "Future[FloatArray]"]


class Batcher:
    """One thread that embeds what waits, all at once."""

    def __init__(self, model: Model, most: int, deadline_s: float) -> None:
        """most: requests that may wait. deadline_s: for how long."""
        self._model = model
        self._most = most
        self._deadline_s = deadline_s
        self._queue: SimpleQueue[Waiting | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="embedding", daemon=True)
        self._thread.start()

    async def embed(self, pictures: Sequence[bytes]) -> FloatArray:
        """(n, dim) float32 of unit length. Raises UnreadableImage for the first that cannot be read, ServiceBusy."""
        if self._queue.qsize() >= self._most:
            raise ServiceBusy("too many requests at once; try again in a second")
        future: Future[FloatArray] = Future()
        self._queue.put((pictures, future))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._deadline_s)
        except TimeoutError:
            raise ServiceBusy(f"this took longer than {self._deadline_s:g} s; try again later") from None

    @property
    def runs(self) -> bool:
        """Whether the thread is there to embed."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Embeds what waits, and ends."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            batch: list[Waiting] = []
            item = self._queue.get()
            while item is not None:
                batch.append(item)
                if sum(len(pictures) for pictures, _ in batch) >= TOGETHER:
                    break
                try:
                    item = self._queue.get_nowait()
                except Empty:
                    break
            ended = item is None
            wanted = [each for each in batch if each[1].set_running_or_notify_cancel()]  # who still waits
            if wanted:
                self._embed(wanted)

    def _embed(self, batch: Sequence[Waiting]) -> None:
        """Answers each request of a batch. What goes wrong is told to the request that it is of, and ends no thread."""
        try:
            vectors = self._model.embed([data for pictures, _ in batch for data in pictures], strict=False)
        except Exception as error:
            if len(batch) == 1:
                batch[0][1].set_exception(error)
            else:  # whose it is, each alone tells
                for each in batch:
                    self._embed([each])
            return
        start = 0
        for pictures, future in batch:
            rows = vectors[start : start + len(pictures)]
            start += len(pictures)
            try:
                if not np.isfinite(rows).all():  # alone, a picture that cannot be read says what is wrong with it
                    rows = np.concatenate([self._alone(*each) for each in enumerate(pictures, 1)])
            except Exception as error:
                future.set_exception(error)
            else:
                future.set_result(rows)

    def _alone(self, number: int, picture: bytes) -> FloatArray:
        """One picture's embedding. Raises UnreadableImage with its number in the request, from 1."""
        try:
            return self._model.embed(picture)
        except UnreadableImage as error:
            raise UnreadableImage(f"picture {number}", error.reason) from None
