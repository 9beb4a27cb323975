"""One opening that several threads use at once, and how much work its file makes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from resight import Gallery, open_gallery
from resight.core.progress import Advance
from resight.gallery.people import LinkTable, root_of
from resight.gallery.sqlite import store, verifying
from resight.gallery.sqlite.index.kept import KeptCodes
from resight.gallery.sqlite.index.live import LiveIndex
from tests.gallery.helpers import MODEL, pictures, unit


def is_free(gallery: Gallery) -> bool:
    """Whether another thread could use the connection now."""
    lock, got = gallery.store._db._lock, list[bool]()  # type: ignore[attr-defined]

    def take() -> None:
        got.append(lock.acquire(blocking=False))
        if got[0]:
            lock.release()

    thread = Thread(target=take)
    thread.start()
    thread.join()
    return got[0]


def test_compacting_keeps_searches_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = list[bool]()
    with open_gallery(tmp_path / "site.db", MODEL) as gallery:
        gallery.add(pictures(unit(3)), camera="north")
        assert gallery.search(unit(1)[0].tobytes())[0].id == 1

        def seen(act: Any) -> Any:
            def watched(self: Any, *given: Any) -> Any:
                free.append(is_free(gallery))
                return act(self, *given)

            return watched

        with monkeypatch.context() as patch:
            patch.setattr(LiveIndex, "close", seen(LiveIndex.close))
            patch.setattr(KeptCodes, "rewrite", seen(KeptCodes.rewrite))
            gallery.compact()
        assert free == [False, False]
        assert gallery.search(unit(1)[0].tobytes())[0].id == 1


@pytest.mark.parametrize("asked", [{}, {"after": 0.0}, {"camera": "north"}])
def test_reading_all_entries_goes_through_them_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    monkeypatch.setattr(store, "READ_AT_ONCE", 16 * 16)
    steps: list[int] = []
    with open_gallery(tmp_path / "site.db", MODEL) as gallery:
        for num in (500, 1500):
            gallery.add_embeddings(unit(num, seed=num), model=MODEL.identity, camera="north", time=1.0)
            counted = [0]

            def count(counted: list[int] = counted) -> None:
                counted[0] += 1

            gallery.store._db.db.set_progress_handler(count, 10)  # type: ignore[attr-defined]
            there = sum(1 for _ in gallery.entries(**asked))
            gallery.store._db.db.set_progress_handler(None, 0)  # type: ignore[attr-defined]
            steps.append(counted[0])
            assert there == len(gallery)
    assert steps[1] < 6 * steps[0]  # 2,000 entries against 500


def test_a_check_leaves_the_gallery_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While entries are checked other threads search, add and forget; and it can be stopped at each page."""
    monkeypatch.setattr(verifying, "READ_AT_ONCE", 10)
    pages: list[int] = []

    @contextmanager
    def progress(what: str, total: int, start: int = 0) -> Iterator[Advance]:
        def advance(done: int, note: str = "") -> None:
            pages.extend([done] * (done > 0))
            if done and len(pages) < 3:
                assert is_free(gallery)
                assert gallery.search(unit(1)[0].tobytes())[0].id == 1
                assert gallery.forget(id=36 - len(pages)).traces == ()  # the log could be emptied
                gallery.add(pictures(unit(1, seed=len(pages))), camera="south")
            if len(pages) == 6:
                raise InterruptedError

        yield advance

    with open_gallery(tmp_path / "site.db", MODEL) as gallery:
        gallery.add(pictures(unit(35)), camera="north")
        assert list(gallery.verify(progress)) == []
        assert pages == [10, 10, 10, 5]
        gallery.store._db.execute("UPDATE entries SET track = 'x' WHERE id = 12")  # type: ignore[attr-defined]
        with pytest.raises(InterruptedError):
            list(gallery.verify(progress))
        assert len(pages) == 6
        assert [damage.where for damage in gallery.verify()] == ["entry 12"]


def test_a_check_that_is_stopped_ends_while_sqlite_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "LOOK_EVERY", 10)

    @contextmanager
    def progress(what: str, total: int, start: int = 0) -> Iterator[Advance]:
        def advance(done: int, note: str = "") -> None:
            assert not done
            raise InterruptedError

        yield advance

    with open_gallery(tmp_path / "site.db", MODEL) as gallery:
        gallery.add(pictures(unit(35)), camera="north")
        with pytest.raises(InterruptedError):
            list(gallery.verify(progress))
        assert list(gallery.verify()) == []


def test_links_are_read_again_only_when_they_have_changed(tmp_path: Path) -> None:
    read: list[str] = []

    def look(text: str) -> None:
        read.extend([text] * text.startswith("SELECT pid, into_pid"))

    with open_gallery(tmp_path / "site.db", MODEL) as gallery, open_gallery(tmp_path / "site.db", MODEL) as other:
        gallery.add(pictures(unit(9)), camera="north", pid=list(range(9)))
        gallery.link(1, 2)
        gallery.search(unit(1)[0].tobytes())
        gallery.store._db.db.set_trace_callback(look)  # type: ignore[attr-defined]
        for step in range(3):
            assert gallery.search(unit(1)[0].tobytes(), pid=1).num_people == 1
            assert gallery.search(unit(1)[0].tobytes()).num_people == 8 + step
            assert gallery.to_forget(pids=[1, 2, 3]).people == 2
            other.add(pictures(unit(1, seed=step + 1)), camera="south")
        assert read == []
        other.link(2, 3)
        for _ in range(2):
            assert gallery.search(unit(1)[0].tobytes()).num_people == 10
            assert gallery.to_forget(pids=[1, 2, 3]).people == 1
        assert len(read) == 1


def test_a_table_of_links_is_what_following_them_says() -> None:
    dice = random.Random(0)
    links: dict[int, int] = {}
    for _ in range(300):
        one, two = (root_of(dice.randrange(400), links) for _ in range(2))
        if one != two:
            links[one] = two
    table = LinkTable(dice.sample(list(links.items()), len(links)))
    roots = {pid: root_of(pid, links) for pid in range(400)}
    assert table.roots == {pid: roots[pid] for pid in links}
    for pid in range(400):
        assert table.members_of(pid) == {other for other in range(400) if roots[other] == roots[pid]}
