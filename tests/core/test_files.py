"""What is written: whole, with the rights that it should have, and by one process at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from resight.core.errors import UnreadableImage
from resight.core.files import read_regular, write_whole
from resight.data.crops import Crop


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such rights")
def test_what_is_new_is_its_owners_alone_and_what_is_there_keeps_its_rights(tmp_path: Path) -> None:
    new, old, mask = tmp_path / "new", tmp_path / "old", os.umask(0o022)
    try:
        old.write_bytes(b"before")
        old.chmod(0o664)
        for path in (new, old):
            write_whole(path, b"after", private=True)
        write_whole(new, b"again")
    finally:
        os.umask(mask)
    assert (new.read_bytes(), old.read_bytes()) == (b"again", b"after")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (new, old)] == [0o600, 0o664]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(tmp_path / "pipe.jpg")
    with pytest.raises(UnreadableImage, match="not a regular file"):
        Crop("pipe", 1, 1, path=tmp_path / "pipe.jpg").read()
    (tmp_path / "a").write_bytes(b"abc")
    assert read_regular(tmp_path / "a") == b"abc"
