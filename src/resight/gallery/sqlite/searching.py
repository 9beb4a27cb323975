"""Searches data for bytes in one pass, in little memory, while other processes may write to a file or cut it."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt

from resight.gallery.sqlite import raw

LENGTH = 64  # of a sign, or what there is
VARIED = 8  # different bytes that a sign needs: fewer stand in every file
READ_AT_ONCE = 1 << 22
KEY = 8  # bytes of a sign that are compared first
VARIED_KEY = 4  # different bytes that these need
FAR_APART = 32  # bytes between two places that are looked at, at most
HASHED = np.uint64(0x9E3779B97F4A7C15)
SPARE_BITS = 6  # of the table of hashes: one in 64 of its places is taken, or fewer


def sign_of(data: bytes) -> bytes | None:
    """The first bytes by which some data would be recognised in a file; None if no part of it is varied enough."""
    for start in range(0, max(1, len(data) - LENGTH + 1), LENGTH):
        part = data[start : start + LENGTH]
        if len(part) >= KEY and len(set(part)) >= min(VARIED, len(part)):
            return part
    return None


class Signs:
    """Signs of KEY to LENGTH bytes each, to be looked for.

    Only every `stride`-th place is looked at: wherever a sign stands, eight of its bytes begin at such a place. So all
    of its parts that could are looked for.
    """

    def __init__(self, signs: Collection[bytes]) -> None:
        self._where: dict[bytes, list[tuple[bytes, int]]] = {}  # the signs in which eight bytes stand, and where
        self.stride = FAR_APART
        while self._where == {} and signs:
            try:
                for sign in signs:
                    for key, start in _keys(sign, self.stride):
                        self._where.setdefault(key, []).append((sign, start))
            except ValueError:
                self._where, self.stride = {}, self.stride // 2
        self._keys = np.sort(np.frombuffer(b"".join(self._where), "<u8"))
        self._shift = np.uint64(64 - SPARE_BITS - len(self._keys).bit_length())
        self._hashes = np.zeros(1 << (64 - int(self._shift)), np.bool_)
        self._hashes[self._hash(self._keys)] = True

    def __bool__(self) -> bool:
        return bool(self._where)

    def within(self, data: bytes | bytearray | memoryview) -> set[bytes]:
        """Those that stand in the data as a whole."""
        found: set[bytes] = set()
        data = memoryview(data)
        for shift in range(0, KEY, self.stride) if self else ():
            count = max(0, len(data) - shift) // KEY
            words = np.frombuffer(data, "<u8", count, min(shift, len(data)))[:: max(1, self.stride // KEY)]
            there = np.flatnonzero(self._hashes[self._hash(words)])
            places = np.searchsorted(self._keys, words[there])
            there = there[self._keys[np.minimum(places, len(self._keys) - 1)] == words[there]]
            for place in (shift + max(self.stride, KEY) * there).tolist():
                for sign, start in self._where[bytes(data[place : place + KEY])]:
                    if place >= start and data[place - start : place - start + len(sign)] == sign:
                        found.add(sign)
        return found

    def _hash(self, words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        return (words * HASHED) >> self._shift


def found_in(path: Path, signs: Collection[bytes]) -> set[bytes]:
    """Those of the signs that the file holds, of KEY to LENGTH bytes each.

    The file is read once, piece by piece, up to the size that it had at first or where it has become shorter meanwhile.
    It is not mapped: a mapping of what another process cuts off kills the process that looks. Raises OSError.
    """
    wanted, found = Signs(signs), set[bytes]()
    if not wanted:
        return found
    with raw.opened(path) as file:
        place, size, before = 0, os.fstat(file).st_size, b""
        while place < size:
            piece = os.pread(file, READ_AT_ONCE, place)
            if not piece:
                break
            data = before + piece
            found |= wanted.within(data)
            place += len(piece)
            before = data[1 - LENGTH :]
    return found


def _keys(sign: bytes, stride: int) -> list[tuple[bytes, int]]:
    """Eight bytes of the sign for each place at which a stride may begin in it, and where in the sign they stand.
    Raises ValueError where some are not varied enough, or the sign is too short."""
    keys = []
    for shift in range(stride):
        starts = range(shift, len(sign) - KEY + 1, stride)
        start = max(starts, key=lambda start: len(set(sign[start : start + KEY])))  # ValueError: there is none
        if stride > 1 and len(set(sign[start : start + KEY])) < VARIED_KEY:
            raise ValueError
        keys.append((sign[start : start + KEY], start))
    return keys
