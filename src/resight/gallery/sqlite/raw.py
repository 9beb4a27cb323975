"""A database's file read and written past SQLite.

Closing any descriptor of a file drops all locks that the process has on it (POSIX, fcntl), SQLite's among them: another
process could then take itself for the last one and delete the log that this one goes on writing to. So there is one
descriptor of each file, shared and kept as long as this process has a connection to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

Key = tuple[int, int]  # device and inode


@dataclass
class _Held:
    connections: int = 0
    descriptor: int | None = None


_held: dict[Key, _Held] = {}
_lock = Lock()


def hold(path: Path) -> Key:
    """Says that this process has one more connection to a file."""
    found = path.stat()
    key = (found.st_dev, found.st_ino)
    with _lock:
        _held.setdefault(key, _Held()).connections += 1
    return key


def release(key: Key) -> None:
    """Says that one of them is closed."""
    with _lock:
        held = _held[key]
        held.connections -= 1
        if not held.connections:
            del _held[key]
            if held.descriptor is not None:
                os.close(held.descriptor)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor of the file, for writing too where that is allowed. Use its place-wise calls: it is shared. Raises
    OSError."""
    with _lock:
        found = path.stat()
        held = _held.get((found.st_dev, found.st_ino))
        if held is not None and held.descriptor is None:
            held.descriptor = _open(path)
    if held is not None and held.descriptor is not None:
        yield held.descriptor
        return
    descriptor = _open(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
