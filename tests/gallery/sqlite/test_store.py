"""The SQLite file itself: what a kill, a full disk, another process and an old schema do to it."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from resight import Gallery, open_gallery
from resight.core.errors import GalleryBusy, GalleryError
from resight.gallery.audit import check_chain
from resight.gallery.engines import is_gallery
from resight.gallery.sqlite.schema import APPLICATION_ID, STEPS
from tests.gallery.helpers import DIM, MODEL, pictures, unit

WRITER = """
import sys
sys.path.insert(0, {tests!r})
from resight import Gallery, open_gallery
from tests.gallery.helpers import MODEL, pictures, unit
with open_gallery({path!r}, MODEL) as gallery:
    for number in range(10**9):
        ids = gallery.add(pictures(unit(7, seed=number)), camera="north", attributes={{"batch": number}})
        print(number, ids[0], flush=True)
        if number % 5 == 4:
            print("forgetting", flush=True)
            gallery.forget(ids=ids[:1])
"""


def killed_writer(path: Path, after_s: float) -> list[int]:
    """Starts a writer, kills it, and returns the batches of which it was told that they are kept."""
    code = WRITER.format(tests=str(Path(__file__).parents[2]), path=str(path))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    lines = [first, *process.stdout.read().split("\n")]
    process.wait()
    process.stdout.close()
    return [int(line.split()[0]) for line in lines if line[:1].isdigit() and line.count(" ") == 1]


def check_after_kills(path: Path, kills: int) -> None:
    dice = random.Random(kills)
    for _ in range(kills):
        path.unlink(missing_ok=True)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        kept = killed_writer(path, dice.uniform(0, 0.15))
        with open_gallery(path, MODEL) as gallery:
            told = {damage.where for damage in gallery.verify()}
            assert told <= {"files"}  # a deletion was cut short
            found: dict[int, int] = {}
            for entry in gallery.entries():
                batch = int(entry.attributes["batch"])
                found[batch] = found.get(batch, 0) + 1
            assert set(kept) <= set(found)
            for batch, count in found.items():  # all of a batch, save the one that is forgotten of every fifth
                assert count == 7 or (batch % 5 == 4 and count == 6)
            assert all(found[batch] == 6 for batch in kept[:-1] if batch % 5 == 4)
            if told:  # whoever forgets again, though nothing is left to delete, ends it
                assert gallery.forget(id=10**9).traces == ()
                assert not list(gallery.verify())
            last = max(found)
            answer = gallery.search(unit(7, seed=last)[3].tobytes(), None)
            assert answer[0].similarity == pytest.approx(1)
            assert len(answer) == sum(found.values()) == len(gallery)


def test_a_killed_writer_loses_nothing_that_it_was_told_is_kept(tmp_path: Path) -> None:
    check_after_kills(tmp_path / "site.db", 4)


@pytest.mark.slow
def test_500_kills(tmp_path: Path) -> None:
    check_after_kills(tmp_path / "site.db", 500)


def test_what_is_forgotten_is_in_no_file(tmp_path: Path) -> None:
    rows = unit(600)
    crops = [row.tobytes() + os.urandom(3000) for row in rows]
    with open_gallery(tmp_path / "site.db", MODEL, keep_crops=True) as gallery:
        for number, (row, crop) in enumerate(zip(rows, crops, strict=True)):
            gallery.add_embeddings(
                row,
                model=MODEL.identity,
                camera="north",
                track=f"track-{number:04d}-walk",
                pid=number % 20,
                names=[f"/records/picture-{number:04d}.jpg"],
                crops=[crop],
                attributes={"tag": f"tag-{number:04d}-tag"},
            )
        assert gallery.forget(pid=7).traces == ()
        files = sorted(tmp_path.iterdir())
        raw = b"".join(path.read_bytes() for path in files)
    for number in range(600):
        texts = [f"track-{number:04d}-walk", f"picture-{number:04d}", f"tag-{number:04d}-tag"]
        signs = [rows[number].tobytes(), crops[number][1000:1100], *(text.encode() for text in texts)]
        assert all((sign in raw) == (number % 20 != 7) for sign in signs), number


def test_forgetting_says_what_a_reader_still_holds(tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    with open_gallery(path, MODEL, wait_s=0.1) as gallery:
        gallery.add(pictures(unit(5)), camera="north", pid=1)
        reader = sqlite3.connect(path)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM entries").fetchone()
        gone = gallery.forget(pid=1)
        assert gone.entries == 5
        assert any("reads" in trace for trace in gone.traces)
        with pytest.raises(GalleryBusy, match="while another process reads"):
            gallery.compact()
        reader.close()
        gallery.compact()
        raw = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert unit(5)[2].tobytes() not in raw


def test_a_second_writer_waits_or_is_told(tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    with open_gallery(path, MODEL) as first, open_gallery(path, MODEL, wait_s=0) as second:
        first.add(pictures(unit(1)), camera="north")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GalleryBusy, match="another process is writing"):
            second.add(pictures(unit(1)), camera="north")
        assert len(second.search(unit(1)[0].tobytes())) == 1  # reading goes on
        other.execute("ROLLBACK")
        other.close()
        assert second.add(pictures(unit(1, seed=1)), camera="north") == [2]


def test_a_full_disk_keeps_what_was_there(tmp_path: Path) -> None:
    with open_gallery(tmp_path / "site.db", MODEL, keep_crops=True) as gallery:
        gallery.add(pictures(unit(3)), camera="north")
        db = gallery.store._db  # type: ignore[attr-defined]
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(GalleryError, match="disk is full"):
            gallery.add([row.tobytes() + bytes(50_000) for row in unit(9, seed=1)], camera="north")
        db.execute("PRAGMA max_page_count = 1000000")
        assert len(gallery) == 3
        assert len(gallery.search(unit(1)[0].tobytes())) == 3
        gallery.add(pictures(unit(1)), camera="north")
        assert not list(gallery.verify())


def before(gallery: Gallery, statement: str, act: Callable[[], object]) -> None:
    """Acts once, just before the gallery's connection runs a statement that begins so."""
    db = gallery.store._db.db  # type: ignore[attr-defined]
    done: list[str] = []

    def look(text: str) -> None:
        if text.startswith(statement) and not done:
            done.append(text)
            act()

    db.set_trace_callback(look)


