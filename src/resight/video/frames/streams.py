"""Frames of a live stream, for weeks: at the times of the clock, connected again after each cut."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, Full, Queue
from typing import Any
from urllib.parse import urlsplit

from resight.core.errors import DataError
from resight.video.frames.clock import ClockReport
from resight.video.frames.decoding import Decoder, reason
from resight.video.frames.files import import_av, pixels_of
from resight.video.records import Frame

STALL_S = 10.0  # without a frame for so long, a stream is given up and connected again
WAITS_S = (1.0, 2.0, 5.0, 10.0, 30.0)  # before each further try to connect
DRIFT_S = 2.0  # how far a stream's own stamps may fall behind the clock before they are set by it; ahead: not at all
FIRST_S = 60.0  # a stream that gave no frame at all in so long is given up, unless asked otherwise
REACH_S = 3.0  # to say whether anybody answers at an address
PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
MOST_STUCK = 8  # readers that hang in a library and cannot be ended


class Stream:
    """The frames of a network stream, the newest first where work is slower than the stream: it never falls behind.

    A reader of its own waits for the network, so that whatever the library does, `stall_s` holds. Each connection is an
    epoch. problems: why connections ended, the latest ones.
    """

    def __init__(
        self,
        address: str,
        *,
        stall_s: float = STALL_S,
        tries: int | None = None,
        first_s: float | None = None,
        report: ClockReport | None = None,
        say: Callable[[str], None] = lambda text: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """tries: to connect in a row before it is given up; None: for ever. first_s: given up without a single frame in
        so long; None: never. say: told of each cut.

        Raises MissingExtra without PyAV.
        """
        self.address, self.stall_s, self.tries, self.first_s = address, stall_s, tries, first_s
        self.report = report if report is not None else ClockReport()
        self.problems: list[str] = []
        self.frames, self.rate = 0, 0.0
        self.say, self._clock = say, clock
        self._av = import_av()
        self._stopped = threading.Event()
        self._readers: list[threading.Thread] = []

    def stop(self) -> None:
        """Ends the frames after the current one."""
        self._stopped.set()

    def __iter__(self) -> Iterator[Frame]:
        epoch = failed = 0
        began, ever = time.monotonic(), False
        while not self._stopped.is_set():
            came = False
            for at, pixels in self._connection():
                came = ever = True
                yield Frame(at, pixels, epoch, number=0)
                if self._stopped.is_set():
                    return
            failed = 0 if came else failed + 1
            epoch += 1
            if self.tries is not None and failed >= self.tries:
                raise DataError(f"{self._shown()}: no frame in {failed} tries ({self.problems[-1]})")
            if not ever and self.first_s is not None and time.monotonic() - began >= self.first_s:
                raise DataError(
                    f"{self._shown()}: {self.problems[-1]}; given up after {self.first_s:g} s without a frame. Is the "
                    "address right, and the camera on? --keep-trying waits for it for ever"
                )
            if not self._stopped.is_set():
                wait = WAITS_S[min(failed, len(WAITS_S) - 1)]
                if not ever and self.first_s is not None:
                    wait = min(wait, max(0.0, began + self.first_s - time.monotonic()))
                self.say(f"{self._shown()}: {self.problems[-1]}; connecting again in {wait:.3g} s")
                self._stopped.wait(wait)

    def _connection(self) -> Iterator[tuple[float, Any]]:
        """The frames of one connection, until it is cut or stalls."""
        queue: Queue[tuple[float, Any] | str] = Queue(maxsize=1)  # times, and PyAV's frames
        ended = threading.Event()
        self._readers = [reader for reader in self._readers if reader.is_alive()]
        if len(self._readers) >= MOST_STUCK:
            raise DataError(f"{self._shown()}: {MOST_STUCK} readers hang and cannot be ended; start the process again")
        reader = threading.Thread(target=self._read, args=(queue, ended), daemon=True, name="resight-stream")
        self._readers.append(reader)
        reader.start()
        waited = 0.0
        try:
            while not self._stopped.is_set():
                try:
                    item = queue.get(timeout=min(0.25, self.stall_s))
                except Empty:
                    waited += min(0.25, self.stall_s)
                    if waited >= self.stall_s:
                        self._note(f"no frame for {self.stall_s:g} s")
                        return
                    continue
                waited = 0.0
                if isinstance(item, str):
                    self._note(item)
                    return
                yield item[0], pixels_of(item[1])
        finally:
            ended.set()

    def _read(self, queue: Queue[tuple[float, Any] | str], ended: threading.Event) -> None:
        options = {"rtsp_transport": "tcp"} if self.address.startswith("rtsp") else {}
        why, opened = "the stream ended", False
        try:
            with self._av.open(self.address, options=options, timeout=(self.stall_s, self.stall_s)) as container:
                opened = True
                offset: float | None = None
                decoder = Decoder(self._av, container, live=True, on_damage=self._count_damaged)
                for _, picture in decoder:
                    if ended.is_set():
                        return
                    now = self._clock()
                    stamp = None if picture.time is None else float(picture.time)
                    if stamp is None:
                        at = now
                    else:
                        if offset is None or not now - DRIFT_S <= stamp + offset <= now:
                            offset = now - stamp
                        at = stamp + offset
                    self._put(queue, (at, picture))
                if decoder.given_up:
                    why = f"nothing more can be decoded ({decoder.reason})"
        except Exception as error:  # of whatever kind: it is told, and the stream connected again
            why = reason(error) if opened else why_not_opened(self.address, reason(error))
        if not ended.is_set():
            self._put(queue, why)

    def _count_damaged(self) -> None:
        self.report.damaged += 1

    def _put(self, queue: Queue[Any], item: tuple[float, Any] | str) -> None:
        """In place of what nobody has taken yet."""
        while True:
            try:
                queue.put_nowait(item)
                return
            except Full:
                try:
                    queue.get_nowait()
                    self.report.skipped += 1
                except Empty:
                    pass

    def _note(self, text: str) -> None:
        self.problems = [*self.problems[-9:], text]

    def _shown(self) -> str:
        """The address, without user and password."""
        scheme, _, rest = self.address.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}" if rest else self.address


def why_not_opened(address: str, said: str) -> str:
    """Whether nobody answers there, which libraries report in other words. said: what they reported."""
    try:
        parts = urlsplit(address)
        usual = PORTS.get(parts.scheme.lower())
        if usual is None or not parts.hostname:  # udp and srt: nothing to connect to
            return said
        port = parts.port or usual
        socket.create_connection((parts.hostname, port), REACH_S).close()
    except ValueError:
        return f"the address cannot be understood ({said})"
    except OSError as error:
        return f"cannot be reached ({reason(error)})"
    return f"answers, but gives no video that can be read ({said})"
