"""Requests to a service over one connection, which is made again if it is lost."""

from __future__ import annotations

import http.client
import json
import os
import selectors
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import urlencode

from resight.core.errors import GalleryBusy, GalleryError
from resight.core.progress import Progress, silent
from resight.service.client.address import address_of, key_of, trust_of, wait_of
from resight.service.client.answers import ERRORS, JSON, LINES, Answer, NotThere, Stranger, job_of, understood, value_of

API = "/api/v1"
# What is not a GET, and changes nothing.
LOOKING = ("/search", "/links/preview", "/forget/preview")
# What may be asked twice: nothing is added or deleted twice there.
REPEATABLE = (*LOOKING, "/entries/lines", "/forget")
MAYBE_DONE = "It may have been done: look before you repeat it"
Query = Mapping[str, Any]
T = TypeVar("T")


class _Line:
    """A connection of one process, and whose turn it is on it."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.turn = Lock()
        self.connection: http.client.HTTPConnection | None = None

    def drop(self) -> None:
        """Closes the connection, if there is one."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Transport:
    """One connection to a service, which is made again if it is lost. Threads take turns; a process that was forked has
    a connection of its own."""

    def __init__(
        self, url: str, key: str | None, *, cafile: str | None = None, wait_s: float = 5.0, timeout_s: float = 120.0
    ) -> None:
        """As `connect`. Raises ConfigError for a wrong address, key, cafile or time."""
        self._parts = address_of(url)
        self.url = f"{self._parts.scheme}://{self._parts.netloc}{self._parts.path.rstrip('/')}"
        self._key = key_of(key)
        self._tls = trust_of(self._parts, cafile)
        self._wait_s, self._timeout_s = wait_of(wait_s, "wait_s"), wait_of(timeout_s, "timeout_s", least=0.001)
        self._line = _Line()
        self._closed = False

    def call(
        self,
        method: str,
        path: str,
        of: Callable[[Any], T],
        *,
        media: tuple[str, ...] = JSON,
        query: Query | None = None,
        body: Any = None,
        headers: Query | None = None,
    ) -> T:
        """What `of` makes of the answer. It is asked again for wait_s while the service is busy.

        path: below the API's root. media: what the answer must be; `of` gets its JSON, or its bytes where it is
        something else. body: JSON; or bytes, or a function that gives them, as they are. Raises what the service's
        problem is of, GalleryError for a lost connection or an answer that is none of a service.
        """
        until = time.monotonic() + self._wait_s
        while True:
            try:
                return value_of(self._asked(method, path, query, body, headers), media, of, self.url)
            except GalleryBusy:
                if time.monotonic() >= until:
                    raise
                time.sleep(0.2)
            except Stranger as error:  # a proxy's too, that no longer waited for the service
                if not _changes(method, path):
                    raise
                raise Stranger(f"{error}. {MAYBE_DONE}") from None

    def find(self, path: str, of: Callable[[Any], T], *, media: tuple[str, ...] = JSON) -> T | None:
        """As `call` with GET; None for what is not there."""
        try:
            return self.call("GET", path, of, media=media)
        except NotThere:
            return None

    def job(self, kind: str, of: Callable[[Any], T], progress: Progress = silent) -> T:
        """Runs a job, waits for it, and returns what `of` makes of its result. Raises what it failed with."""
        job = self.call("POST", f"/jobs/{kind}", job_of)
        with progress(f"{kind}, by the service", job.total, job.done) as advance:
            while job.state == "running":
                time.sleep(0.1)
                before, job = job.done, self.call("GET", f"/jobs/{job.id}", job_of)
                advance(job.done - before)
        if job.state != "done":
            raise ERRORS.get(job.problem, GalleryError)(job.error)
        return understood(of, job.result, self.url)

    def lines(self, path: str, headers: Query) -> Iterator[bytes]:
        """The lines of a long answer. The connection is of its own. Raises as `call`; it is asked again as there."""
        until = time.monotonic() + self._wait_s
        while True:
            try:
                yield from self._read_lines(path, headers)
                return
            except GalleryBusy:  # before the first line, or never
                if time.monotonic() >= until:
                    raise
                time.sleep(0.2)

    def _read_lines(self, path: str, headers: Query) -> Iterator[bytes]:
        self._check_open()
        connection, sent = self._connect(), False
        try:
            connection.connect()
            sent = True
            connection.request("GET", self._path(path, None), headers=self._headers(headers))
            with connection.getresponse() as answer:
                body = answer.read() if answer.status != 200 else b""
                value_of(_answer_of(answer, body), LINES, bytes, self.url)
                while line := answer.readline():
                    yield line
        except (OSError, http.client.HTTPException) as error:
            raise self._lost(error, sent, changes=False) from None
        finally:
            connection.close()

    def close(self) -> None:
        """Closes the connection. What is asked after that raises GalleryError."""
        line = self._own_line()
        with line.turn:
            self._closed = True
            line.drop()

    def _asked(self, method: str, path: str, query: Query | None, body: Any, headers: Query | None) -> Answer:
        told = dict(headers or {})
        data = body() if callable(body) else body
        if data is not None and not isinstance(data, bytes):
            data = json.dumps(data).encode()
            told.setdefault("Content-Type", "application/json")
        line = self._own_line()
        with line.turn:
            self._check_open()
            return self._ask(line, method, path, query, data, self._headers(told))

    def _ask(
        self, line: _Line, method: str, path: str, query: Query | None, data: bytes | None, headers: dict[str, str]
    ) -> Answer:
        if line.connection is not None and _ended(line.connection):
            line.drop()
        fresh = line.connection is None
        connection = line.connection = line.connection or self._connect()
        sent = not fresh
        try:
            if fresh:
                connection.connect()
            sent = True
            with suppress(BrokenPipeError, ConnectionResetError):  # refused before its end: the answer says why
                connection.request(method, self._path(path, query), data, headers)
            with connection.getresponse() as answer:
                return _answer_of(answer, answer.read())
        except BaseException as error:
            line.drop()  # or the next request would get this one's answer
            if not isinstance(error, OSError | http.client.HTTPException):
                raise
            lost = isinstance(error, http.client.RemoteDisconnected | BrokenPipeError | ConnectionResetError)
            if lost and not fresh and (method == "GET" or path.startswith(REPEATABLE)):
                return self._ask(line, method, path, query, data, headers)  # it was closed while nobody asked
            raise self._lost(error, sent, _changes(method, path)) from None

    def _own_line(self) -> _Line:
        """That of this process: one that was forked leaves its parent's alone, whose answers are the parent's."""
        line = self._line
        if line.process != os.getpid():
            line = self._line = _Line()
        return line

    def _check_open(self) -> None:
        if self._closed:
            raise GalleryError(f"{self.url}: it was closed here; connect again")

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, context=self._tls, timeout=self._timeout_s)
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)

    def _path(self, path: str, query: Query | None) -> str:
        known = {name: value for name, value in (query or {}).items() if value is not None}
        asked = f"?{urlencode(known, doseq=True)}" if known else ""
        return f"{self._parts.path.rstrip('/')}{API}{path}{asked}"

    def _headers(self, more: Query) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}", "Accept": "application/json", **more}

    def _lost(self, error: Exception, sent: bool, changes: bool) -> GalleryError:
        why = " ".join(str(error).split()) or type(error).__name__
        if not sent:
            return GalleryError(f"{self.url} cannot be reached ({why}); check the address, and that the service runs")
        if changes:
            return GalleryError(f"{self.url} gave no answer ({why}). {MAYBE_DONE}")
        return GalleryError(f"{self.url} gave no whole answer ({why}); ask again")


def _changes(method: str, path: str) -> bool:
    """Whether something is other than before where this is done."""
    return method != "GET" and not path.startswith(LOOKING)


def _answer_of(answer: http.client.HTTPResponse, body: bytes) -> Answer:
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return Answer(answer.status, kind, answer.headers.get("Location", ""), body)


def _ended(connection: http.client.HTTPConnection) -> bool:
    """Whether the other side has closed a connection that waits for the next request."""
    if connection.sock is None:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connection.sock, selectors.EVENT_READ)
        return bool(selector.select(0))