def test_a_deletion_evaluates_its_filter_in_its_own_transaction(tmp_path: Path) -> None:
    """A link that another process adds just before the deletion begins counts: the audit has it first."""
    path = tmp_path / "site.db"
    with open_gallery(path, MODEL) as gallery, open_gallery(path, MODEL) as other:
        gallery.add(pictures(unit(3)), camera="north", pid=[1, 2, 3])
        before(gallery, "BEGIN IMMEDIATE", lambda: other.link(2, 1))
        assert gallery.forget(pid=1).entries == 2
        assert [line.action for line in gallery.audit()] == ["link", "forget"]
        assert [entry.pid for entry in gallery.entries()] == [3]
        assert not gallery.links()


def test_a_filter_waits_for_another_thread_and_its_rollback(tmp_path: Path) -> None:
    """What a thread has begun and takes back is no ground for another to delete by."""
    with open_gallery(tmp_path / "site.db", MODEL) as gallery:
        gallery.add(pictures(unit(2)), camera="north", pid=[1, 2])
        gone: list[int] = []
        thread = Thread(target=lambda: gone.append(gallery.forget(pid=1).entries))
        db = gallery.store._db  # type: ignore[attr-defined]

        def link_and_give_up() -> None:
            with db.writing():
                db.execute("INSERT INTO links (pid, into_pid) VALUES (1, 2)")
                thread.start()
                thread.join(0.3)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            link_and_give_up()
        thread.join()
        assert gone == [1]
        assert [entry.pid for entry in gallery.entries()] == [2]


def test_a_search_is_of_one_moment(tmp_path: Path) -> None:
    """An entry that another process adds during a search, of a track that is excluded, is not found by it."""
    path = tmp_path / "site.db"
    rows = unit(2)
    with open_gallery(path, MODEL) as gallery, open_gallery(path, MODEL) as other:
        gallery.add(pictures(rows[:1]), camera="north", track="17")
        assert not gallery.search(pictures(rows)[0], exclude_track="17").matches
        before(gallery, "PRAGMA data_version", lambda: other.add(pictures(rows[1:]), camera="north", track="17"))
        assert not gallery.search(pictures(rows)[1], exclude_track="17").matches
        assert gallery.search(pictures(rows)[1])[0].id == 2  # the next one sees it


