"""The codes that are kept beside a gallery's file."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resight import Gallery, open_gallery
from resight.core.records import FloatArray
from resight.gallery.search.columns import Columns
from resight.gallery.sqlite.index import codes as module
from resight.gallery.sqlite.index import kept
from resight.gallery.sqlite.index.codes import Codes, Unfit
from tests.gallery.helpers import MODEL, unit

SMALL = (
    "from resight.gallery.sqlite.index import kept, live\nkept.TAIL_ROWS = live.TAIL_ROWS = 30\nkept.BLOCK_ROWS = 64\n"
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a few rows, in blocks of 64."""
    monkeypatch.setattr("resight.gallery.sqlite.index.kept.TAIL_ROWS", 30)
    monkeypatch.setattr("resight.gallery.sqlite.index.live.TAIL_ROWS", 30)
    monkeypatch.setattr("resight.gallery.sqlite.index.kept.BLOCK_ROWS", 64)
    monkeypatch.setattr(module, "_checked", set())


def filled(path: Path, num: int = 200) -> FloatArray:
    rows = unit(num)
    with open_gallery(path, MODEL) as gallery:
        add(gallery, rows)
        gallery.search_embeddings(rows[:1])  # which writes them
    return rows


def add(gallery: Gallery, rows: FloatArray, first: int = 0, **more: Any) -> list[int]:
    """first: how many of them are there already."""
    numbers = range(first, first + len(rows))
    return gallery.add_embeddings(
        rows,
        model=MODEL.identity,
        camera=[f"c{n % 3}" for n in numbers],
        pid=[n % 40 if n % 5 else None for n in numbers],
        track=[f"t{n % 7}" for n in numbers],
        time=[float(n) for n in numbers],
        **more,
    )


def check(gallery: Gallery, rows: FloatArray, gone: set[int] = frozenset()) -> None:  # type: ignore[assignment]
    """Every search is as one of all rows; ids are places in `rows`, from 1 on."""
    ids = np.array([n for n in range(1, len(rows) + 1) if n not in gone])
    queries = unit(5, seed=9)
    true = rows[ids - 1].astype(np.float64) @ queries.astype(np.float64).T
    for camera in (None, "c1"):
        found = gallery.search_embeddings(queries, 12, cameras=None if camera is None else [camera])
        inside = np.flatnonzero([camera is None or (n - 1) % 3 == 1 for n in ids.tolist()])
        for which, result in enumerate(found):
            order = inside[np.lexsort((ids[inside], -np.round(true[inside, which], 12)))][:12]
            assert [match.id for match in result] == ids[order].tolist()
            assert np.allclose([m.similarity for m in result], true[order, which], rtol=0, atol=1e-12)
    people = {(n - 1) % 40 if (n - 1) % 5 else ((n - 1) % 3, (n - 1) % 7) for n in ids.tolist()}
    assert found[0].num_people <= gallery.search_embeddings(queries[:1])[0].num_people == len(people)
    assert gallery.stats().people == len(people)


def mapped(gallery: Gallery) -> bool:
    """Whether it searches by the file."""
    codes = gallery.store._index._codes  # type: ignore[attr-defined]
    return codes is not None and codes.path is not None


def codes_of(path: Path) -> Path:
    return path.with_name(path.name + "-codes")


def test_codes_are_kept_while_rows_come_and_go(tmp_path: Path) -> None:
    """By two openings in turn, and a reader that stays open."""
    path, dice = tmp_path / "site.db", random.Random(0)
    everything, gone = unit(1500, seed=1), set[int]()
    there = 0
    with open_gallery(path, MODEL) as first, open_gallery(path, MODEL) as second:
        add(first, everything[:20])
        there = 20
        with open_gallery(path, MODEL, read_only=True) as reader:
            for step in range(8):
                more = dice.choice([5, 40, 90, 200])
                rows = everything[there : there + more]
                add(dice.choice([first, second]), rows, there)
                there += len(rows)
                check(dice.choice([first, second, reader]), everything[:there], gone)
                if step % 2:
                    some = dice.sample([n for n in range(1, there + 1) if n not in gone], 15)
                    assert dice.choice([first, second]).forget(ids=some).traces == ()
                    gone.update(some)
                    assert not list(reader.verify())
                check(dice.choice([first, second]), everything[:there], gone)
                check(reader, everything[:there], gone)
            assert mapped(reader)
            assert mapped(first)
    with open_gallery(path, read_only=True) as gallery:
        check(gallery, everything[:there], gone)
        assert mapped(gallery)
        assert not list(gallery.verify())


