"""Milvus by itself: a server that dies, ids among several writers, rows that somebody changed."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pymilvus import MilvusException

from resight import open_gallery
from resight.core.errors import ConfigError, GalleryBusy, GalleryError
from resight.gallery.curation import apart
from resight.gallery.milvus import connection
from resight.gallery.milvus import store as milvus
from resight.gallery.milvus.bookkeeping import RANGE
from resight.gallery.milvus.connection import Connection
from resight.gallery.milvus.store import MilvusStore
from resight.gallery.milvus.syntax import LITE
from tests.gallery.helpers import MODEL, pictures, unit
from tests.gallery.test_siting import a_place


@pytest.fixture
def place(milvus: str, tmp_path: Path) -> str:
    return f"{milvus}m{abs(hash(tmp_path))}"


class Server:
    """Milvus Lite behind a port, in a process of its own: to a client it is a cluster."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        options = ["server", "--host", "127.0.0.1", "--port", str(self.port), "--data-dir", str(folder / "served.db")]
        self.command = [sys.executable, "-m", "milvus_lite", *options]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def test_what_was_added_outlives_a_killed_server(tmp_path: Path) -> None:
    server = Server(tmp_path)
    place = f"milvus://127.0.0.1:{server.port}?gallery=killed"
    gallery = open_gallery(place, MODEL)
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
    server.kill()
    writer.join(120)
    assert not writer.is_alive()
    assert "killed" in lost[0]  # it names the gallery
    server.start()
    try:
        kept_before = len(gallery)  # the same gallery goes on
        with open_gallery(place, MODEL) as again:
            kept = list(again.entries())
            assert len(kept) == kept_before
            assert set(added) <= {entry.id for entry in kept}
            assert len(kept) % 10 == 0  # a batch is there or not
            assert not list(again.verify())
            assert set(again.add(pictures(unit(1, seed=99)), camera="west")).isdisjoint(entry.id for entry in kept)
    finally:
        server.kill()


def test_each_writer_has_ids_of_its_own(place: str) -> None:
    with open_gallery(place, MODEL) as first, open_gallery(place, MODEL) as second:
        writers = (first, second, first, second)
        ids = [gallery.add(pictures(unit(2, seed=n)), camera="north") for n, gallery in enumerate(writers)]
        assert ids == [[1, 2], [RANGE + 1, RANGE + 2], [3, 4], [RANGE + 3, RANGE + 4]]


