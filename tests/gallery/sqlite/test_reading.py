"""Reading a gallery without the right to write."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from resight import open_gallery
from resight.core.errors import GalleryBusy, GalleryError
from resight.gallery.opening import open_with_model
from resight.gallery.sqlite.schema import STEPS
from tests.gallery.helpers import MODEL, pictures, unit

OLD = Path(__file__).parent.parent / "v010"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.db"
    with open_gallery(path, MODEL) as gallery:
        gallery.add(pictures(unit(5)), camera="north")
    return path


@pytest.fixture
def nothing_writable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a mount that can only be read; root may write everywhere else."""
    monkeypatch.setattr(os, "access", lambda path, how: False)


@pytest.mark.usefixtures("nothing_writable")
def test_a_gallery_is_read_where_nothing_can_be_written(site: Path) -> None:
    with open_gallery(site, MODEL, read_only=True) as gallery:
        assert len(gallery) == len(gallery.search(unit(1)[0].tobytes())) == 5
        assert not list(gallery.verify())
        assert gallery.stats().entries == 5
        assert [path.name for path in site.parent.iterdir()] == ["site.db"]  # neither a log nor a lock
        with pytest.raises(GalleryError, match="can only be read"):
            gallery.forget(camera="north")


@pytest.mark.usefixtures("nothing_writable")
def test_what_is_changed_while_it_is_read_without_a_lock_is_said(site: Path) -> None:
    with open_gallery(site, MODEL, read_only=True) as gallery:
        assert len(gallery) == 5
        db = sqlite3.connect(site)
        db.execute("DELETE FROM entries WHERE id = 1")
        db.commit()
        with pytest.raises(GalleryBusy, match="changed while it was read"):
            len(gallery)
        db.close()


@pytest.mark.usefixtures("nothing_writable")
def test_a_log_is_not_passed_over(site: Path) -> None:
    db = sqlite3.connect(site)
    db.execute("DELETE FROM entries WHERE id = 1")
    db.commit()
    with open_gallery(site, MODEL, read_only=True) as gallery:
        assert len(gallery) == 4
    db.close()


def test_a_reader_leaves_nothing_behind(site: Path) -> None:
    content = site.read_bytes()
    with open_gallery(site, MODEL, read_only=True) as gallery:
        assert len(gallery) == 5
    assert [path.name for path in site.parent.iterdir()] == ["site.db"]
    assert site.read_bytes() == content


def test_reading_upgrades_nothing_and_writing_does(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    db = sqlite3.connect(path)
    db.executescript((OLD / "gallery.sql").read_text())

    def version() -> Any:
        return db.execute("PRAGMA user_version").fetchone()[0]

    before = version()
    assert before < len(STEPS)
    with open_gallery(path, MODEL, read_only=True) as gallery:
        assert len(gallery) == len(list(gallery.entries())) == 5
        assert not list(gallery.verify())
        with pytest.raises(GalleryError, match=r"audited, .*for reading only"):
            gallery.search(unit(1)[0].tobytes())
    assert version() == before
    with open_gallery(path, MODEL) as gallery:
        assert not list(gallery.verify())
        (entry,) = gallery.entries(id=6)
        assert gallery.add_embeddings(entry.embedding, model=MODEL.identity, camera="gate", names=["[c].png"]) == [6]
    assert version() == len(STEPS)
    db.close()


def test_what_is_searched_only_needs_no_right_to_write(tmp_path: Path, nothing_writable: None) -> None:
    import resight

    model = resight.load("city")
    for audited in (False, True):
        path = tmp_path / f"{audited}.db"
        with open_gallery(path, model, audit_searches=audited) as gallery:
            gallery.add_embeddings(unit(1, dim=model.dim), model=model.identity, camera="north")
        with open_with_model(path, reading=True) as gallery:
            assert gallery.model is not None
            gallery.search_embeddings(unit(1, dim=model.dim))
            assert len(list(gallery.audit())) == audited
    shutil.rmtree(tmp_path)
