"""Uploads that are made to hurt: each is refused in words, and none takes the memory."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import socket
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request

from resight.core.errors import UnreadableImage
from resight.gallery.filters import Filter
from resight.service.api import about
from resight.service.api.entries import _batches
from resight.service.batching import Batcher
from resight.service.settings import ServiceSettings
from tests.service.conftest import API, Serve, Service, multipart
from tests.service.test_rest import text_of

MOST_MORE = 200e6  # bytes


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, data: bytes = b"") -> bytes:
    """A PNG that says it is so large, whatever it holds."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def saved(format: str, size: tuple[int, int], **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size).save(out, format, **options)
    return out.getvalue()


def bombs() -> Iterator[tuple[str, bytes]]:
    """Name and content."""
    zeros = zlib.compress(bytes(50_000_000), 9)
    text = chunk(b"zTXt", b"comment\0\0" + zeros)
    for side in (3000, 10_000, 30_000, 65_535, 2**31 - 1):
        yield f"flood {side}", png(side, side, data=zlib.compress(bytes(1000)))
    for format in ("JPEG", "PNG", "BMP", "GIF", "TIFF", "PPM", "WEBP"):
        yield f"large {format}", saved(format, (2400, 1900))
    yield "thin", png(1, 65_535 * 100, data=zeros)
    yield "wide", png(5_000_001, 1, data=zeros)
    yield "no width", png(0, 100, data=zeros)
    yield "no pixels", png(64, 64, data=b"")
    yield "deflate bomb", png(64, 64, data=zeros)[:-30]
    yield "text bomb", png(64, 64, *[text] * 20, data=zlib.compress(bytes(64 * 64 * 3)))
    frame = b",\0\0\0\0" + struct.pack("<HH", 64000, 64000) + b"\0\x02\x02L\x01\0"
    yield "frames", b"GIF89a" + struct.pack("<HH", 64000, 64000) + b"\x80\0\0\0\0\0\xff\xff\xff" + frame * 10_000
    ifd = struct.pack("<HHHII", 1, 256, 4, 1, 100_000) + struct.pack("<I", 8)  # which leads to itself
    yield "circle of TIFF", b"II*\0" + struct.pack("<I", 8) + ifd * 1000
    many = b"".join(struct.pack("<HHII", 256, 4, 2**30, 8) for _ in range(3000))
    yield "many tags", b"II*\0" + struct.pack("<IH", 8, 3000) + many
    jpeg = saved("JPEG", (64, 64))
    yield "cut JPEG", jpeg[: len(jpeg) // 3]
    yield "JPEG that lies", jpeg.replace(struct.pack(">HH", 64, 64), struct.pack(">HH", 65_500, 65_500), 1)
    yield "page in a picture", b"GIF89a<script>alert(1)</script>"
    yield from (
        ("empty", b""),
        ("one byte", b"\xff"),
        ("zeros", bytes(1_000_000)),
        ("noise", np.random.default_rng(0).bytes(1_000_000)),
        ("page", b"<!doctype html><script>alert(1)</script>"),
        ("drawing", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
        ("PostScript", b"%!PS\n(/etc/passwd) run\n"),
        ("PDF", b"%PDF-1.7\n" + bytes(1000)),
        ("zip", b"PK\x03\x04" + bytes(1000)),
        ("gzip", zeros),
        ("video", b"\0\0\0\x18ftypmp42" + bytes(1000)),
        ("HEIC", b"\0\0\0\x18ftypheic" + bytes(1000)),
        ("FITS", b"SIMPLE  =                    T" + bytes(3000)),
        ("ICO", b"\0\0\1\0\1\0\0\0\0\0\1\0\x20\0" + bytes(1000)),
        ("PSD", b"8BPS\0\1" + bytes(1000)),
        ("pickle", b"\x80\x04cos\nsystem\n"),
    )


def peak() -> int:
    """The most memory since the last call of `reset`, in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def reset() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("this system does not tell the peak of memory anew")


def test_bombs_are_refused_in_words_and_take_no_memory(service: Service) -> None:
    made = list(bombs())
    assert len(made) >= 40
    count = len(service.desk.gallery)
    service.post("/search", {"entry": 1, "purpose": "warm"})
    reset()
    before = peak()
    wrong: list[tuple[object, ...]] = []
    for name, data in made:
        body, headers = multipart({"purpose": "a test"}, [("crop", "a.png", data)])
        search = service.post("/search/pictures", body, headers=headers)
        body, headers = multipart({"facts": '{"camera": "0"}'}, [("crop", "a.png", data)] * 2)
        form = service.post("/entries/pictures", body, headers=headers)
        added = service.post("/entries", {"crop": text_of(data), "camera": "0"})
        if not (400 <= search.status < 500 and 400 <= added.status < 500 and search.json["detail"]):
            wrong.append((name, search.status, added.status))
        if form.status == 201 and form.json["ids"] != [None, None]:
            wrong.append((name, "form", form.json))
        if form.status >= 500:
            wrong.append((name, "form", form.status))
    assert wrong == []
    assert len(service.desk.gallery) == count
    assert peak() - before < MOST_MORE


def test_a_request_without_a_key_is_answered_before_its_body(serve: Serve) -> None:
    service = serve(ServiceSettings(max_body=1000))
    for path, key, status in (
        ("/entries/lines", "rsk_00000000_x", 401),
        ("/entries/lines", service.keys["viewer"], 403),
        ("/search", service.keys["searcher"], 413),
    ):
        with socket.create_connection(("127.0.0.1", service.port), 10) as wire:
            head = f"POST {API}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
            wire.sendall(f"{head}Content-Length: 60000000\r\n\r\n".encode())
            assert wire.recv(4096).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_body_that_does_not_come_is_not_waited_for(serve: Serve) -> None:
    service = serve(ServiceSettings(body_s=0.2))
    with socket.create_connection(("127.0.0.1", service.port), 10) as wire:
        head = f"POST {API}/search HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {service.keys['admin']}\r\n"
        wire.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert wire.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_more_body_than_was_said_is_cut_off(serve: Serve) -> None:
    service = serve(ServiceSettings(max_body=10_000))
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    connection.putrequest("POST", f"{API}/search")
    for name, value in (
        ("Authorization", f"Bearer {service.keys['admin']}"),
        ("Content-Type", "application/json"),
        ("Transfer-Encoding", "chunked"),
    ):
        connection.putheader(name, value)
    connection.endheaders()
    with suppress(OSError):
        for _ in range(200):
            connection.send(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
    assert connection.getresponse().status == 413
    connection.close()


def test_a_line_that_never_ends_is_cut_off(serve: Serve) -> None:
    service = serve(ServiceSettings(max_line=10_000))
    answer = service.post("/entries/lines", b'{"camera": "' + b"x" * 100_000)
    assert answer.status == 413


def test_lines_are_taken_while_the_next_is_incomplete(service: Service) -> None:
    model = service.desk.gallery.settings.model
    line = json.dumps({"camera": "n", "embedding": [1.0] + [0.0] * 255, "model": model}).encode() + b"\n"
    with socket.create_connection(("127.0.0.1", service.port), 20) as wire:
        wire.sendall(lines_head(service, f"{API}/entries/lines") + piece(line + line[:20]))
        told = b""
        while b'"id"' not in told:
            told += wire.recv(4096)
        assert b'"line": 2' not in told
        wire.sendall(piece(line[20:]) + piece(b""))
        while b'"there": true' not in told:
            told += wire.recv(4096)
    assert service.desk.gallery.store.count(Filter(cameras=("n",))) == 1


@pytest.mark.parametrize("end", ["silent", "cut", "revoked"])
def test_lines_that_were_kept_are_audited_however_the_stream_ends(serve: Serve, end: str) -> None:
    service = serve(ServiceSettings(body_s=0.5 if end == "silent" else 30.0))
    made, key = service.desk.keys.make("a camera", "operator")
    with socket.create_connection(("127.0.0.1", service.port), 20) as wire:
        wire.sendall(lines_head(service, f"{API}/entries/lines", key) + piece(line_of(service)))
        told = b""
        while b'"id"' not in told:
            told += wire.recv(4096)
        if end == "revoked":
            service.desk.keys.revoke(made.id)
            wire.sendall(piece(line_of(service, 1)))
        while end != "cut" and not told.endswith(b"\r\n0\r\n\r\n"):  # the answer is whole
            more = wire.recv(4096)
            assert more, told
            told += more
    if end != "cut":
        problem = json.loads(told.split(b"\r\n")[-4])
        assert (problem["line"], problem["problem"]["status"]) == (2, {"silent": 408, "revoked": 401}[end])
    assert service.desk.gallery.store.count(Filter(cameras=("n",))) == 1
    service.desk.ledger.write(service.desk.gallery.store)
    added = [(line.who, dict(line.detail)) for line in service.desk.gallery.audit() if line.action == "add"]
    assert added == [("a camera (operator)", {"what": "lines", "times": 1})]


def test_an_export_ends_with_its_key(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    service = serve(ServiceSettings())
    made, key = service.desk.keys.make("who copies", "controller")
    monkeypatch.setattr(about, "CHECKED_EVERY", 1)
    entries = service.desk.gallery.entries

    def slowly() -> Iterator[Any]:
        for number, entry in enumerate(entries()):
            if number == 1:
                service.desk.keys.revoke(made.id)
            yield entry

    monkeypatch.setattr(service.desk.gallery, "entries", slowly)
    with socket.create_connection(("127.0.0.1", service.port), 20) as wire:
        wire.sendall(f"GET {API}/export HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        told = b""
        while more := wire.recv(65536):
            told += more
    assert told.count(b'"embedding"') == 1
    assert not told.endswith(b"0\r\n\r\n")  # whoever reads it knows that it is not whole


def test_a_session_that_was_ended_adds_no_more_by_its_open_stream(service: Service) -> None:
    session = service.log_in(service.keys["operator"])
    head = f"POST {API}/entries/lines?strict=true HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
    told = "".join(f"{name}: {value}\r\n" for name, value in {**session, "Expect": "100-continue"}.items())
    with socket.create_connection(("127.0.0.1", service.port), 20) as wire:
        wire.sendall(f"{head}{told}\r\n".encode())
        assert wire.recv(4096).startswith(b"HTTP/1.1 100 ")  # the guard let it in
        wire.sendall(piece(line_of(service)))
        service.desk.sessions.close(session["Cookie"].split("=", 1)[1])
        wire.sendall(piece(b""))
        assert wire.recv(4096).startswith(b"HTTP/1.1 401 ")
    assert service.desk.gallery.store.count(Filter(cameras=("n",))) == 0


class Flaky:
    """A model that fails at a picture of its own kind, in every way that a model may."""

    def embed(self, pictures: Any, strict: bool = True) -> np.ndarray[Any, np.dtype[np.float32]]:
        if isinstance(pictures, bytes):
            raise UnreadableImage("picture", "it shows nothing") if pictures == b"unreadable" else RuntimeError("alone")
        if b"together" in pictures:
            raise RuntimeError("together")
        return np.array([[1.0 if picture == b"good" else np.nan] for picture in pictures], np.float32)


def test_what_fails_at_one_request_is_told_to_it_and_ends_nothing() -> None:
    batcher = Batcher(Flaky(), 100, 20.0)  # type: ignore[arg-type]

    async def asked() -> list[Any]:
        pictures = (b"good", b"alone", b"together", b"unreadable", b"good")
        return await asyncio.gather(*(batcher.embed([each]) for each in pictures), return_exceptions=True)

    for _ in range(2):
        found = asyncio.run(asked())
        assert [type(each).__name__ for each in found[1:4]] == ["RuntimeError", "RuntimeError", "UnreadableImage"]
        assert [each.tolist() for each in (found[0], found[4])] == [[[1.0]], [[1.0]]]
    assert batcher.runs
    batcher.close()
    assert not batcher.runs


def test_a_service_that_cannot_embed_is_not_ready(service: Service) -> None:
    assert service.desk.batcher is not None
    service.desk.batcher.close()
    answer = service.get("/readyz", None)
    assert (answer.status, "thread that embeds" in answer.json["detail"]) == (503, True)
    assert service.get("/metrics").body.count(b"resight_ready 0") == 1
    session = service.log_in(service.keys["viewer"])
    assert b"Searches wait" in service.ask("GET", "/health", None, headers=session).body


def test_lines_that_are_all_or_none_are_refused_while_they_come(serve: Serve) -> None:
    service = serve(ServiceSettings(max_body=100_000))
    for line, status in ((b'{"camera": "n"}\n' * 10, 422), (b'{"camera": "' + b"x" * 20_000 + b'"}\n', 413)):
        with socket.create_connection(("127.0.0.1", service.port), 20) as wire:
            wire.sendall(lines_head(service, f"{API}/entries/lines?strict=true"))
            with suppress(OSError):  # the answer comes before the end, which never does
                for _ in range(50):
                    wire.sendall(piece(line))
            assert wire.recv(4096).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_batch_of_lines_has_so_many_bytes() -> None:
    settings = ServiceSettings(max_line=1000, max_body=2000)
    line = b"x" * 900 + b"\n"
    body = line * 10 + b"\n\n" + b"y"
    parts = [body[start : start + 700] for start in range(0, len(body), 700)]
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1]["more_body"] = False

    async def receive() -> Any:
        return messages.pop(0)

    async def batches() -> list[list[bytes]]:
        return [part async for part in _batches(Request({"type": "http"}, receive), settings)]

    found = asyncio.run(batches())
    assert [line for part in found for line in part] == [b"x" * 900] * 10 + [b"y"]
    assert max(sum(map(len, part)) for part in found) <= 2000 + 900


def piece(data: bytes) -> bytes:
    """A part of a body whose length is not told."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def line_of(service: Service, place: int = 0) -> bytes:
    """A line with an embedding that has its one at this place."""
    embedding = [0.0] * 256
    embedding[place] = 1.0
    told = {"camera": "n", "embedding": embedding, "model": service.desk.gallery.settings.model}
    return json.dumps(told).encode() + b"\n"


def lines_head(service: Service, path: str, key: str = "") -> bytes:
    key = key or service.keys["operator"]
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
