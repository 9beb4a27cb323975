"""Looking for bytes in files that others write to and cut."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from resight import open_gallery
from resight.gallery.sqlite import searching
from resight.gallery.sqlite.searching import Signs, found_in, sign_of
from tests.gallery.helpers import MODEL, pictures, unit


def test_signs_are_found_wherever_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "READ_AT_ONCE", 100)  # so that pieces cut them
    path, signs = tmp_path / "file", [os.urandom(64) for _ in range(150)]
    there = signs[:40] + [sign[:30] for sign in signs[40:50]]
    path.write_bytes(b"".join(os.urandom(number % 7) + sign for number, sign in enumerate(there)))
    assert found_in(path, signs) == set(signs[:40])
    assert found_in(path, [sign[:30] for sign in signs]) == {sign[:30] for sign in signs[:50]}
    assert found_in(path, []) == set()
    path.write_bytes(b"")
    assert found_in(path, signs) == set()
    path.write_bytes(signs[0][:9])
    assert found_in(path, [signs[0][:9], signs[1]]) == {signs[0][:9]}


def test_a_file_that_is_cut_meanwhile_ends_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, first, last = tmp_path / "file", os.urandom(64), os.urandom(64)
    path.write_bytes(first + bytes(10_000) + last)
    monkeypatch.setattr(searching, "READ_AT_ONCE", 1000)
    real = os.pread

    def pread(file: int, size: int, place: int) -> bytes:
        if place == 3000:
            os.truncate(path, 2500)
        return real(file, size, place)

    monkeypatch.setattr(os, "pread", pread)
    assert found_in(path, [first, last]) == {first}


def test_what_every_file_holds_is_no_sign() -> None:
    assert sign_of(bytes(1000)) is None
    assert sign_of(b"") is None
    assert sign_of(bytes(64) + bytes(range(64))) == bytes(range(64))
    assert sign_of(bytes(range(10))) == bytes(range(10))


@pytest.mark.parametrize("keep_crops", [False, True])
def test_bytes_of_an_equal_entry_that_stays_are_no_trace(tmp_path: Path, keep_crops: bool) -> None:
    with open_gallery(tmp_path / "site.db", MODEL, keep_crops=keep_crops) as gallery:
        gallery.add(pictures(unit(2)), camera="north", track="a")
        gallery.add(pictures(unit(1)), camera="north", track="b")
        gone = gallery.forget(track="a")
        assert (gone.entries, gone.traces) == (2, ())
        assert gone.looked_for == (4 if keep_crops else 2)


def test_bytes_that_nobody_has_are_a_trace(tmp_path: Path) -> None:
    """A deleted embedding among the bytes of an entry that stays: nothing that is swept."""
    rows = unit(3)
    with open_gallery(tmp_path / "site.db", MODEL) as gallery:
        gallery.add(pictures(rows), camera="north", track=["a", "b", "c"])
        with gallery.store._db.writing():  # type: ignore[attr-defined]
            gallery.store._db.execute("UPDATE entries SET name = ? WHERE id = 1", [rows[1].tobytes()])  # type: ignore[attr-defined]
        assert any("still holds" in trace for trace in gallery.forget(track="b").traces)
        assert not gallery.forget(track="c").traces


@pytest.mark.parametrize("length", [8, 11, 20, 32, 64])
def test_signs_are_found_at_every_place(length: int) -> None:
    dice = np.random.default_rng(length)
    signs = [dice.bytes(length) for _ in range(20)] + [bytes(length - 6) + dice.bytes(6)]
    wanted = Signs(signs)
    for place in range(70):
        for sign in signs[::10]:
            data = dice.bytes(place) + sign + dice.bytes(100 - place)
            assert wanted.within(data) == {sign}, place
            assert not wanted.within(data[: place + length - 1])
    assert Signs(signs[:1] if length < 39 else signs[:20]).stride <= max(1, length - 7)
    assert Signs([dice.bytes(64)]).stride == 32
