"""Lines that come while they are added."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from resight import Gallery, open_gallery
from resight.core.errors import GalleryBusy, GalleryError
from resight.gallery.transfer.lines import header_of, rows_of_lines
from resight.gallery.transfer.live import LiveLines, added_live
from tests.gallery.helpers import MODEL, unit


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with open_gallery(tmp_path / "site.db", MODEL, wait_s=0) as opened:
        yield opened


def lines_of(num: int) -> list[bytes]:
    line = {"camera": "north", "model": MODEL.identity}
    return [json.dumps({**line, "embedding": row.tolist()}).encode() + b"\n" for row in unit(num)]


def added(gallery: Gallery, live: LiveLines, **options: Any) -> Iterator[Any]:
    say: Callable[[str], None] = options.pop("say", lambda text: None)
    return added_live(gallery, live, lambda row: row, say, **options)


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_few_lines_are_kept_soon_and_the_rest_when_it_is_stopped(gallery: Gallery) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream:
        live = LiveLines(stream)
        thread = Thread(target=lambda: list(added(gallery, live)))
        thread.start()
        os.write(writing, b"".join(lines_of(3)))
        eventually(lambda: len(gallery) == 3)  # the stream goes on, and the batch is not full
        os.write(writing, b"".join(lines_of(5)[3:]))
        live.stop()
        os.close(writing)
        thread.join()
        assert live.stopped


def test_a_stream_that_ends_is_kept_whole(gallery: Gallery) -> None:
    text = b"".join(lines_of(150)).rstrip(b"\n")  # the last line need not end
    parts = list(added(gallery, LiveLines(io.BytesIO(text))))
    assert sum(len(part.ids) for part in parts) == len(gallery) == 150
    assert max(len(part.ids) for part in parts) == 64


def test_one_bad_byte_is_one_bad_line(gallery: Gallery) -> None:
    good = lines_of(2)
    bad = b'{"path": "caf\xe9.jpg", "camera": "north"}\n'
    (part,) = added(gallery, LiveLines(io.BytesIO(b"\xef\xbb\xbf" + good[0] + bad + b"\xef\xbb\xbf" + good[1])))
    assert len(part.ids) == 2
    assert part.left_out == ("-, line 2: byte 14 is not UTF-8",)


def test_a_byte_order_mark_is_no_text() -> None:
    line = '{"path": "a.jpg", "camera": "north"}'
    for first in (("\ufeff" + line), b"\xef\xbb\xbf" + line.encode()):
        (row,) = rows_of_lines([first], "x")
        assert row.name == "a.jpg"  # type: ignore[union-attr]
    settings = {"model": "m", "model_name": "n", "dim": 8}
    header = json.dumps({"gallery": settings, "links": [], "entries": 3}).encode()
    assert header_of(b"\xef\xbb\xbf" + header, "x").entries == 3


def test_lines_wait_while_another_process_writes(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    busy, said, real = iter([True, True]), list[str](), gallery.store.add_once

    def add_once(entries: Any) -> Any:
        if next(busy, False):
            raise GalleryBusy("another process is writing to it")
        return real(entries)

    monkeypatch.setattr(gallery.store, "add_once", add_once)
    text = b"".join(lines_of(70))
    list(added(gallery, LiveLines(io.BytesIO(text)), say=said.append))
    assert len(gallery) == 70
    assert len(said) == 2
    assert all("lines wait, and are tried again" in text for text in said)


@pytest.mark.parametrize("error", [GalleryBusy, GalleryError])
def test_lines_that_are_not_kept_are_counted(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, error: type[GalleryError]
) -> None:
    def add_once(entries: Any) -> Any:
        if entries[0].embedding.tolist() == unit(70)[64].tolist():
            raise error("something")
        return real(entries)

    real = gallery.store.add_once
    monkeypatch.setattr(gallery.store, "add_once", add_once)
    with pytest.raises(error, match=r"something. Not kept: lines 65 to 70 of standard input"):
        list(added(gallery, LiveLines(io.BytesIO(b"".join(lines_of(70)))), patience_s=0))
    assert len(gallery) == 64