def test_a_deletion_whose_file_cannot_be_swept_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entries are deleted, and so it says, with what may be left."""
    rows = unit(200)
    with open_gallery(tmp_path / "site.db", MODEL) as gallery:
        gallery.add(pictures(rows), camera="north", pid=[n // 100 for n in range(200)])

        def broken(file: int) -> None:
            raise OSError("the disk is gone")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", broken)
            gone = gallery.forget(pid=1)
        assert gone.entries == 100
        assert "was not swept (the disk is gone)" in gone.traces[0]
        assert len(gallery) == 100
        assert [line.detail["entries"] for line in gallery.audit()] == [100]
        assert [damage.where for damage in gallery.verify()] == ["files"]
        gallery.compact()
        assert not list(gallery.verify())
        raw = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert not any(row.tobytes() in raw for row in rows[100:])


def test_copies_that_moved_records_left_go_too(tmp_path: Path) -> None:
    """Records move between pages as others come and go, and SQLite leaves copies of them where they were. By two
    openings in turn, which keep pages in memory."""
    dice = random.Random(0)
    there, gone = set[str](), set[str]()
    with open_gallery(tmp_path / "site.db", MODEL) as first, open_gallery(tmp_path / "site.db", MODEL) as second:

        def add(num: int, seed: int) -> None:
            tracks = [f"{dice.randrange(10**12):012d}" for _ in range(num)]
            gallery = dice.choice([first, second])
            gallery.add_embeddings(unit(num, seed=seed), model=MODEL.identity, camera="n", track=tracks)
            there.update(tracks)

        for step in range(12):
            add(150, step)
            chosen = dice.sample(sorted(there), 50)
            assert dice.choice([first, second]).forget(tracks=chosen).traces == ()
            there.difference_update(chosen)
            gone.update(chosen)
            add(20, 100 + step)  # into pages that are in memory
            files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
            digits = {found.decode() for found in re.findall(rb"(?=([0-9]{12}))", files)}  # wherever they stand
            assert there <= digits
            assert not gone & digits


def test_looking_into_the_file_keeps_the_locks_on_it(tmp_path: Path) -> None:
    """Another process that opens and closes the gallery after a deletion leaves the log that this one writes to."""
    path = tmp_path / "site.db"
    look = "import sys, resight\nwith resight.open_gallery(sys.argv[1]) as gallery: print(len(gallery))"

    def seen_by_another() -> int:
        return int(subprocess.run([sys.executable, "-c", look, path], check=True, capture_output=True).stdout)

    with open_gallery(path, MODEL) as gallery:
        gallery.add(pictures(unit(5)), camera="north", pid=[1, 1, 1, 2, 2])
        gallery.forget(pid=1)
        assert is_gallery(path)
        open_gallery(path, MODEL).close()
        assert seen_by_another() == 2
        gallery.add(pictures(unit(7, seed=1)), camera="north")
        assert seen_by_another() == 9


KILLED = """
import os, sys
from resight.gallery.opening import open_gallery
from resight.gallery.sqlite import pages
def killed(*given):
    if sys.argv[2] == "after":
        swept(*given)
    os.kill(os.getpid(), 9)
