"""Searches files for bytes in one pass, in little memory, while other processes may write to them or cut them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

LENGTH = 64  # of a sign, or what there is
VARIED = 8  # different bytes that a sign needs: fewer stand in every file
READ_AT_ONCE = 1 << 22
KEY = 8  # bytes of a sign that are compared first


def sign_of(data: bytes) -> bytes | None:
    """The first bytes by which some data would be recognised in a file; None if no part of it is varied enough."""
    for start in range(0, max(1, len(data) - LENGTH + 1), LENGTH):
        part = data[start : start + LENGTH]
        if len(part) >= KEY and len(set(part)) >= min(VARIED, len(part)):
            return part
    return None


def found_in(path: Path, signs: Collection[bytes]) -> set[bytes]:
    """Those of the signs that the file holds, of KEY to LENGTH bytes each.

    The file is read once, piece by piece, up to the size that it had at first or where it has become shorter meanwhile.
    It is not mapped: a mapping of what another process cuts off kills the process that looks. Raises OSError.
    """
    found: set[bytes] = set()
    by_key: dict[bytes, list[bytes]] = {}
    for sign in signs:
        by_key.setdefault(sign[:KEY], []).append(sign)
    if not by_key:
        return found
    file = os.open(path, os.O_RDONLY)
    try:
        place, size, before = 0, os.fstat(file).st_size, b""
        while place < size:
            piece = os.pread(file, READ_AT_ONCE, place)
            if not piece:
                break
            data = before + piece
            for start, key in _starts(data, by_key):
                found.update(sign for sign in by_key[key] if data.startswith(sign, start))
            place += len(piece)
            before = data[1 - LENGTH :]
    finally:
        os.close(file)
    return found


def _starts(data: bytes, keys: Collection[bytes]) -> Iterator[tuple[int, bytes]]:
    """Where one of the keys stands in the data, and which."""
    begins = np.zeros(65_536, np.bool_)
    begins[np.frombuffer(b"".join(key[:2] for key in keys), "<u2")] = True
    wanted = np.frombuffer(b"".join(keys), "<u8")
    for shift in (0, 1):
        pairs = np.frombuffer(data, "<u2", count=max(0, len(data) - shift) // 2, offset=min(shift, len(data)))
        starts = 2 * np.flatnonzero(begins[pairs]) + shift
        starts = starts[starts <= len(data) - KEY]
        for part in np.array_split(starts, 1 + len(starts) // 65_536):
            hits = part[np.isin(_words(data, part), wanted)]
            yield from ((start, data[start : start + KEY]) for start in hits.tolist())


def _words(data: bytes, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """(n,) the eight bytes from each start on, as a number."""
    letters = np.frombuffer(data, np.uint8)
    return np.ascontiguousarray(letters[starts[:, None] + np.arange(KEY)]).view("<u8")[:, 0]
