"""What version 0.1.0 wrote opens as before: a gallery (as SQL), its export and its audit, made by that version."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from resight import open_gallery
from resight.gallery.audit import check_chain
from resight.gallery.engines import open_store
from resight.gallery.gallery import Gallery
from resight.gallery.transfer.lines import header_line, header_of, line_of, rows_of_lines
from tests.gallery.helpers import MODEL, pictures, unit

OLD = Path(__file__).parent / "v010"
EXPORT = (OLD / "export.jsonl").read_text()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A copy of the old gallery."""
    db = sqlite3.connect(tmp_path / "site.db")
    db.executescript((OLD / "gallery.sql").read_text())
    db.close()
    return tmp_path / "site.db"


def exported(gallery: Gallery) -> str:
    lines = [line_of(entry, gallery.settings.model) for entry in gallery.entries()]
    return "".join(f"{line}\n" for line in [header_line(gallery.settings, gallery.links()), *lines])


def test_an_old_gallery_opens_unchanged(path: Path) -> None:
    with open_gallery(path, MODEL) as gallery:
        assert not list(gallery.verify())
        assert exported(gallery) == EXPORT  # byte by byte
        lines = "".join(json.dumps(line.to_dict()) + "\n" for line in gallery.audit())
        assert lines == (OLD / "audit.jsonl").read_text()
        assert not check_chain(gallery.audit())
        (found,) = gallery.search(pictures(unit(6))[1], 1)
        assert (found.id, found.person, found.time) == (2, "3", 2.5)


def test_an_old_audit_goes_on(path: Path) -> None:
    with open_gallery(path, MODEL) as gallery:
        gallery.forget(camera="gate")
        assert gallery.add(pictures(unit(1)), camera="north") == [7]
        *old, line = gallery.audit()
        assert (len(old), line.number, line.before) == (5, 6, old[-1].hash)
        assert line.detail == {"entries": 2, "by": "cameras"}
        assert not list(gallery.verify())


def test_an_old_export_is_read(tmp_path: Path) -> None:
    first, *rest = EXPORT.splitlines()
    header = header_of(first, "export")
    with Gallery(open_store(tmp_path / "new.db", header.settings, new=True)) as gallery:
        (added,) = gallery.add_rows(rows_of_lines(rest, "export"), keep_ids=True)
        assert added.ids == (2, 3, 4, 5, 6)
        assert not added.left_out
        for pid, into in header.links:
            gallery.link(pid, into)
        assert exported(gallery) == EXPORT
