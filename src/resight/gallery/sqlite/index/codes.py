"""What a search reads first, kept beside the gallery's file: the int8 codes of the rows, and their columns.

Derived from the gallery, and mapped: nothing of it is read before it is needed, and processes share the memory. A head,
then blocks of room for `capacity` rows each. Whoever writes holds the gallery's write lock. Rows are appended and
removed in place; the file never becomes shorter while it is in use: it is replaced by another one, under its name.

A file is used only if its token is the one that the gallery keeps, which changes with each change of the file, in one
transaction. So what a kill, a copy or a backup left beside a gallery that is another one is written anew. Each block
has a checksum, which is checked once in each process before the block is used.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.records import FloatArray, IntArray
from resight.gallery.search.blocks import Block, Vectors, quantized, rounded_up
from resight.gallery.search.columns import Columns

MAGIC = b"resight codes 1"
PAGE = mmap.ALLOCATIONGRANULARITY
HEAD = np.dtype(
    [
        ("magic", "S16"),
        ("token", "S32"),
        ("site", "S128"),
        ("dim", "<i8"),
        ("capacity", "<i8"),
        ("blocks", "<i8"),
        ("last_id", "<i8"),
        ("removals", "<i8"),
        ("scale", "<f8"),
        ("check", "S32"),
    ]
)
FACTS = np.dtype([("rows", "<i8"), ("slack", "<f8"), ("reach", "<f8"), ("sum", "S32")])
COLUMNS = {"ids": "<i8", "times": "<f8", "people": "<i8", "cameras": "<u2"}
_checked: set[bytes] = set()  # sums of blocks that this process has compared


class Unfit(Exception):
    """The file is not what it should be, and cannot be used."""


class Room:
    """A block's place: a mapping, and arrays over all of it."""

    def __init__(self, data: mmap.mmap, dim: int, capacity: int, writable: bool) -> None:
        self.data = data
        self.facts = np.frombuffer(data, FACTS, 1)
        if not writable:
            self.facts = self.facts.copy()  # as they are now, whatever another process appends
        self.codes = np.frombuffer(data, np.int8, capacity * dim, PAGE).reshape(capacity, dim)
        at, arrays = PAGE + -(-capacity * dim // 8) * 8, dict[str, npt.NDArray[Any]]()
        for name, kind in COLUMNS.items():
            arrays[name] = np.frombuffer(data, kind, capacity, at)
            at += capacity * np.dtype(kind).itemsize
        self.columns = Columns(**arrays)

    @staticmethod
    def size(dim: int, capacity: int) -> int:
        """In bytes: whole pages."""
        columns = sum(np.dtype(kind).itemsize for kind in COLUMNS.values())
        return PAGE + -(-(-(-capacity * dim // 8) * 8 + capacity * columns) // PAGE) * PAGE

    def __len__(self) -> int:
        return int(self.facts["rows"][0])

    def sum(self) -> bytes:
        """Of all but the facts: the digest of the sums of its pages."""
        words = np.frombuffer(self.data, "<u8", offset=PAGE).reshape(-1, PAGE // 8)
        return _digest(words.sum(axis=1).tobytes())

    def check(self) -> None:
        """Raises Unfit if a byte of it has changed. Once for each content."""
        kept = bytes(self.facts["sum"][0])
        if kept not in _checked:
            if self.sum() != kept:
                raise Unfit
            _checked.add(kept)

    def remove(self, rows: IntArray) -> None:
        """Removes rows: the last ones take their places, and zeros those of the last. The bounds hold for fewer rows
        too."""
        num = len(self) - len(rows)
        holes = rows[rows < num]
        moved = np.setdiff1d(np.arange(num, len(self)), rows)
        for array in (self.codes, *vars(self.columns).values()):
            array[holes] = array[moved]
            array[num : len(self)] = 0
        self.facts["rows"] = num
        self.facts["sum"] = self.sum()


class Codes:
    """The rooms of a gallery, in a file or, without a path, in memory."""

    def __init__(self, path: Path | None, head: npt.NDArray[Any], file: int | None, writable: bool) -> None:
        self.path, self._live, self._file, self._writable = path, head, file, writable
        self.head = head if writable else head.copy()
        self.rooms: list[Room] = []
        self.dim, self.capacity = int(self.head["dim"][0]), int(self.head["capacity"][0])
        self.last_id, self.removals = int(self.head["last_id"][0]), int(self.head["removals"][0])
        self.token, self.site = self.head["token"][0].decode(), self.head["site"][0].decode()
        for _ in range(int(self.head["blocks"][0])):
            self._map()

    @classmethod
    def new(
        cls, path: Path | None, dim: int, capacity: int, site: str, scale: float, rows: int, mode: int = 0o600
    ) -> Codes:
        """An empty one with room for some rows. path: of a file that is not there. mode: its rights. Raises OSError."""
        file = None
        if path is not None:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            os.chmod(path, mode)  # whatever the mask is
            _allocate(file, 0, PAGE)
        head = np.frombuffer(_mapping(file, 0, PAGE, True), HEAD, 1)
        head[0] = (MAGIC, b"", site.encode(), dim, capacity, 0, 0, 0, scale, b"")
        made = cls(path, head, file, True)
        try:
            for _ in range(-(-rows // capacity)):
                made._grow()
        except OSError:
            made.close()
            raise
        return made

    @classmethod
    def opened(cls, path: Path, *, writing: bool = False) -> Codes:
        """The file. Raises Unfit if it is damaged or another version's, OSError."""
        file = os.open(path, (os.O_RDWR if writing else os.O_RDONLY) | os.O_CLOEXEC)
        try:
            size = os.fstat(file).st_size
            if size < PAGE:
                raise Unfit
            head = np.frombuffer(_mapping(file, 0, PAGE, writing), HEAD, 1)
            kept = head.copy()
            if kept["magic"][0] != MAGIC or not 0 < kept["capacity"][0] <= 1 << 24 or not 0 < kept["dim"][0] <= 1 << 20:
                raise Unfit
            room = Room.size(int(kept["dim"][0]), int(kept["capacity"][0]))
            if not 0 <= kept["blocks"][0] <= (size - PAGE) // room:
                raise Unfit
            found = cls(path, head, file, writing)
            if found._check() != found.head["check"][0]:
                raise Unfit
            return found
        except BaseException:
            os.close(file)
            raise

    def close(self) -> None:
        """Closes the descriptor. Mappings stay as long as an array of them is used."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __len__(self) -> int:
        return sum(map(len, self.rooms))

    def still(self) -> bool:
        """Whether no row was removed in place since it was opened."""
        return int(self._live["removals"][0]) == self.removals

    def blocks(self, rooms_vectors: Any) -> list[Block]:
        """As an index takes them. rooms_vectors: of a room's ids, its Vectors. Raises Unfit if one is damaged."""
        found, scale = [], float(self.head["scale"][0])
        for room in self.rooms:
            if num := len(room):
                if self.path is not None:
                    room.check()
                columns = room.columns.take(slice(0, num))
                vectors: Vectors = rooms_vectors(columns.ids)
                slack, reach = float(room.facts["slack"][0]), float(room.facts["reach"][0])
                found.append(Block(room.codes[:num], columns, scale, slack, reach, vectors))
        return found

    def put(self, places: IntArray, vectors: FloatArray, columns: Columns) -> None:
        """Writes rows to places that hold none yet, counted over all rooms; `end` makes them count. columns: theirs."""
        codes, left, length = quantized(vectors, float(self.head["scale"][0]))
        numbers = places // self.capacity
        for number in np.unique(numbers).tolist():
            room, inside = self.rooms[number], np.flatnonzero(numbers == number)
            where = places[inside] % self.capacity
            room.codes[where] = codes[inside]
            for name in COLUMNS:
                getattr(room.columns, name)[where] = getattr(columns, name)[inside]
            room.facts["slack"] = max(room.facts["slack"][0], rounded_up(float(left[inside].max())))
            room.facts["reach"] = max(room.facts["reach"][0], rounded_up(float(length[inside].max())))

    def end(self, rows: int) -> None:
        """Says that the first `rows` places are taken."""
        for number, room in enumerate(self.rooms):
            taken = min(self.capacity, max(0, rows - number * self.capacity))
            if taken != len(room) or not room.facts["sum"][0]:
                room.facts["rows"] = taken
                room.facts["sum"] = room.sum()

    def append(self, vectors: FloatArray, columns: Columns) -> None:
        """Adds rows after the last. Raises OSError if there is no room for them on the disk, and Unfit if the room that
        they go to is damaged; nothing is changed then."""
        start = (len(self.rooms) - 1) * self.capacity + len(self.rooms[-1]) if self.rooms else 0
        first = start // self.capacity
        if first < len(self.rooms) and self.path is not None:
            self.rooms[first].check()
        while len(self.rooms) * self.capacity < start + len(vectors):
            self._grow()
        self.put(np.arange(start, start + len(vectors)), vectors, columns)
        for number, room in list(enumerate(self.rooms))[first:]:
            room.facts["rows"] = min(self.capacity, start + len(vectors) - number * self.capacity)
            room.facts["sum"] = room.sum()

    def remove(self, ids: IntArray, removals: int) -> None:
        """Removes rows in place, as far as they are there. removals: how many there were in the gallery, this one
        included. Raises Unfit if a room that holds some is damaged."""
        self.head["removals"] = removals  # first: who reads meanwhile starts again
        for room in self.rooms:
            rows = np.flatnonzero(np.isin(room.columns.ids[: len(room)], ids))
            if len(rows):
                if self.path is not None:
                    room.check()
                room.remove(rows)

    def stamp(self, token: str, last_id: int, removals: int, *, durable: bool = False) -> None:
        """Says which state of the gallery this is. durable: on the disk too, when it returns."""
        self.head["token"], self.head["last_id"], self.head["removals"] = token.encode(), last_id, removals
        self.head["blocks"] = len(self.rooms)
        self.head["check"] = self._check()
        self.token, self.last_id, self.removals = token, last_id, removals
        if self._file is not None and durable:
            for room in self.rooms:
                room.data.flush()
            os.fsync(self._file)

    def damaged(self) -> Iterator[int]:
        """The numbers of rooms that are not what was written; all bytes are read."""
        for number, room in enumerate(self.rooms):
            if room.sum() != room.facts["sum"][0]:
                yield number

    def ids(self) -> IntArray:
        """(n,) int64, sorted."""
        ids = [room.columns.ids[: len(room)] for room in self.rooms]
        return np.sort(np.concatenate([np.zeros(0, np.int64), *ids]))

    def _check(self) -> bytes:
        facts = b"".join(room.facts.tobytes() for room in self.rooms)
        names = [name for name in HEAD.names or () if name != "check"]
        return _digest(b"".join(self.head[name].tobytes() for name in names) + facts)

    def _grow(self) -> None:
        if self._file is not None:
            size = Room.size(self.dim, self.capacity)
            _allocate(self._file, PAGE + len(self.rooms) * size, size)
        self._map()

    def _map(self) -> None:
        size = Room.size(self.dim, self.capacity)
        data = _mapping(self._file, PAGE + len(self.rooms) * size, size, self._writable)
        self.rooms.append(Room(data, self.dim, self.capacity, self._writable))


def removed(path: Path) -> None:
    """Deletes the file and what a killed process left of a new one. Raises OSError."""
    for each in (path, beside(path)):
        with suppress(FileNotFoundError):
            each.unlink()


def beside(path: Path) -> Path:
    """Where a new file is written."""
    return path.with_name(path.name + ".new")


def _mapping(file: int | None, start: int, size: int, writable: bool) -> mmap.mmap:
    if file is None:
        return mmap.mmap(-1, size)
    return mmap.mmap(file, size, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ, offset=start)


def _allocate(file: int, start: int, size: int) -> None:
    """Takes room on the disk, so that writing to the mapping cannot fail for want of it. Raises OSError."""
    if hasattr(os, "posix_fallocate") and os.fstat(file).st_size <= start:
        os.posix_fallocate(file, start, size)
        return
    done = 0
    while done < size:
        done += os.pwrite(file, bytes(min(size - done, 1 << 22)), start + done)


def _digest(data: bytes) -> bytes:
    """32 characters, none of which numpy cuts off."""
    return hashlib.blake2b(data, digest_size=16).hexdigest().encode()
