"""What is written: whole, with the rights that it should have, and by one process at a time."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from resight.core.errors import UnreadableImage
from resight.core.files import is_left_over, read_regular, remove_left_over, write_whole, written_whole
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


@pytest.mark.parametrize("last", [b"b" * 20_000, None])
def test_two_who_write_one_file_leave_one_of_the_two(tmp_path: Path, last: bytes | None) -> None:
    path = tmp_path / "model.bin"
    with suppress(KeyError), written_whole(path) as file:
        file.write(b"a" * 10_000)
        file.flush()
        write_whole(path, b"b" * 20_000)  # another process, meanwhile
        assert path.read_bytes() == b"b" * 20_000
        if last is not None:
            raise KeyError
    assert path.read_bytes() == (last or b"a" * 10_000)
    assert [each.name for each in tmp_path.iterdir()] == ["model.bin"]


@pytest.mark.skipif(os.name != "posix", reason="links take rights on Windows")
def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name in ("old", "new"):
        (tmp_path / name).symlink_to(tmp_path / "there" / name)
    (tmp_path / "there" / "old").write_bytes(b"before")
    for name in ("old", "new"):
        write_whole(tmp_path / name, b"after")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "there" / name).read_bytes() == b"after"


def test_what_a_kill_left_is_known_and_removed(tmp_path: Path) -> None:
    for name in ("model.bin", "theirs.part", "rounds"):
        (tmp_path / name).mkdir() if name == "rounds" else (tmp_path / name).touch()
    with written_whole(tmp_path / "rounds" / "001.npz"), written_whole(tmp_path / "model.bin"):
        left = [path for path in tmp_path.rglob("*.part") if is_left_over(path)]
    assert len(left) == 2
    for path in left:
        path.write_bytes(b"half")
    remove_left_over(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["001.npz", "model.bin", "rounds", "theirs.part"]