def test_no_code_of_the_forgotten_stays(tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    rows = filled(path)
    with open_gallery(path) as gallery:
        check(gallery, rows)
        file = Codes.opened(codes_of(path))
        before = {
            int(number): code.tobytes()
            for block in file.blocks(lambda ids: rows)
            for number, code in zip(block.columns.ids, block.codes, strict=True)
        }
        file.close()
        raw = codes_of(path).read_bytes()
        assert all(code in raw for code in before.values())
        asked = [n for n in range(1, 201) if n % 4 == 0]
        inode = codes_of(path).stat().st_ino
        assert gallery.forget(ids=asked).traces == ()
        assert codes_of(path).stat().st_ino == inode  # in place
        raw = codes_of(path).read_bytes()
        kept_codes = {code for n, code in before.items() if n % 4}
        assert [n for n in asked if before[n] in raw and before[n] not in kept_codes] == []
        assert all(before[n] in raw for n in range(1, 201) if n % 4)
        for room in Codes.opened(codes_of(path)).rooms:
            assert not set(room.columns.ids.tolist()) & set(asked)
            assert not room.codes[len(room) :].any()
            assert not any(column[len(room) :].any() for column in vars(room.columns).values())
        check(gallery, rows, set(asked))
        assert not list(gallery.verify())


def damaged_byte(file: Path, path: Path) -> None:
    data = bytearray(file.read_bytes())
    data[module.PAGE + module.PAGE + 9] ^= 4  # of a code
    file.write_bytes(data)


def damaged_head(file: Path, path: Path) -> None:
    data = bytearray(file.read_bytes())
    data[200] ^= 1
    file.write_bytes(data)


def damaged_facts(file: Path, path: Path) -> None:
    data = bytearray(file.read_bytes())
    data[module.PAGE] ^= 1
    file.write_bytes(data)


def cut(file: Path, path: Path) -> None:
    os.truncate(file, file.stat().st_size - 5000)


def emptied(file: Path, path: Path) -> None:
    file.write_bytes(b"")


def foreign(file: Path, path: Path) -> None:
    """The codes of another gallery of as many rows."""
    other = path.with_name("other.db")
    with open_gallery(other, MODEL) as gallery:
        add(gallery, unit(200, seed=5))
        gallery.search_embeddings(unit(1))
    shutil.copy(codes_of(other), file)


def of_the_future(file: Path, path: Path) -> None:
    """The gallery is put back from a backup, and goes on otherwise."""
    backup = path.with_name("backup")
    shutil.copy(path, backup)
    with open_gallery(path) as gallery:
        gallery.forget(ids=[1, 2, 3])
        add(gallery, unit(100, seed=6))
    shutil.copy(backup, path)


def a_folder(file: Path, path: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    "spoil", [damaged_byte, damaged_head, damaged_facts, cut, emptied, foreign, of_the_future, Path.unlink, a_folder]
)
@pytest.mark.parametrize("writable", [True, False])
def test_codes_that_do_not_fit_are_never_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[..., None], writable: bool
) -> None:
    path = tmp_path / "site.db"
    rows = filled(path)
    assert codes_of(path).exists()
    spoil(codes_of(path), *([] if spoil is Path.unlink else [path]))
    module._checked.clear()
    if not writable:
        monkeypatch.setattr(os, "access", lambda path, how: False)
    with open_gallery(path, MODEL, read_only=True) as gallery:
        if spoil is not Path.unlink:
            assert [damage.where for damage in gallery.verify()] == ["site.db-codes"]
        check(gallery, rows)
        assert mapped(gallery) == (writable and spoil is not a_folder)
        if mapped(gallery):
            assert not list(gallery.verify())


def test_codes_that_do_not_fit_are_deleted_with_the_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    rows = filled(path)
    damaged_byte(codes_of(path), path)
    with open_gallery(path) as gallery:
        module._checked.clear()
        assert gallery.forget(ids=list(range(1, 101))).traces == ()
        assert not codes_of(path).exists()
        check(gallery, rows, set(range(1, 101)))


