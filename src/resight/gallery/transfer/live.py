"""Lines as a process writes them: kept within a second or two, however few there are, and when it is told to stop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from queue import Empty, Queue
from threading import Event, Thread
from typing import BinaryIO

from resight.core.errors import DataError, GalleryBusy, GalleryError
from resight.gallery.gallery import Gallery
from resight.gallery.records import Added
from resight.gallery.transfer.batches import BATCH
from resight.gallery.transfer.lines import rows_of_lines
from resight.gallery.transfer.rows import Row

WITHIN_S = 1.0  # how long the first line of a batch waits for others
LOOK_S = 0.1  # how often it is looked whether to stop
READ_AT_ONCE = 1 << 16
PATIENCE_S = 60.0
SOURCE = "-"
END = b""


class LiveLines:
    """The lines of a stream, in batches. `stop` may be called at any moment, by a signal's handler too."""

    def __init__(self, stream: BinaryIO) -> None:
        """Begins to read. stream: of bytes; a pipe's is read as soon as there is something."""
        self._stream = stream
        self._lines: Queue[bytes] = Queue(4 * BATCH)  # who writes faster than is added has to wait
        self._stopped = Event()
        self._ended = False
        self.failure: OSError | None = None
        Thread(target=self._read, name="lines", daemon=True).start()

    def stop(self) -> None:
        """No more is read. What was read already comes in the last batches."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    @property
    def waiting(self) -> int:
        """How many lines were read and not handed out."""
        return self._lines.qsize() - self._ended

    def batches(self) -> Iterator[list[bytes]]:
        """Lists of up to BATCH lines: when there are so many, or a second after the first of them came. Raises OSError
        where the stream cannot be read."""
        while True:
            batch, ended = self._batch()
            if batch:
                yield batch
            if ended:
                break
        if self.failure is not None:
            raise self.failure

    def _batch(self) -> tuple[list[bytes], bool]:
        batch: list[bytes] = []
        until = 0.0
        while len(batch) < BATCH:
            stopped = self._stopped.is_set()
            try:
                line = self._lines.get_nowait() if stopped else self._lines.get(timeout=LOOK_S)
            except Empty:
                if stopped or (batch and time.monotonic() >= until):
                    return batch, stopped
                continue
            if line == END:
                self._ended = False
                return batch, True
            until = until or time.monotonic() + WITHIN_S
            batch.append(line)
            if time.monotonic() >= until:
                break
        return batch, False

    def _read(self) -> None:
        rest = b""
        try:
            read = _reader_of(self._stream)
            while not self._stopped.is_set() and (piece := read()):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    self._lines.put(line + b"\n")
        except OSError as error:
            self.failure = error
        if rest.strip():
            self._lines.put(rest)
        self._lines.put(END)
        self._ended = True  # it waits too, and is no line


def _reader_of(stream: BinaryIO) -> Callable[[], bytes]:
    """Reads what is there. Past the stream's own buffer, whose lock a thread that waits would keep at the end."""
    try:
        number = stream.fileno()
    except (OSError, AttributeError):  # no file, as in a test
        return lambda: stream.read(READ_AT_ONCE)
    return lambda: os.read(number, READ_AT_ONCE)


def added_live(
    gallery: Gallery,
    live: LiveLines,
    look: Callable[[Row | DataError], Row | DataError],
    say: Callable[[str], None],
    *,
    strict: bool = False,
    patience_s: float = PATIENCE_S,
) -> Iterator[Added]:
    """Adds the lines as they come, and yields what became of each batch once it is committed: iterate over it.

    look: sees each row before it is added, and gives it back. say: is told while another process keeps lines waiting.
    patience_s: how long they are tried again, beyond the gallery's own wait. strict: as in `Gallery.add_rows`.

    Raises GalleryError if the store fails, GalleryBusy if another process kept writing: the message says which lines
    were read and are not kept. OSError if the stream cannot be read; with strict, DataError.
    """
    number = 1
    for lines in live.batches():
        rows = [look(row) for row in rows_of_lines(lines, SOURCE, first=number)]
        until = time.monotonic() + patience_s
        while True:
            try:
                yield from gallery.add_batches([rows], strict=strict)
                break
            except GalleryError as error:
                again = isinstance(error, GalleryBusy) and not live.stopped and time.monotonic() < until
                if not again:
                    live.stop()
                    last = number + len(lines) + live.waiting - 1
                    raise type(error)(f"{error}. Not kept: lines {number} to {last} of standard input") from None
                say(f"{error}: {len(lines) + live.waiting} lines wait, and are tried again")
        number += len(lines)
