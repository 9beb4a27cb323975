"""PostgreSQL by itself: a server that dies, one that refuses, rows that somebody changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from resight import open_gallery
from resight.core.errors import ConfigError, GalleryBusy, GalleryError
from resight.gallery.postgres.store import PostgresStore
from tests.gallery.conftest import address_of, kill_and_restart
from tests.gallery.helpers import MODEL, pictures, unit


@pytest.fixture
def place(postgres: str, tmp_path: Path) -> str:
    return f"{postgres}p{abs(hash(tmp_path))}"


def test_what_was_added_outlives_a_killed_server(new_server: Callable[[], Any]) -> None:
    server = new_server()
    gallery = open_gallery(address_of(server) + "killed", MODEL)
    added: list[int] = []
    lost: list[str] = []

    def write() -> None:
        try:
            for seed in range(10_000):
                added.extend(gallery.add(pictures(unit(10, seed=seed)), camera="north", time=float(seed)))
        except GalleryError as error:
            lost.append(str(error))

    writer = Thread(target=write)
    writer.start()
    while len(added) < 200 and writer.is_alive():
        writer.join(0.01)
    kill_and_restart(server)
    writer.join(60)
    assert not writer.is_alive()
    kept = list(gallery.entries())  # the same gallery connects again
    assert set(added) <= {entry.id for entry in kept}
    assert len(kept) % 10 == 0  # a batch is there or not
    assert "is not known" in lost[0]
    assert not list(gallery.verify())
    gallery.close()


def test_rows_and_lines_that_somebody_changed_are_found(place: str) -> None:
    with open_gallery(place, MODEL, keep_crops=True) as gallery:
        gallery.add(pictures(unit(5)), camera="north", pid=1)
        gallery.forget(id=5, who="officer")
        gallery.forget(id=4, who="officer")
        assert not list(gallery.verify())
        assert isinstance(gallery.store, PostgresStore)
        run = gallery.store._db.run
        run("UPDATE entries SET camera = 'south' WHERE id = 1")
        run("UPDATE entries SET embedding = '[9,0,0,0,0,0,0,0]' WHERE id = 2")
        run("UPDATE crops SET data = 'x' WHERE entry = 3")
        run("UPDATE audit SET who = 'nobody' WHERE number = 1")
        assert [damage.where for damage in gallery.verify()] == ["entry 1", "entry 2", "entry 3", "audit line 1"]


def test_forgetting_says_what_the_engine_may_still_hold(place: str) -> None:
    with open_gallery(place, MODEL) as gallery:
        gallery.add(pictures(unit(5)), camera="north", pid=1)
        told = gallery.forget(pid=1)
        assert any("compact" in text for text in told.beyond)
        assert any("backups" in text for text in told.beyond)
        gallery.compact()
        assert gallery.forget(pid=1).beyond == ()


def test_a_deletion_after_which_vacuum_fails_says_so(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_gallery(place, MODEL) as gallery:
        gallery.add(pictures(unit(5)), camera="north", pid=[1, 1, 2, 2, 2])

        def busy(self: PostgresStore, how: str) -> None:
            raise GalleryBusy("another process is writing to it")

        monkeypatch.setattr(PostgresStore, "_vacuum", busy)
        gone = gallery.forget(pid=1)
        assert gone.entries == 2
        assert "not vacuumed" in gone.traces[0]
        assert len(gallery) == 3


def test_a_newer_schema_is_left_alone(place: str) -> None:
    with open_gallery(place, MODEL) as gallery:
        assert isinstance(gallery.store, PostgresStore)
        gallery.store._db.run("UPDATE meta SET value = '99' WHERE key = 'version'")
    with pytest.raises(GalleryError, match="newer resight"):
        open_gallery(place, MODEL)


def test_opening_for_reading_changes_nothing(place: str) -> None:
    with pytest.raises(GalleryError, match="there is no"):
        open_gallery(place, MODEL, read_only=True)
    open_gallery(place, MODEL).close()
    with open_gallery(place, MODEL, read_only=True) as reader:
        with pytest.raises(GalleryError, match="for reading only"):
            reader.add(pictures(unit(1)), camera="north")
        assert len(reader) == 0


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("postgresql://localhost:notaport/x", "no address"),
        ("postgresql://localhost/x?gallery=a;drop", "a gallery's name"),
        ("postgresql://localhost/x?gallery=a&colour=red", "unknown option"),
        ("postgresql://localhost/x?sslmode=maybe", "sslmode"),
        ("mysql://localhost/x", "unknown engine"),
    ],
)
def test_addresses_that_cannot_be(address: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        open_gallery(address, MODEL)


def test_a_server_that_is_not_there_and_a_database_that_is_not(postgres: str) -> None:
    with pytest.raises(GalleryError, match=r"cannot be reached \(.*\)$"):
        open_gallery("postgresql://127.0.0.1:1/x", MODEL)
    with pytest.raises(GalleryError, match="no such database"):
        open_gallery(postgres.replace("/postgres?", "/elsewhere?") + "g", MODEL)
