"""What is written: whole, with the rights that it should have, and by one process at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from resight.core.files import write_whole


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
