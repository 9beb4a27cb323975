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
