"""One gallery into another: another engine, another model, interrupted and gone on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resight import Gallery, open_gallery
from resight.core.errors import GalleryError, UnreadableImage
from resight.core.progress import Advance
from resight.core.records import FloatArray
from resight.gallery.migrate import migrate
from resight.gallery.transfer.copies import in_ranges, out_of_ranges
from tests.gallery.helpers import DIM, MODEL, EightValues, pictures, unit


class Mirrored(EightValues):
    """Another model: the same values from the last to the first; and a picture that it cannot read."""

    def __init__(self) -> None:
        super().__init__(identity="mirrored")

    def embed(self, pictures: Any, **options: Any) -> FloatArray:
        if any(len(picture) < 4 * DIM for picture in pictures):
            raise UnreadableImage("picture", "broken")
        return super().embed(pictures)[:, ::-1]


@pytest.fixture
def old(tmp_path: Path) -> Gallery:
    gallery = open_gallery(tmp_path / "old.db", MODEL, keep_crops=True, audit_searches=True)
    rows = unit(150)
    gallery.add(pictures(rows), camera="north", pid=[n // 3 for n in range(150)], time=[float(n) for n in range(150)])
    gallery.forget(ids=[10, 150])
    gallery.link(3, 4)
    gallery.link(5, 3)
    return gallery


def test_another_entry_under_the_same_id_is_not_taken_for_it(tmp_path: Path) -> None:
    with open_gallery(tmp_path / "a.db", MODEL) as one, open_gallery(tmp_path / "b.db", MODEL) as other:
        one.add(pictures(unit(1)), camera="north")
        other.add(pictures(unit(1, seed=1)), camera="north")
        with pytest.raises(GalleryError, match="another entry 1"):
            migrate(one, other)


def test_another_model_embeds_what_was_kept(old: Gallery, tmp_path: Path) -> None:
    rows = unit(2, seed=3)
    (bare,) = old.add_embeddings(rows[:1], model=MODEL.identity, camera="south")
    (broken,) = old.add_embeddings(rows[1:], model=MODEL.identity, camera="south", crops=[b"no picture"])
    with open_gallery(tmp_path / "new.db", Mirrored(), keep_crops=True) as new:
        done = migrate(old, new)
        assert (done.entries, done.before, done.without_crop, done.unreadable) == (148, 0, (bare,), (broken,))
        for before, after in zip(old.entries(camera="north"), new.entries(), strict=True):
            assert np.array_equal(after.embedding, before.embedding[::-1])
            assert (after.id, after.pid, after.time, after.crop) == (before.id, before.pid, before.time, before.crop)
        assert [(link.pid, link.into) for link in new.links()] == [(3, 4), (5, 4)]
        line = list(new.audit())[-1]
        assert line.action == "migrate"
        assert line.detail == {"entries": 148, "left_out": 2, "from_model": MODEL.identity}
        assert not list(new.verify())
        assert new.add(pictures(unit(1)), camera="north") == [150]  # entry 150 of the old gallery never came here


def test_it_goes_on_where_it_stopped(old: Gallery, tmp_path: Path) -> None:
    with open_gallery(tmp_path / "new.db", Mirrored(), keep_crops=True) as new:

        @contextmanager
        def pulled_out(what: str, total: int, start: int = 0) -> Iterator[Advance]:
            def advance(done: int, note: str = "") -> None:
                raise KeyboardInterrupt

            yield advance

        with pytest.raises(KeyboardInterrupt):
            migrate(old, new, pulled_out)
        assert 0 < len(new) < 148
        begun = len(new)
        done = migrate(old, new)
        assert (done.entries, done.before) == (148, begun)
        old.add(pictures(unit(1, seed=8)), camera="west")
        done = migrate(old, new)
        assert (done.entries, done.before) == (149, 148)
        assert len(list(new.links())) == 2


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_who_is_forgotten_in_the_old_one_is_forgotten_in_the_new_one_too(
    old: Gallery, tmp_path: Path, engine: str, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue("postgres") + "again" if engine == "postgres" else str(tmp_path / "new.db")
    undone = old.link(20, 21)
    kept = old.cannot_link(30, 31)
    with open_gallery(place, Mirrored(), keep_crops=True, who="ann", purpose="move") as new:
        migrate(old, new, source="old.db", to=place)
        own = new.add(pictures(unit(2, seed=5)), camera="north", pid=[7, 900])  # 7 is in the old one too
        new.link(900, 7)
        gone = {entry.id for entry in old.entries(pids=[7, 8])}
        forgotten = old.forget(pids=[7, 8])
        assert (
            forgotten.elsewhere
            == f"also in {place}, made of this gallery: forget there too, or run the migration again"
        )
        old.unlink(undone)
        old.allow_link(kept)
        done = migrate(old, new, source="old.db", to=place)
        assert done.forgotten is not None
        assert (done.entries, done.forgotten.entries, done.undone, done.others) == (142, len(gone), 2, 2)
        assert (done.other_ids, done.recorded) == (tuple(own), True)
        assert {entry.id for entry in new.entries()} == {entry.id for entry in old.entries()} | set(own)
        assert [(link.pid, link.into) for link in new.links()] == [(3, 4), (5, 4), (900, 7)]
        assert not new.cannot_links()
        (line,) = [line for line in new.audit() if line.action == "forget"]
        assert (line.who, line.purpose) == ("ann", "migration: no longer in old.db")
        assert not list(new.verify())
        again = migrate(old, new, to=place)
        assert (again.entries, again.before, again.forgotten, again.undone) == (142, 142, None, 0)
        (line,) = [line for line in old.audit() if line.action == "migrate"]
        assert line.detail == {"to": place}


def test_what_was_added_to_both_stays_where_it_was_added(old: Gallery, tmp_path: Path) -> None:
    """Two services that hear the same cameras give their rows the same ids."""
    with open_gallery(tmp_path / "new.db", MODEL, keep_crops=True) as new:
        migrate(old, new)
        row = pictures(unit(1, seed=6))
        assert new.add(row, camera="west") == [150]
        old.add_embeddings(unit(1, seed=6), model=MODEL.identity, camera="west", crops=row, ids=[150])
        assert migrate(old, new).before == 149
        old.forget(ids=[150])
        done = migrate(old, new)
        assert (done.forgotten, done.others, done.other_ids) == (None, 1, (150,))
        assert new.entry(150) is not None


def test_what_came_before_it_was_recorded_is_told_and_stays(old: Gallery, tmp_path: Path) -> None:
    with open_gallery(tmp_path / "new.db", MODEL, keep_crops=True) as new:
        new.store.add(list(old.entries()))  # as an earlier version made it
        new.store.append_audit("migrate", "ann", "", {"entries": 148})
        old.forget(ids=[1, 2])
        done = migrate(old, new)
        assert (done.recorded, done.forgotten, done.others, done.other_ids) == (False, None, 2, (1, 2))
        assert len(new) == 148


def test_another_gallery_of_the_same_ids_is_not_taken_for_the_old_one(old: Gallery, tmp_path: Path) -> None:
    """As one that was restored from an export before some were added."""
    with (
        open_gallery(tmp_path / "restored.db", MODEL, keep_crops=True) as restored,
        open_gallery(tmp_path / "new.db", MODEL, keep_crops=True) as new,
    ):
        migrate(old, new)
        restored.store.add([entry for entry in old.entries() if entry.id < 100])
        done = migrate(restored, new)
        assert (done.forgotten, done.recorded, len(new)) == (None, False, 148)


def test_what_a_cut_migration_brought_is_forgotten_too(old: Gallery, tmp_path: Path) -> None:
    with open_gallery(tmp_path / "new.db", Mirrored(), keep_crops=True) as new:

        @contextmanager
        def cut(what: str, total: int, start: int = 0) -> Iterator[Advance]:
            def advance(done: int, note: str = "") -> None:
                raise KeyboardInterrupt

            yield advance

        with pytest.raises(KeyboardInterrupt):
            migrate(old, new, cut)
        assert new.entry(4) is not None
        assert new.unfinished()
        old.forget(ids=[4])
        done = migrate(old, new)
        assert done.forgotten is not None
        assert (done.forgotten.entries, done.entries, len(new)) == (1, 147, 147)
        assert (done.recorded, new.unfinished()) == (True, False)


def test_an_old_gallery_that_can_only_be_read(old: Gallery, tmp_path: Path) -> None:
    old.close()
    with (
        open_gallery(tmp_path / "old.db", read_only=True) as read,
        open_gallery(tmp_path / "new.db", MODEL, keep_crops=True) as new,
    ):
        done = migrate(read, new)
        assert (done.entries, done.recorded) == (148, False)
        assert [line.action for line in read.audit()].count("migrate") == 0


def test_ranges_of_ids() -> None:
    rng = np.random.default_rng(0)
    for ids in (np.empty(0, np.int64), np.array([5]), np.unique(rng.integers(1, 60, 40))):
        assert np.array_equal(out_of_ranges(in_ranges(ids)), ids)


def test_other_entries_under_the_same_ids_are_not_mixed_up(old: Gallery, tmp_path: Path) -> None:
    with open_gallery(tmp_path / "new.db", Mirrored(), keep_crops=True) as new:
        new.add(pictures(unit(1)), camera="a camera that began early")
        with pytest.raises(GalleryError, match="has another entry 1"):
            migrate(old, new)
        assert len(new) == 1


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_onto_another_engine_and_back(
    old: Gallery, tmp_path: Path, engine: str, request: pytest.FixtureRequest
) -> None:
    place: Callable[[], Any] = lambda: request.getfixturevalue("postgres") + f"m{abs(hash(tmp_path))}"  # noqa: E731
    middle = str(tmp_path / "middle.db") if engine == "sqlite" else place()
    with open_gallery(middle, MODEL, keep_crops=True) as other, open_gallery(tmp_path / "b.db", MODEL) as back:
        migrate(old, other)
        migrate(other, back)
        for before, after in zip(old.entries(), back.entries(), strict=True):
            assert np.array_equal(before.embedding, after.embedding)
            assert (before.id, before.name, after.crop) == (after.id, after.name, None)  # which does not keep them
        assert not list(back.verify())
        assert other.add(pictures(unit(1)), camera="north") == [150]
