"""The number of people that PostgreSQL keeps up, and the statistics that it plans by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from resight import open_gallery
from resight.core.errors import GalleryError
from resight.gallery.gallery import Gallery
from resight.gallery.people import root_of
from resight.gallery.postgres import planning
from resight.gallery.postgres.store import PostgresStore
from tests.gallery.helpers import MODEL, pictures, unit


@pytest.fixture
def place(postgres: str, tmp_path: Path) -> str:
    return f"{postgres}c{abs(hash(tmp_path))}"


@pytest.fixture
def gallery(place: str) -> Iterator[Gallery]:
    with open_gallery(place, MODEL) as gallery:
        yield gallery


def store_of(gallery: Gallery) -> PostgresStore:
    assert isinstance(gallery.store, PostgresStore)
    return gallery.store


def people_of(gallery: Gallery) -> int:
    """Counted here, entry by entry."""
    links = {link.pid: link.into for link in gallery.links()}
    seen: set[object] = set()
    for entry in gallery.entries():
        if entry.pid is not None:
            seen.add(("pid", root_of(entry.pid, links)))
        else:
            seen.add((entry.camera, entry.track) if entry.track is not None else ("entry", entry.id))
    return len(seen)


def kept(gallery: Gallery) -> int:
    assert store_of(gallery)._counting.tables()
    assert not list(gallery.verify())
    return gallery.stats().people


def test_it_is_what_the_entries_show_whatever_is_added_forgotten_and_linked(gallery: Gallery) -> None:
    rng = np.random.default_rng(3)
    for step in range(40):
        pids = [None if pid > 9 else int(pid) for pid in rng.integers(0, 14, 6)]
        tracks = [None if track > 4 else f"t{track}" for track in rng.integers(0, 7, 6)]
        cameras = [f"c{camera}" for camera in rng.integers(0, 3, 6)]
        gallery.add(pictures(unit(6, seed=step)), camera=cameras, track=tracks, pid=pids)
        first, second = (int(pid) for pid in rng.integers(0, 12, 2))  # pids that have no entry too
        match step % 4:
            case 0:
                gallery.forget(pid=first)
            case 1:
                gallery.forget(camera="c0", track=f"t{second % 5}")
            case 2 if len({root_of(pid, {n.pid: n.into for n in gallery.links()}) for pid in (first, second)}) > 1:
                gallery.link(first, second)
            case 3 if gallery.links():
                gallery.unlink(gallery.links()[0].number)
        assert gallery.search(pictures(unit(1))[0]).num_people == people_of(gallery)
    assert kept(gallery) == people_of(gallery) > 0
    gallery.forget(camera=["c0", "c1", "c2"])
    assert kept(gallery) == 0
    assert store_of(gallery)._db.one("SELECT count(*) FROM people") == 0  # nothing of them is left there


def test_writers_of_the_same_people_count_each_once_and_do_not_block_each_other(place: str) -> None:
    open_gallery(place, MODEL).close()
    lost: list[GalleryError] = []

    def write(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            with open_gallery(place, MODEL, wait_s=30) as gallery:
                for step in range(15):
                    pids = [int(pid) for pid in rng.integers(0, 20, 10)]
                    gallery.add(pictures(unit(10, seed=seed)), camera="north", pid=pids)
                    if step % 3 == 2:
                        gallery.forget(pid=pids[:3])
        except GalleryError as error:
            lost.append(error)

    threads = [Thread(target=write, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not lost
    with open_gallery(place, MODEL) as gallery:
        assert kept(gallery) == people_of(gallery)


def test_it_holds_for_who_writes_past_resight_and_what_does_not_hold_is_found(gallery: Gallery) -> None:
    gallery.add(pictures(unit(6)), camera="north", pid=[1, 1, 2, 3, 3, None])
    run = store_of(gallery)._db.run
    run("UPDATE entries SET pid = 2 WHERE pid = 3")
    assert gallery.stats().people == 3
    run("DELETE FROM entries WHERE pid = 1")
    assert gallery.stats().people == 2
    run("UPDATE people_sum SET people = people + 5")
    assert [damage.where for damage in gallery.verify() if "people" in damage.where] == ["number of people"]
    gallery.compact()
    assert not [damage for damage in gallery.verify() if "people" in damage.where]
    assert gallery.stats().people == 2


def test_an_older_gallery_is_counted_by_reading_it_until_it_is_opened_for_writing(place: str) -> None:
    with open_gallery(place, MODEL) as gallery:
        gallery.add(pictures(unit(5)), camera="north", pid=[1, 1, 2, None, None], track=["a", "b", "c", "d", "d"])
        store_of(gallery)._db.run("DROP FUNCTION count_people CASCADE; DROP TABLE people, people_sum")
    with open_gallery(place, read_only=True) as gallery:
        assert not store_of(gallery)._counting.tables()
        assert gallery.stats().people == 3
    with open_gallery(place) as gallery:
        assert kept(gallery) == 3


def test_rights_to_the_older_tables_alone_are_enough(place: str) -> None:
    with open_gallery(place, MODEL) as gallery:
        gallery.add(pictures(unit(3)), camera="north", pid=[1, 1, 2])
        store = store_of(gallery)
        name = f"writer_{store._db.schema}"
        older = "meta, entries, crops, audit, links"
        store._db.run(f"CREATE ROLE {name} LOGIN; GRANT USAGE ON SCHEMA {store._db.schema} TO {name}")
        store._db.run(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {older} TO {name}; GRANT ALL ON entries_id_seq TO {name}"
        )
        with open_gallery(place.replace("//postgres@", f"//{name}@"), MODEL) as other:
            assert not store_of(other)._counting.tables()
            other.add(pictures(unit(2, seed=1)), camera="north", pid=[2, 3])
            assert other.stats().people == 3
        assert kept(gallery) == 3


def test_whoever_adds_many_rows_has_statistics_made(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "STALE_ROWS", 500)
    monkeypatch.setattr(planning, "LOOKED_AFTER", 1)
    db = store_of(gallery)._db
    cameras = [f"camera {number % 50}" for number in range(2000)]
    gallery.add_embeddings(unit(2000), model=MODEL.identity, camera=cameras, time=[float(n) for n in range(2000)])
    for _ in range(20):  # the server tells how many rows were added once a second
        gallery.add_embeddings(unit(1), model=MODEL.identity, camera="camera 0", time=0.0)
        db.run("SELECT pg_stat_force_next_flush()")
        if db.one("SELECT reltuples FROM pg_class WHERE oid = to_regclass('entries')") > 0:
            break
    plan = db.run("EXPLAIN SELECT id FROM entries WHERE camera = 'camera 3' AND time >= 1990")
    assert "entries_camera_time_idx" in str(plan)
