"""Requests to a service, and its problems as the errors that a gallery raises here."""

from __future__ import annotations

import http.client
import json
import os
import selectors
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from threading import Lock
from typing import Any
from urllib.parse import urlencode, urlsplit

from resight.core.errors import (
    ConfigError,
    DataError,
    EmbeddingError,
    GalleryBusy,
    GalleryError,
    MissingExtra,
    ResightError,
)
from resight.core.progress import Progress, silent

API = "/api/v1"
KEY = "RESIGHT_KEY"  # the environment variable that has the key
URN = "urn:resight:problem:"
ERRORS: dict[str, type[ResightError]] = {
    kind.__name__: kind for kind in (ConfigError, DataError, EmbeddingError, GalleryBusy, GalleryError)
}
# What is not a GET, and may be asked twice: nothing is added or deleted twice there.
REPEATABLE = ("/search", "/entries/lines", "/forget", "/links/preview")
Query = Mapping[str, Any]


class NotThere(GalleryError):
    """What is asked for is not there, or not for this key."""


class NoPreview(GalleryError):
    """What was previewed for a deletion is no longer remembered: something else was deleted meanwhile."""


OF_KINDS: dict[str, type[ResightError]] = {
    "invalid": ConfigError,
    "not-found": NotThere,
    "no-preview": NoPreview,
    "other-model": EmbeddingError,
    "UnreadableImage": DataError,
    "ServiceBusy": GalleryBusy,
    "too-often": GalleryBusy,
    "not-ready": GalleryBusy,
}


class Transport:
    """One connection to a service, which is made again if it is lost. Threads take turns."""

    def __init__(self, url: str, key: str | None, *, cafile: str | None = None, wait_s: float = 5.0) -> None:
        """url: of the service's root. key: or in RESIGHT_KEY. cafile: certificates to trust, in PEM. wait_s: how long
        to ask again while the service is busy. Raises ConfigError for a wrong address, or no key."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ConfigError(
                f"{parts.hostname or url!r} is no address of a service, such as https://host/resight (without a key)"
            )
        found = os.environ.get(KEY, "") if key is None else key
        if not found or not found.isascii() or not found.isprintable():
            raise ConfigError(f"a service needs a key: key=, or the environment variable {KEY}")
        self.url = url.rstrip("/")
        self._parts, self._key, self._wait_s = parts, found, wait_s
        self._tls = ssl.create_default_context(cafile=cafile) if parts.scheme == "https" else None
        self._lock = Lock()
        self._connection: http.client.HTTPConnection | None = None

    def call(
        self, method: str, path: str, *, query: Query | None = None, body: Any = None, headers: Query | None = None
    ) -> Any:
        """The answer's JSON, or its bytes, or None if it is empty. body: JSON, or bytes as they are. path: below the
        API's root. Raises what the service's problem is of."""
        until = time.monotonic() + self._wait_s
        while True:
            try:
                return self._once(method, path, query, body, headers)
            except GalleryBusy:
                if time.monotonic() >= until:
                    raise
                time.sleep(0.2)

    def find(self, path: str) -> Any:
        """As `call` with GET; None for what is not there."""
        try:
            return self.call("GET", path)
        except NotThere:
            return None

    def job(self, kind: str, progress: Progress = silent) -> dict[str, Any]:
        """Runs a job and waits for it; what came of it. Raises GalleryError if it failed."""
        job = self.call("POST", f"/jobs/{kind}")
        done = job["done"]
        with progress(f"{kind}, by the service", job["total"], done) as advance:
            while job["state"] == "running":
                time.sleep(0.1)
                job = self.call("GET", f"/jobs/{job['id']}")
                advance(job["done"] - done)
                done = job["done"]
        if job["state"] != "done":
            raise GalleryError(job["error"])
        result: dict[str, Any] = job["result"]
        return result

    def lines(self, path: str, headers: Query) -> Iterator[bytes]:
        """The lines of a long answer. The connection is of its own."""
        connection = self._connect()
        try:
            connection.request("GET", self._path(path, None), headers=self._headers(headers))
            answer = connection.getresponse()
            if answer.status >= 400:
                raise error_of(answer.status, answer.read())
            while line := answer.readline():
                yield line
        except (OSError, http.client.HTTPException) as error:
            raise self._lost(error) from None
        finally:
            connection.close()

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _once(self, method: str, path: str, query: Query | None, body: Any, headers: Query | None) -> Any:
        told = dict(headers or {})
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            told.setdefault("Content-Type", "application/json")
        with self._lock:
            status, kind, answer = self._ask(method, self._path(path, query), data, self._headers(told))
        if status >= 400:
            raise error_of(status, answer)
        if not answer:
            return None
        return json.loads(answer) if kind.startswith("application/json") else answer

    def _ask(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> tuple[int, str, bytes]:
        if self._connection is not None and _ended(self._connection):
            self._connection.close()
            self._connection = None
        fresh = self._connection is None
        connection = self._connection or self._connect()
        self._connection = connection
        try:
            if fresh:
                connection.connect()
            with suppress(BrokenPipeError, ConnectionResetError):  # refused before its end: the answer says why
                connection.request(method, path, data, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Content-Type", ""), answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._connection = None
            lost = isinstance(error, http.client.RemoteDisconnected | BrokenPipeError | ConnectionResetError)
            if lost and not fresh and not self._once_only(method, path):
                return self._ask(method, path, data, headers)  # it was closed while nobody asked
            raise self._lost(error) from None

    def _once_only(self, method: str, path: str) -> bool:
        """Whether a request that may have been done already must not be made again."""
        below = path.removeprefix(self._path("", None))
        return method != "GET" and not below.startswith(REPEATABLE)

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, context=self._tls, timeout=120)
        return http.client.HTTPConnection(host, port, timeout=120)

    def _path(self, path: str, query: Query | None) -> str:
        known = {name: value for name, value in (query or {}).items() if value is not None}
        asked = f"?{urlencode(known, doseq=True)}" if known else ""
        return f"{self._parts.path.rstrip('/')}{API}{path}{asked}"

    def _headers(self, more: Query) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}", "Accept": "application/json", **more}

    def _lost(self, error: Exception) -> GalleryError:
        return GalleryError(f"{self.url} cannot be reached ({error}); check the address, and that the service runs")


def _ended(connection: http.client.HTTPConnection) -> bool:
    """Whether the other side has closed a connection that waits for the next request."""
    if connection.sock is None:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connection.sock, selectors.EVENT_READ)
        return bool(selector.select(0))


def error_of(status: int, answer: bytes) -> ResightError:
    """The error in a problem."""
    try:
        told = json.loads(answer)
        kind, text = str(told["type"]).removeprefix(URN), str(told["detail"])
    except (ValueError, KeyError, TypeError):
        return GalleryError(f"the answer has status {status} and is none of a resight service; check the address")
    if kind == MissingExtra.__name__:
        return GalleryError(text)
    return {**ERRORS, **OF_KINDS}.get(kind, GalleryError)(text)


def ndjson(values: Iterable[Mapping[str, Any]]) -> bytes:
    """Lines of JSON."""
    return b"".join(json.dumps(each).encode() + b"\n" for each in values)
