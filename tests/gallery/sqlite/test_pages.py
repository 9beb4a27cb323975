"""The gaps of a database's pages."""

from __future__ import annotations

import os
import random
import re
import sqlite3
from pathlib import Path

import pytest

from resight import open_gallery
from resight.gallery.sqlite import pages
from resight.gallery.sqlite.searching import Signs
from tests.gallery.helpers import MODEL, pictures, unit


def filled(path: Path, page_size: int) -> list[str]:
    """A database whose index was split and merged; what was deleted from it."""
    dice = random.Random(page_size)
    words = [f"{dice.randrange(10**15):015d}" for _ in range(3000)]
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA page_size = {page_size}")
    db.execute("PRAGMA secure_delete = ON")
    db.execute("PRAGMA synchronous = OFF")
    db.execute("CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT, rest TEXT)")
    db.execute("CREATE INDEX by_word ON words (word)")
    for start in range(0, len(words), 250):
        db.execute("BEGIN")
        db.executemany("INSERT INTO words (word, rest) VALUES (?, ?)", [(w, w * 3) for w in words[start : start + 250]])
        db.execute("COMMIT")
    gone = dice.sample(words, 1500)
    db.execute("BEGIN")
    db.executemany("DELETE FROM words WHERE word = ?", [(word,) for word in gone])
    db.execute("COMMIT")
    db.close()
    return gone


def words_in(path: Path) -> set[str]:
    """Wherever they stand."""
    return {found.decode() for found in re.findall(rb"(?=([0-9]{15}))", path.read_bytes())}


@pytest.mark.parametrize("page_size", [512, 4096, 65_536])
def test_nothing_is_left_beside_what_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page_size: int) -> None:
    monkeypatch.setattr(pages, "READ_AT_ONCE", 2 * page_size)
    path = tmp_path / "words.db"
    gone = filled(path, page_size)
    if page_size < 65_536:
        assert words_in(path) & set(gone)  # what SQLite leaves
    file = os.open(path, os.O_RDWR)
    assert pages.page_size(file) == page_size
    swept = pages.sweep(file, page_size, Signs([word.encode() for word in gone]))
    assert (swept.found, swept.damaged) == (frozenset(), ())
    assert pages.sweep(file, page_size, Signs([])).wiped == 0
    os.close(file)
    assert not words_in(path) & set(gone)
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    kept = [word for (word,) in db.execute("SELECT word FROM words ORDER BY word")]
    assert len(kept) == 1500
    db.close()
    file = os.open(path, os.O_RDWR)
    assert pages.sweep(file, page_size, Signs([word.encode() for word in kept[::30]])).found == {
        word.encode() for word in kept[::30]
    }
    os.close(file)


def test_a_page_that_contradicts_itself_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "words.db"
    filled(path, 4096)
    data = bytearray(path.read_bytes())
    number = next(n for n in range(1, len(data) // 4096) if data[n * 4096] == 13)
    data[number * 4096 + 5 : number * 4096 + 7] = (4000).to_bytes(2, "big")  # its records begin before that
    path.write_bytes(data)
    file = os.open(path, os.O_RDWR)
    assert pages.sweep(file, 4096, Signs([])).damaged == (number + 1,)
    os.close(file)
    assert path.read_bytes()[number * 4096 :][:4096] == data[number * 4096 :][:4096]


def test_files_whose_pages_cannot_be_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "words.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA auto_vacuum = FULL")
    db.execute("CREATE TABLE words (word TEXT)")
    db.close()
    file = os.open(path, os.O_RDWR)
    assert pages.page_size(file) is None
    os.close(file)
    plain = tmp_path / "plain.db"
    filled(plain, 4096)
    file = os.open(plain, os.O_RDWR)
    assert pages.page_size(file) == 4096
    monkeypatch.setattr(pages, "MOST_PAGES", 10)
    assert pages.page_size(file) is None
    os.close(file)


def test_a_gallery_whose_pages_cannot_be_told_apart_is_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_PAGES", 1)
    rows = unit(200)
    with open_gallery(tmp_path / "site.db", MODEL) as gallery:
        gallery.add(pictures(rows), camera="north", track=[f"track-{n:03d}-walk" for n in range(200)])
        assert gallery.forget(ids=list(range(1, 151))).traces == ()
        assert not list(gallery.verify())
        assert gallery.store._db.one("PRAGMA freelist_count") == 0  # type: ignore[attr-defined]
    raw = (tmp_path / "site.db").read_bytes()
    assert [n for n in range(200) if f"track-{n:03d}-walk".encode() in raw] == list(range(150, 200))