swept, pages.sweep = pages.sweep, killed
open_gallery(sys.argv[1]).forget(pid=1)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_deletion_is_told_and_can_be_ended(tmp_path: Path, when: str) -> None:
    path, rows = tmp_path / "site.db", unit(300)
    with open_gallery(path, MODEL) as gallery:
        tracks = [f"track-{(number * 7919) % 1000:03d}-walk" for number in range(300)]
        gallery.add(pictures(rows), camera="north", pid=[n % 3 for n in range(300)], track=tracks)
    done = subprocess.run([sys.executable, "-c", KILLED, path, when], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    with open_gallery(path, MODEL) as gallery:
        assert len(gallery) == 200
        (damage,) = gallery.verify()
        assert "was cut short" in damage.what
        gone = gallery.forget(pid=1)
        assert (gone.entries, gone.traces) == (0, ())
        assert not list(gallery.verify())
        raw = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert [number for number in range(300) if rows[number].tobytes() in raw] == [
            n for n in range(300) if n % 3 != 1
        ]
        assert [tracks[n] for n in range(1, 300, 3) if tracks[n].encode() in raw] == []


def test_a_deletion_beside_a_damaged_entry_is_done_and_cleaned_up(tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    rows = unit(3)
    with open_gallery(path, MODEL) as gallery:
        gallery.add(pictures(rows), camera="north")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE entries SET embedding = x'00' WHERE id = 3")
    db.close()
    with open_gallery(path, MODEL) as gallery:
        gone = gallery.forget(id=1)
        assert (gone.entries, gone.traces) == (1, ())
        raw = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert rows[0].tobytes() not in raw
        with pytest.raises(GalleryError, match="damaged"):
            gallery.search(pictures(rows)[0])


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    with open_gallery(tmp_path / "site.db", MODEL) as gallery:
        gallery.add(pictures(unit(3)), camera="north")
        with open_gallery(tmp_path / "site.db", MODEL, read_only=True) as reader:
            assert len(reader.search(unit(1)[0].tobytes())) == 3
            with pytest.raises(GalleryError, match="for reading only"):
                reader.add(pictures(unit(1)), camera="north")


def test_files_that_are_no_galleries(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="there is no gallery"):
        open_gallery(tmp_path / "none.db")
    noise = tmp_path / "noise.db"
    noise.write_bytes(os.urandom(5000))
    with pytest.raises(GalleryError, match="no gallery"):
        open_gallery(noise, MODEL)
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE a (b)")
    db.close()
    content = foreign.read_bytes()
    with pytest.raises(GalleryError, match="but no gallery"):
        open_gallery(foreign, MODEL)
    assert foreign.read_bytes() == content
    with pytest.raises(GalleryError):
        open_gallery(tmp_path / "no" / "folder.db", MODEL)


def test_damage_is_named_and_the_rest_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    with open_gallery(path, MODEL) as gallery:
        gallery.add(pictures(unit(9)), camera="north")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE entries SET embedding = ? WHERE id = 2", [(unit(1) * 2).tobytes()])
        db.execute("UPDATE entries SET pid = 7 WHERE id = 4")
        db.execute("UPDATE entries SET embedding = x'00' WHERE id = 6")
    db.close()
    with open_gallery(path, MODEL) as gallery:
        found = {damage.where: damage for damage in gallery.verify()}
        assert sorted(found) == ["entry 2", "entry 4", "entry 6"]
        assert "forget --id 2" in found["entry 2"].remedy
        with pytest.raises(GalleryError, match="damaged"):
            gallery.search(unit(1)[0].tobytes())
        gallery.forget(ids=[2, 4, 6])  # as it was told
        assert not list(gallery.verify())
        assert len(gallery.search(unit(1)[0].tobytes())) == 6


def test_flipped_bytes_are_found_or_mean_nothing(tmp_path: Path) -> None:
    path, copy = tmp_path / "site.db", tmp_path / "copy.db"
    rows = unit(200)
    with open_gallery(path, MODEL) as gallery:
        gallery.add(pictures(rows), camera="north", track=[f"t{n}" for n in range(200)])
        gallery.compact()
    whole = path.read_bytes()
    dice = random.Random(0)
    for _ in range(60):
        data = bytearray(whole)
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        copy.write_bytes(data)
        try:
            with open_gallery(copy, MODEL) as gallery:
                damaged = list(gallery.verify())
                if not damaged:
                    assert gallery.search(rows[0].tobytes(), 3)[0].id == 1
                    assert len(list(gallery.entries())) == 200
        except GalleryError:
            pass
        for suffix in ("-wal", "-shm"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)


def test_an_old_schema_is_brought_up_to_date_and_a_newer_one_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    with open_gallery(path, MODEL) as gallery:
        gallery.add(pictures(unit(4)), camera="north", pid=[1, 2, 3, 4])
    with sqlite3.connect(path) as db:  # as version 1 left it
        db.execute("DROP TABLE links")
        db.execute("PRAGMA user_version = 1")
    db.close()
    with open_gallery(path, MODEL) as gallery:
        gallery.link(1, 2)
        assert len(gallery) == 4
        assert not list(gallery.verify())
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == len(STEPS)
        assert db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        db.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    db.close()
    content = path.read_bytes()
    with pytest.raises(GalleryError, match="newer resight"):
        open_gallery(path, MODEL)
    assert path.read_bytes() == content


@pytest.mark.parametrize("change", ["UPDATE audit SET who = 'x'", "DELETE FROM audit", "UPDATE audit SET time = ''"])
def test_a_changed_audit_is_found(tmp_path: Path, change: str) -> None:
    path = tmp_path / "site.db"
    with open_gallery(path, MODEL) as gallery:
        gallery.add(pictures(unit(9)), camera="north", pid=list(range(9)))
        for pid in range(5):
            gallery.forget(pid=pid)
        assert not check_chain(gallery.audit())
    with sqlite3.connect(path) as db:
        db.execute(f"{change} WHERE number = 3")
    db.close()
    with open_gallery(path, MODEL) as gallery:
        (damage,) = gallery.verify()
        assert damage.where == "audit line 3"


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such rights")
def test_a_new_gallery_is_its_owners_alone_and_one_that_is_there_keeps_its_rights(tmp_path: Path) -> None:
    def rights() -> dict[str, int]:
        return {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}

    path, before = tmp_path / "site.db", os.umask(0o022)
    try:
        for mode in (0o600, 0o640):
            with open_gallery(path, MODEL) as gallery:
                gallery.add(pictures(unit(4)), camera="north")
                gallery.search_embeddings(unit(1))
                told = rights()
                assert {"site.db", "site.db-wal", "site.db-shm"} <= set(told), told
                assert set(told.values()) == {mode}, told
            for each in tmp_path.iterdir():
                each.unlink() if each != path else path.chmod(0o640)
    finally:
        os.umask(before)


def test_a_large_gallery_opens_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks, in the order of camera and time, with what was added since."""
    monkeypatch.setattr("resight.gallery.sqlite.index.kept.BLOCK_ROWS", 300)
    rows = unit(2000)
    cameras = [f"c{n}" for n in np.random.default_rng(0).integers(0, 7, 2000)]
    with open_gallery(tmp_path / "site.db", MODEL) as gallery:
        gallery.add_embeddings(rows[:1500], model=MODEL.identity, camera=cameras[:1500], time=list(range(1500)))
        gallery.search_embeddings(rows[:1])
        gallery.add_embeddings(rows[1500:], model=MODEL.identity, camera=cameras[1500:])
        gallery.forget(ids=[5, 900, 1700])
        before = [[match.id for match in answer] for answer in gallery.search_embeddings(rows[:50], 9)]
    with open_gallery(tmp_path / "site.db", MODEL) as gallery:
        answers = gallery.search_embeddings(rows[:50], 9)
        assert [[match.id for match in answer] for answer in answers] == before
        assert answers[0][0].id == 1
        for answer in answers:
            for match in answer:
                assert match.camera == cameras[match.id - 1]
                assert match.entry.embedding.tolist() == rows[match.id - 1].tolist()
    assert rows.shape[1] == DIM


def test_of_many_entries_it_is_said_of_how_many_the_bytes_were_looked_for(tmp_path: Path) -> None:
    with open_gallery(tmp_path / "many.db", MODEL) as gallery:
        gallery.add(pictures(unit(103)), camera="north")
        few, many = gallery.forget(ids=[1]), gallery.forget(camera="north")
    assert few.sought == "1 embedding or picture"
    assert many.sought == "100 embeddings and pictures of 100 of the 102 entries"


def test_numbers_of_cameras_that_are_gone_are_given_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are 65,000 of them, however many cameras came and went; another opening does not take one for the other."""
    path, rows = tmp_path / "site.db", unit(4)

    def codes() -> dict[str, int]:
        return dict(gallery.store._db.execute("SELECT name, code FROM cameras"))  # type: ignore[attr-defined]

    with open_gallery(path, MODEL) as gallery, open_gallery(path, MODEL) as other:
        gallery.add(pictures(rows[:3]), camera=["a", "b", "c"], track="1")
        assert other.search(rows[0].tobytes(), camera="a").num_people == 1
        gallery.forget(camera="a")
        gallery.add(pictures(rows[3:]), camera="z", track="1")
        assert codes() == {"b": 2, "c": 3, "z": 1}
        for opening in (other, gallery):
            assert not opening.search(rows[0].tobytes(), camera="a").matches
            assert [match.id for match in opening.search(rows[3].tobytes(), camera="z")] == [4]
            assert opening.search(rows[3].tobytes()).num_people == 3
        assert not list(gallery.verify())
        with gallery.store._db.writing():  # type: ignore[attr-defined]
            gallery.store._db.execute("INSERT INTO cameras VALUES (65535, 'the last')")  # type: ignore[attr-defined]
        gallery.add(pictures(unit(1, seed=5)), camera="y")
        assert codes()["y"] == 4
        assert len(gallery.search(rows[0].tobytes())) == 4
        monkeypatch.setattr("resight.gallery.sqlite.store.MOST_CAMERAS", 5)
        with pytest.raises(GalleryError, match="5 cameras at most"):
            gallery.add(pictures(unit(2, seed=6)), camera=["v", "w"])
        assert codes().keys() == {"b", "c", "z", "the last", "y"}