def test_what_is_added_while_a_site_transform_is_put_in_force_is_at_the_site(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = a_place()
    with open_gallery(place, MODEL) as first, open_gallery(place, MODEL) as second:
        first.add_embeddings(drawn.embeddings, model=MODEL.identity, camera=drawn.cameras, track=drawn.tracks)
        assert isinstance(first.store, MilvusStore)
        assert isinstance(second.store, MilvusStore)
        site, sited, told = first.site.crops().fit(), first.store._sited, second.store._sited._told
        sited.write(site)
        looks: list[str] = []

        def look(note: str) -> dict[str, str]:
            found = told(note)
            looks.append(note)
            if len(looks) == 1:  # between the two looks of who adds
                sited.put(site)
            return found

        monkeypatch.setattr(second.store._sited, "_told", look)
        (new,) = second.add_embeddings(unit(1, seed=4), model=MODEL.identity, camera="c0")
        assert len(looks) >= 2
        assert first.search_embeddings(unit(1, seed=4)[0], 1, seen_by="c0")[0][0].id == new
        assert not list(first.verify())


def test_of_two_site_transforms_at_once_the_one_that_lost_its_place_says_so(place: str) -> None:
    drawn = a_place()
    with open_gallery(place, MODEL) as first, open_gallery(place, MODEL) as second:
        first.add_embeddings(drawn.embeddings, model=MODEL.identity, camera=drawn.cameras, track=drawn.tracks)
        assert isinstance(first.store, MilvusStore)
        one, two = (first.site.crops().fit(exponent=power) for power in (0.0, 0.75))
        first.store._sited.write(one)
        second.site.use(two)
        with pytest.raises(GalleryBusy, match="try again"):
            first.store._sited.put(one)
        assert first.site.transform is not None
        assert first.site.transform.identity == two.identity
        assert not list(first.verify())


def test_ids_from_elsewhere_are_not_given_again(place: str) -> None:
    with open_gallery(place, MODEL) as gallery:
        gallery.add(pictures(unit(1)), camera="north")
        (entry,) = gallery.entries()
        gallery.store.add([replace(entry, id=5 * RANGE + 7)])
    with open_gallery(place, MODEL) as gallery:
        (new,) = gallery.add(pictures(unit(1, seed=1)), camera="north")
        assert new == 6 * RANGE + 1


def test_rows_and_lines_that_somebody_changed_are_found(place: str) -> None:
    with open_gallery(place, MODEL, keep_crops=True) as gallery:
        gallery.add(pictures(unit(5)), camera="north", pid=1)
        gallery.forget(id=5, who="officer")
        gallery.forget(id=4, who="officer")
        assert not list(gallery.verify())
        assert isinstance(gallery.store, MilvusStore)
        db = gallery.store._db
        changed = {row["id"]: row for row in db.read(db.entries, "id >= 0", ["*"])}
        changed[1]["camera"] = "south"
        changed[2]["embedding"] = [9.0] + [0.0] * 7
        changed[3]["crop"] = ["eA=="]
        db.call("upsert", db.entries, list(changed.values()))
        (line,) = db.read(db.records, 'kind == "line" and number == 1', ["*"])
        db.call("upsert", db.records, [{**line, "text": line["text"].replace("officer", "nobody")}])
        found = [damage.where.split(" of chain")[0] for damage in gallery.verify()]
        assert found == ["entry 1", "entry 2", "entry 3", "audit line 1"]


def test_a_large_picture_is_kept_whole(place: str) -> None:
    picture = unit(1)[0].tobytes() + bytes(range(256)) * 800  # more than a text of Milvus holds
    with open_gallery(place, MODEL, keep_crops=True) as gallery:
        gallery.add([picture], camera="north")
        assert [entry.crop for entry in gallery.entries()] == [picture]
        assert gallery.stats().crops == 1
        with pytest.raises(ConfigError, match="than Milvus keeps"):
            gallery.add([picture * 300], camera="south")
        with pytest.raises(ConfigError, match="this track is longer"):
            gallery.add([picture], camera="north", track="ü" * 40_000)
        assert len(gallery) == 1


def test_among_very_many_the_number_of_people_is_bounded_from_above(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus, "COUNTED_ROWS", 10)
    with open_gallery(place, MODEL) as gallery:
        gallery.add(pictures(unit(30)), camera=["north", "south"] * 15, pid=[number // 10 for number in range(30)])
        gallery.link(0, 1)
        assert gallery.search(pictures(unit(1))[0]).num_people == 2
        assert gallery.search(pictures(unit(1))[0], camera="north").num_people == 2  # 15 rows: the bound
        assert gallery.search(pictures(unit(1))[0], ids=[1, 2, 3]).num_people == 1  # counted
        gallery.forget(pid=2)
        assert gallery.search(pictures(unit(1))[0]).num_people == 1
        assert gallery.stats().people == 1


def test_forgetting_says_what_the_engine_may_still_hold(place: str) -> None:
    with open_gallery(place, MODEL) as gallery:
        gallery.add(pictures(unit(5)), camera="north", pid=1)
        told = gallery.forget(pid=1)
        assert any("compact" in text for text in told.beyond)
        gallery.compact()
        assert gallery.forget(pid=1).beyond == ()


def test_killed_while_it_was_made_it_is_made_at_the_next_try(place: str) -> None:
    with open_gallery(place, MODEL) as gallery:
        assert isinstance(gallery.store, MilvusStore)
        db = gallery.store._db
        db.call("drop_collection", db.entries)
        db.call("delete", db.records, filter='kind == "settings"')
    with pytest.raises(GalleryError, match="there is no"):
        open_gallery(place)
    with open_gallery(place, MODEL) as gallery:
        assert gallery.add(pictures(unit(1)), camera="north")


def test_entries_without_their_records_are_not_built_over(place: str) -> None:
    with open_gallery(place, MODEL) as gallery:
        gallery.add(pictures(unit(1)), camera="north")
        assert isinstance(gallery.store, MilvusStore)
        db = gallery.store._db
        db.call("delete", db.records, filter='kind == "settings"')
    with pytest.raises(GalleryError, match="its records are gone"):
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
        ("milvus://localhost:notaport/x", "no address"),
        ("milvus://localhost/x?gallery=a;drop", "a gallery's name"),
        ("milvus://localhost/x?gallery=a&colour=red", "unknown option"),
        ("milvus://localhost/x?secure=maybe", "secure"),
        ("milvus-lite:site", "ends in .db"),
    ],
)
def test_addresses_that_cannot_be(address: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        open_gallery(address, MODEL)


def test_no_message_shows_a_password() -> None:
    for address in ("milvus://me:se/cret@host:port/x", "postgresql://me:se/cret@host:1/x"):
        with pytest.raises(ConfigError, match="is no address") as raised:
            open_gallery(address, MODEL)
        assert "cret" not in str(raised.value)


def test_a_server_that_is_not_there_and_a_folder_that_is_not(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="milvus gallery"):
        open_gallery("milvus://127.0.0.1:1", MODEL, wait_s=1)
    with pytest.raises(GalleryError, match="no folder"):
        open_gallery(f"milvus-lite:{tmp_path}/no/site.db", MODEL)
    with pytest.raises(GalleryError, match="there is no"):
        open_gallery(f"milvus-lite:{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "file.db").write_bytes(b"no folder of Milvus")
    with pytest.raises(GalleryError, match="cannot be opened") as raised:
        open_gallery(f"milvus-lite:{tmp_path}/file.db", MODEL)
    assert type(raised.value) is GalleryError  # not busy: waiting would not help


def test_a_second_process_is_told_that_a_folder_is_not_shared(place: str) -> None:
    with open_gallery(place, MODEL) as gallery:
        gallery.add(pictures(unit(1)), camera="north")
        code = f"from resight import open_gallery; open_gallery({place!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "another process has it open" in done.stderr


@pytest.mark.parametrize(("refusals", "asked"), [(0, 1), (1, 2), (2, 2)])
def test_milvus_lite_that_turns_its_own_client_away_is_asked_once_more(
    refusals: int, asked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def client(**options: Any) -> str:
        seen.append(options["uri"])
        if len(seen) <= refusals:
            raise MilvusException(message="Fail connecting to server on 127.0.0.1:1, illegal connection params")
        return "a client"

    monkeypatch.setattr(connection, "MilvusClient", client)
    address = f"{LITE}{tmp_path}/site.db"
    if refusals < 2:
        assert Connection(address, wait_s=0, make=True).client == "a client"
    else:
        with pytest.raises(GalleryError, match="Fail connecting"):
            Connection(address, wait_s=0, make=True)
    assert len(seen) == asked
    seen.clear()
    if refusals:  # another's server is not asked again
        with pytest.raises(GalleryError, match="Fail connecting"):
            Connection("milvus://127.0.0.1:1", wait_s=0, make=True)
        assert len(seen) == 1


def test_two_writers_of_one_text_lose_nothing_unsaid(place: str) -> None:
    with open_gallery(place, MODEL) as gallery, open_gallery(place, MODEL) as other:
        records = gallery.store._records  # type: ignore[attr-defined]
        plain = records.set_note
        between = [lambda: other.store.cannot_link(3, 4, "b", "")]

        def edit(text: str, links: Any) -> Any:
            text, number = apart.added(text, 1, 2, links)
            while between:
                between.pop()()  # another writer, between the reading and the writing
            return text, {"cannot_link": number}

        gallery.store.amend(apart.APART, edit, "cannot-link", "a", "")
        assert [(pair.number, pair.pid) for pair in gallery.cannot_links()] == [(1, 3), (2, 1)]

        def overtaken(key: str, text: str) -> None:
            plain(key, text)
            plain(key, apart.removed(text, 1))

        records.set_note = overtaken
        with pytest.raises(GalleryBusy, match="at the same moment"):
            gallery.store.cannot_link(5, 6, "a", "")
