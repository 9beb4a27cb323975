from __future__ import annotations

import os
from pathlib import Path

import pytest

from resight.core.errors import DatasetError
from resight.data.pictures import open_pictures
from resight.data.unlabelled import read_cameras


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_bins_thumbnails_and_hidden_files_are_nobodys_pictures(tmp_path: Path) -> None:
    touch(tmp_path / "b.jpg", tmp_path / "a" / "c.PNG", tmp_path / "notes.txt")
    for name in (
        "._a.jpg",
        ".Trash/a.jpg",
        "a/@eaDir/a.jpg",
        "__MACOSX/a.jpg",
        "$RECYCLE.BIN/a.jpg",
        "lost+found/a.jpg",
    ):
        touch(tmp_path / name)
    assert [Path(crop.name).relative_to(tmp_path).as_posix() for crop in open_pictures(tmp_path)] == [
        "a/c.PNG",
        "b.jpg",
    ]
    assert [crop.name for crop in read_cameras(tmp_path).gallery] == ["a/c.PNG"]  # and no camera of the bin


@pytest.mark.skipif(os.name != "posix", reason="links of folders take rights on Windows")
def test_linked_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    touch(tmp_path / "disk" / "north" / "a.jpg")
    site = tmp_path / "site"
    site.mkdir()
    (site / "cam1").symlink_to(tmp_path / "disk" / "north")
    (tmp_path / "disk" / "north" / "again").symlink_to(site)
    (site / "nowhere").symlink_to(tmp_path / "none")
    assert [crop.name for crop in open_pictures(site)] == [str(site / "cam1" / "a.jpg")]
    assert [crop.name for crop in read_cameras(site).gallery] == ["cam1/a.jpg"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg", tmp_path / "closed" / "b.jpg")
    (tmp_path / "closed").chmod(0)
    try:
        with pytest.raises(DatasetError, match="closed cannot be read"):
            open_pictures(tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o700)
