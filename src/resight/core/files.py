"""Writing of files that a kill leaves whole, and over none that is there."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from resight.core.errors import ConfigError

NO_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # the one of Unix, the other of Windows
PART_ENDING = -len(".01234567.part")
OF_A_RUN = ("config.json", "model.json", "model.safetensors", "checkpoint.safetensors")
_UNFINISHED = re.compile(r".+\.[0-9a-f]{8}\.part", re.DOTALL)


def write_whole(path: Path, data: bytes, *, private: bool = False) -> None:
    """Writes a file that a kill at any moment leaves as it was or as it should be. private: as `written_whole`."""
    with written_whole(path, private=private) as file:
        file.write(data)


@contextmanager
def written_whole(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """Opens a file for writing under a name that no other writer has, and gives it its own at the end, if nothing was
    raised: of several writers the last one's file stays. One that was there before keeps its rights, and a link leads
    to the new one. private: a new one only its owner may read; on Windows nothing changes."""
    path = path.resolve() if path.is_symlink() else path
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(temporary, "xb", opener=_for_owner if private else None) as file:
            with suppress(OSError):
                temporary.chmod(stat.S_IMODE(path.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def without_part(name: str) -> str:
    """The name of the file that was being written, for a message."""
    return name[:PART_ENDING] if _UNFINISHED.fullmatch(name) else name


def is_left_over(path: Path) -> bool:
    """Whether a file is of such a name: what a kill left of it, or what is being written."""
    return _UNFINISHED.fullmatch(path.name) is not None


def remove_left_over(directory: Path) -> None:
    """Removes what kills left in a directory and below it. For who alone writes there."""
    for path in directory.rglob("*.part"):
        if is_left_over(path):
            path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other processes from this lock of a file or a folder that is there. On Windows nothing is locked. Raises
    BlockingIOError where another has it."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def check_new(directory: Path) -> None:
    """Raises ConfigError where there is something already."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ConfigError(f"{directory} exists already and is not empty; name another directory")


def check_new_file(path: Path, option: str) -> None:
    """Raises ConfigError if the file is there, or its folder is not. option: for the message."""
    check_folder_of(path, option)
    check_absent(path, option)


def check_absent(path: Path, option: str) -> None:
    """Raises ConfigError if the file is there. option: for the message."""
    if path.exists():
        raise ConfigError(f"{option}: {path} exists already; remove it, or name another file")


def check_folder_of(path: Path, option: str, *read: str | Path | None) -> None:
    """Raises ConfigError if the folder that a file is to be written into does not exist, or the file is one that is
    read, or of a run that is. option: for the message. read: what the command reads, where that may be a file."""
    if not path.parent.is_dir():
        raise ConfigError(f"{option}: the folder {path.parent} does not exist")
    for given in (Path(each) for each in read if each is not None):
        if any(is_same(path, one) for one in (given, *(given / name for name in OF_A_RUN))):
            raise ConfigError(f"{option}: {path} is what is read; name another file")


def is_same(one: Path, other: Path) -> bool:
    """Whether both are there, and one file, by whatever names."""
    return one.is_file() and other.is_file() and one.samefile(other)


def read_regular(path: Path) -> bytes:
    """The bytes of a file. Raises OSError, of what is no regular file too: a named pipe may never end."""
    # Unbuffered: a third of Path.read_bytes' time.
    with open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | NO_WAITING)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return file.readall()
