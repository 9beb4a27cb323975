"""`resight.connect`: connections that are lost, interrupted or forked, and answers and addresses that are none of a
service. No message has a secret."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

import resight
from resight.core.errors import ConfigError, GalleryBusy, GalleryError
from resight.gallery.transfer.rows import Row
from resight.service.client.remote import RemoteGallery
from resight.service.client.transport import Transport

KEY = "rsk_00000000_SECRET"
SETTINGS = {
    "model": "sha256:x",
    "model_name": "m",
    "dim": 4,
    "keep_crops": True,
    "audit_searches": False,
    "created": "2026-03-01T08:00:00+00:00",
    "rights": "",
}


def answer(body: bytes, kind: str = "application/json", status: str = "200 OK", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


HELLO = answer(json.dumps({"settings": SETTINGS, "entries": 1, "number": 7}).encode())
BUSY = {"type": "urn:resight:problem:GalleryBusy", "detail": "the gallery: another process is writing"}


@dataclass
class Made:
    """A server that gives the answers that it is given, one after the other, and HELLO after that. An answer that is
    empty, or ends early, ends the connection."""

    url: str
    answers: list[bytes] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    connections: int = 0

    def serve(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                self.connections += 1
                Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as file:
            while (line := file.readline()).strip():
                length = 0
                while (header := file.readline()).strip():
                    name, _, value = header.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                self.asked.append(line.split(b" HTTP")[0] + b" " + file.read(length))
                told = self.answers.pop(0) if self.answers else HELLO
                connection.sendall(told)
                head, _, body = told.partition(b"\r\n\r\n")
                if f"Content-Length: {len(body)}".encode() not in head and b" 204 " not in head:
                    return


@contextmanager
def made(*answers: bytes) -> Iterator[Made]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Made(f"http://127.0.0.1:{listening.getsockname()[1]}", list(answers))
        thread = Thread(target=server.serve, args=(listening,), daemon=True)
        thread.start()
        yield server
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


@contextmanager
def connected(*answers: bytes, **options: Any) -> Iterator[tuple[RemoteGallery, Made]]:
    with made() as server, resight.connect(server.url, KEY, purpose="a test", **options) as gallery:
        server.answers.extend(answers)
        yield gallery, server


# Answers that are none of a service.

FOREIGN = {
    "a page": answer(b"<html>log in</html>", "text/html"),
    "nothing": answer(b""),
    "no content, of another type": answer(b"", "text/plain"),
    "a list": answer(b"[]"),
    "an object": answer(b"{}"),
    "a number": answer(b"7"),
    "broken JSON": answer(b"{oops"),
    "deep JSON": answer(b"[" * 100_000),
    "a problem of another": answer(b'{"type": 5, "detail": null}', "application/problem+json", "409 Conflict"),
    "a page of a proxy": answer(b"<html>", "text/html", "502 Bad Gateway"),
    "a header that is cut": b"HTTP/1.1 200 OK\r\nContent-Type: appl",
    "a header alone": b"HTTP/1.1 200 OK\r\n",
    "a body that is cut": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{",
    "another protocol": b"SSH-2.0-OpenSSH\r\n",
}
ASKING: dict[str, Callable[[RemoteGallery], Any]] = {
    "len": len,
    "entry": lambda each: each.entry(1),
    "entries": lambda each: list(each.entries()),
    "picture": lambda each: each.picture(1),
    "people": lambda each: each.people(),
    "audit": lambda each: list(each.audit()),
    "stats": lambda each: each.stats(),
    "site": lambda each: each.site,
    "link": lambda each: each.link(1, 2),
    "unlink": lambda each: each.unlink(1),
    "forget": lambda each: each.forget(id=1),
    "search": lambda each: each.search(b"x"),
    "add": lambda each: each.add(b"x", camera="a"),
    "verify": lambda each: list(each.verify()),
    "export": lambda each: list(each.export_lines()),
}


@pytest.mark.parametrize("how", FOREIGN)
@pytest.mark.parametrize("what", ASKING)
def test_an_answer_that_is_none_of_a_service_is_an_error(what: str, how: str) -> None:
    with connected(FOREIGN[how]) as (gallery, server):
        if (what, how) in (("audit", "a list"), ("entries", "a list")):
            server.answers[:] = [answer(b"[1]")]
        with pytest.raises(GalleryError) as told:
            ASKING[what](gallery)
    assert KEY not in str(told.value)
    may_be_done = "It may have been done" in str(told.value)
    assert may_be_done == (what in ("link", "unlink", "add", "verify"))


def test_a_redirect_is_named_without_its_secrets_and_not_followed() -> None:
    with made() as elsewhere:
        place = elsewhere.url.replace("http://", "http://me:SECRET@")
        leads = answer(b"<html>", "text/html", "302 Found", f"Location: {place}/login?next=SECRET#SECRET\r\n")
        for what in ("unlink", "picture", "export", "entry"):
            with connected(leads) as (gallery, _), pytest.raises(GalleryError, match="leads elsewhere") as told:
                ASKING[what](gallery)
            assert f"({elsewhere.url}/login)" in str(told.value)
            assert "SECRET" not in str(told.value)
        assert elsewhere.connections == 0


def test_an_export_waits_for_a_busy_service() -> None:
    busy = answer(json.dumps(BUSY).encode(), "application/problem+json", "503 Service Unavailable")
    whole = b'{"entries": 0, "links": 0, "cannot_links": 0}\n'
    with connected(busy, busy, answer(whole, "application/x-ndjson")) as (gallery, _):
        assert b"".join(gallery.export_lines()) == whole


def test_an_export_that_ends_early_is_an_error() -> None:
    header = b'{"gallery": {}, "counted_last": true}\n'
    with connected(answer(header, "application/x-ndjson")) as (gallery, _):
        lines = gallery.export_lines()
        assert next(lines) == header
        with pytest.raises(GalleryError, match="ended early"):
            next(lines)
    whole = header + b'{"entries": 0}\n'
    with connected(answer(whole, "application/x-ndjson")) as (gallery, _):
        assert b"".join(gallery.export_lines()) == whole


# Connections.


def test_what_is_interrupted_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    getresponse = http.client.HTTPConnection.getresponse

    def interrupted(*args: Any) -> Any:
        monkeypatch.setattr(http.client.HTTPConnection, "getresponse", getresponse)
        raise KeyboardInterrupt

    with connected() as (gallery, server):
        monkeypatch.setattr(http.client.HTTPConnection, "getresponse", interrupted)
        with pytest.raises(KeyboardInterrupt):
            len(gallery)
        assert gallery.link(1, 2) == 7
        assert server.connections == 2


def test_a_process_that_was_forked_has_a_connection_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    own = os.getpid()
    with connected() as (gallery, server):
        parents = gallery._to._line
        with parents.turn:  # another thread of the parent asks something: its child has a lock that nobody gives back
            monkeypatch.setattr(os, "getpid", lambda: own + 1)
            assert len(gallery) == 1
        assert server.connections == 2
        gallery.close()
        assert parents.connection is not None
        parents.connection.request("GET", "/")  # the parent goes on
        assert parents.connection.getresponse().status == 200
        parents.drop()


def test_an_answer_is_not_waited_for_longer_than_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(GalleryError, match="timed out"):
            resight.connect(url, KEY, timeout_s=0.05)
        transport = Transport(url, KEY, timeout_s=0.05)
        with pytest.raises(GalleryError, match="It may have been done: look before you repeat it"):
            transport.call("POST", "/links", dict, body={})
        with pytest.raises(GalleryError, match="ask again"):
            transport.call("POST", "/search", dict, body={})
    for name in ("wait_s", "timeout_s"):
        for wrong in (-1, float("nan"), "5", True):
            with pytest.raises(ConfigError, match=name):
                resight.connect(url, KEY, **{name: wrong})  # type: ignore[arg-type]


def test_lines_that_were_answered_before_it_was_busy_are_not_sent_again() -> None:
    lines = [b'{"line": 1, "id": 5}\n', json.dumps({"line": 2, "problem": BUSY}).encode() + b"\n"]
    told = answer(b"".join(lines), "application/x-ndjson")
    vectors = np.eye(3, 4, dtype=np.float32)
    rows = [Row(f"r{number}", "gate", None, vector, "sha256:x") for number, vector in enumerate(vectors)]
    after = b'{"line": 1, "id": 6}\n{"line": 2, "error": "r2: it is wrong"}\n'
    with connected(told, answer(after, "application/x-ndjson"), wait_s=60) as (gallery, server):
        (added,) = gallery.add_rows(rows)
        assert added.rows == (5, 6, "r2: it is wrong")
        assert [asked.count(b"\n") for asked in server.asked[1:]] == [3, 2]
    with connected(told, wait_s=0) as (gallery, _), pytest.raises(GalleryBusy, match="another process is writing"):
        list(gallery.add_rows(rows))
    with (
        connected(answer(lines[0], "application/x-ndjson")) as (gallery, _),
        pytest.raises(GalleryError, match="every"),
    ):
        list(gallery.add_rows(rows))


# Addresses, keys and certificates.


@pytest.mark.parametrize(
    "url",
    [
        "http://host:abc",
        "http://host:99999",
        "http://[::1",
        "http://ho st/",
        "http://a..b",
        "http:///x",
        "http://host/\u00e4",
        "http://host/\n",
        "http://:SECRET@host/",
        "http://me:SECRET@host/",
        "http://me:SEC/RET@host/",
        "me:SECRET@host/",
        "http://host/#start=SECRET",
        "http://host/?key=SECRET",
        "http://host:abc?key=SECRET",
        KEY,
        "host:8000",
        "",
        None,
        7,
    ],
)
def test_a_wrong_address_is_named_without_its_secrets(url: Any) -> None:
    with pytest.raises(ConfigError, match="no address of a service") as told:
        resight.connect(url, "https://host")
    assert not any(secret in str(told.value) for secret in ("SEC", "RET", KEY))
    if isinstance(url, str) and url.startswith("http") and "@" not in url:
        assert url.partition("#")[0].partition("?")[0].encode("unicode_escape").decode()[:12] in str(told.value)


def test_a_cafile_that_has_no_certificates_is_named(tmp_path: Path) -> None:
    none = tmp_path / "none.pem"
    none.write_text("no certificate")
    for wrong in (none, tmp_path, tmp_path / "missing.pem"):
        with pytest.raises(ConfigError, match=f"{wrong.name}: no certificates in PEM"):
            resight.connect("https://127.0.0.1:9", KEY, cafile=str(wrong))
    with pytest.raises(ConfigError, match="cafile is for https"):
        resight.connect("http://127.0.0.1:9", KEY, cafile=str(none))