def test_who_may_not_read_the_gallery_may_not_read_its_codes(tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    filled(path, 20)
    for mode in (0o600, 0o640):
        path.chmod(mode)
        with open_gallery(path) as gallery:
            add(gallery, unit(40, seed=mode))
            gallery.search_embeddings(unit(1))
            gallery.compact()
        assert codes_of(path).stat().st_mode & 0o777 == mode


def test_rows_of_lower_numbers(tmp_path: Path) -> None:
    """Entries of another gallery keep their ids, whatever was added before."""
    rows = unit(300, seed=2)
    path = tmp_path / "site.db"
    with open_gallery(path, MODEL) as gallery, open_gallery(path, MODEL, read_only=True) as reader:
        for part in (range(150, 300), range(10, 150), range(10)):
            gallery.add_embeddings(
                rows[list(part)],
                model=MODEL.identity,
                camera=[f"c{n % 3}" for n in part],
                pid=[n % 40 if n % 5 else None for n in part],
                track=[f"t{n % 7}" for n in part],
                ids=[n + 1 for n in part],
            )
            reader.search_embeddings(rows[:1])
        check(reader, rows)
        check(gallery, rows)


KILLED = (
    SMALL
    + """
import os, sys
from resight.gallery.sqlite.index import codes
from resight.gallery.opening import open_gallery
import numpy as np
kind, name, when, path = sys.argv[1:]
where = {"Codes": codes.Codes, "os": os}[kind]
real = getattr(where, name)
def killed(*given, **more):
    if when == "after":
        real(*given, **more)
    os.kill(os.getpid(), 9)
gallery = open_gallery(path)
rows = np.random.default_rng(3).standard_normal((100, 8)).astype("f4")
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
setattr(where, name, killed)
if name == "remove":
    gallery.forget(ids=list(range(1, 60)))
elif kind == "os":
    os.unlink(path + "-codes")
    gallery.search_embeddings(rows[:1])
else:
    gallery.add_embeddings(rows, model=gallery.settings.model, camera="new")
"""
)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("where", ["Codes remove", "Codes put", "Codes stamp", "os replace"])
def test_killed_at_any_moment(tmp_path: Path, where: str, when: str) -> None:
    path = tmp_path / "site.db"
    rows = filled(path)
    done = subprocess.run([sys.executable, "-c", KILLED, *where.split(), when, path], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    with open_gallery(path) as gallery:
        there = {entry.id: entry.embedding for entry in gallery.entries()}
        assert len(there) == (300 if where in ("Codes put", "Codes stamp") else 200)
        query = unit(1, seed=4)
        true = sorted(there, key=lambda n: -float(there[n].astype(np.float64) @ query[0].astype(np.float64)))[:20]
        assert [match.id for match in gallery.search_embeddings(query, 20)[0]] == true
        assert mapped(gallery)
        assert not list(gallery.verify())
        gallery.forget(ids=[7])
        assert sorted(file.name for file in tmp_path.iterdir() if "codes" in file.name) == ["site.db-codes"]
    assert rows.shape == (200, 8)


def test_a_full_disk_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "site.db"
    rows = filled(path)
    codes_of(path).unlink()

    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_allocate", full)
        with open_gallery(path, read_only=True) as gallery:
            check(gallery, rows)
            assert not mapped(gallery)
        with open_gallery(path) as gallery:
            gallery.forget(ids=[4, 9])
            check(gallery, rows, {4, 9})
    assert [file.name for file in tmp_path.iterdir() if "codes" in file.name] in ([], ["site.db-codes.new"])
    with open_gallery(path) as gallery:
        check(gallery, rows, {4, 9})
        assert mapped(gallery)


def test_compact_writes_them_anew(tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    rows = filled(path)
    with open_gallery(path) as gallery, open_gallery(path, read_only=True) as reader:
        check(reader, rows)
        gallery.forget(ids=list(range(1, 101)))
        size = codes_of(path).stat().st_size
        assert (gallery.stats().size_bytes or 0) >= path.stat().st_size + size
        gallery.compact()
        assert codes_of(path).stat().st_size < size
        check(reader, rows, set(range(1, 101)))
        check(gallery, rows, set(range(1, 101)))
        gallery.forget(ids=list(range(1, 190)))
        gallery.compact()
        assert not codes_of(path).exists()  # so few need none
        check(reader, rows, set(range(1, 190)))


def test_rows_that_are_removed_during_a_search_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "site.db"
    rows = filled(path)
    with open_gallery(path, wait_s=0.01) as gallery, open_gallery(path, read_only=True) as reader:
        check(reader, rows)
        live = reader.store._index  # type: ignore[attr-defined]
        real, asked = live.search, []

        def search(*given: Any) -> Any:
            asked.append(given)
            if len(asked) == 1:
                gallery.forget(ids=list(range(1, 101)))
            return real(*given)

        monkeypatch.setattr(live, "search", search)
        found = reader.search_embeddings(rows[:1], 200)[0]
        assert len(asked) == 2
        assert sorted(match.id for match in found) == list(range(101, 201))


def test_a_file_keeps_what_was_put(tmp_path: Path) -> None:
    rng, rows = np.random.default_rng(0), unit(150)
    columns = Columns(np.arange(1, 151), rng.random(150), np.zeros(150, np.uint16), np.arange(150))
    made = Codes.new(tmp_path / "codes", 8, 64, "site:1", 1 / 64, 100)
    made.put(np.arange(100)[::-1], rows[:100], columns.take(slice(0, 100)))
    made.end(100)
    made.append(rows[100:], columns.take(slice(100, 150)))
    made.stamp("token", 150, 3)
    found = Codes.opened(tmp_path / "codes")
    assert (found.token, found.last_id, found.removals, found.site, len(found)) == ("token", 150, 3, "site:1", 150)
    assert found.ids().tolist() == list(range(1, 151))
    (first, *_, last) = found.blocks(lambda ids: rows[ids - 1])
    assert first.columns.ids.tolist() == list(range(100, 36, -1))
    assert (np.abs(last.codes * last.scale - last.vectors[np.arange(len(last))]) <= last.scale / 2 + 1e-7).all()
    made.remove(np.array([1, 150]), 4)
    assert not found.still()
    made.stamp("other", 150, 4)
    assert len(Codes.opened(tmp_path / "codes")) == 148
    made.head["dim"] = 9
    with pytest.raises(Unfit):
        Codes.opened(tmp_path / "codes")
    assert kept.TAIL_ROWS == 30
