"""The rows of a gallery's file as an index takes them: embeddings at the site, and what filters ask of them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence

import numpy as np

from resight.core.errors import GalleryError
from resight.core.records import FloatArray, IntArray
from resight.gallery.search.columns import NOBODY, Columns
from resight.gallery.sqlite import siting
from resight.gallery.sqlite.connection import Connection
from resight.site.transform import SiteTransform

READ_AT_ONCE = 4096


class Rows:
    """Reads the rows. Call its methods in a transaction. Embeddings are (n, dim) float32, at the site.

    They raise GalleryError if an embedding or the site transform is damaged.
    """

    def __init__(self, db: Connection, dim: int) -> None:
        self._db = db
        self.dim = dim
        self.site: SiteTransform | None = None  # the transform that is applied
        self._site_mark = ""

    def read_site(self) -> None:
        """Reads the site transform if it was changed."""
        mark = siting.mark(self._db.db)
        if mark != self._site_mark:
            self.site, self._site_mark = siting.read(self._db.db), mark

    @property
    def identity(self) -> str:
        """Of the transform that is applied; empty: there is none."""
        return "" if self.site is None else self.site.identity

    def removals(self) -> int:
        """How often entries were deleted."""
        return int(self._db.one("SELECT value FROM meta WHERE key = 'removals'"))

    def last_id(self) -> int:
        """The highest id; 0: there are no rows."""
        return int(self._db.one("SELECT max(id) FROM entries") or 0)

    def more_than(self, num: int, after: int) -> bool:
        """Whether there are more rows beyond an id."""
        found = "SELECT count(*) FROM (SELECT 1 FROM entries WHERE id > ? LIMIT ?)"
        return int(self._db.one(found, [after, num + 1])) > num

    def ids(self, first: int = 0, last: int = 2**63 - 1) -> IntArray:
        """(n,) int64, sorted, of those from first to last."""
        found = self._db.execute("SELECT id FROM entries WHERE id BETWEEN ? AND ? ORDER BY id", [first, last])
        return np.fromiter((number for (number,) in found), np.int64)

    def columns(self, after: int) -> Columns:
        """Of those beyond an id, by id."""
        query = "SELECT id, time, camera, track, pid FROM entries WHERE id > ? ORDER BY id"
        return _columns_of(self._db.execute(query, [after]))

    def vectors(self, after: int) -> Iterator[FloatArray]:
        """The embeddings of those beyond an id, by id, some thousand at a time."""
        found = self._db.execute("SELECT embedding, camera FROM entries WHERE id > ? ORDER BY id", [after])
        while part := found.fetchmany(READ_AT_ONCE):
            yield self._at_site(part)

    def of(self, ids: IntArray) -> FloatArray:
        """The embeddings of those that are there. ids: sorted."""
        query = "SELECT embedding, camera FROM entries WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
        parts = [np.zeros((0, self.dim), np.float32)]
        for start in range(0, len(ids), READ_AT_ONCE):
            found = self._db.execute(query, [json.dumps(ids[start : start + READ_AT_ONCE].tolist())]).fetchall()
            parts.append(self._at_site(found))
        return np.concatenate(parts)

    def _at_site(self, rows: Sequence[tuple[bytes, int]]) -> FloatArray:
        """rows: embeddings and codes of cameras."""
        data = b"".join(embedding for embedding, _ in rows)
        if len(data) != len(rows) * 4 * self.dim:
            raise GalleryError("an embedding is damaged; `resight gallery verify` says which")
        vectors = np.frombuffer(data, "<f4").reshape(len(rows), self.dim).astype(np.float32)
        if not np.isfinite(vectors).all():
            raise GalleryError("an embedding is not finite; `resight gallery verify` says which")
        if self.site is None or not rows:
            return vectors
        names = dict(self._db.execute("SELECT code, name FROM cameras"))
        return self.site.apply(vectors, [names[code] for _, code in rows])


class Stored:
    """Embeddings of rows in an order of their own, which are read when they are asked for."""

    def __init__(self, ids: IntArray, rows: Rows) -> None:
        self._ids, self._rows = ids, rows

    def __getitem__(self, rows: IntArray) -> FloatArray:
        asked = self._ids[rows]
        order = np.argsort(asked)
        read = self._rows.of(asked[order])
        if len(read) != len(asked):
            raise GalleryError("an entry that was searched is not there; `resight gallery verify` says what is wrong")
        found = np.empty_like(read)
        found[order] = read
        return found


def _columns_of(found: sqlite3.Cursor) -> Columns:
    """found: rows of id, time, camera, track and pid."""
    parts: list[Columns] = []
    tracks: dict[tuple[int, str], int] = {}
    while part := found.fetchmany(READ_AT_ONCE):
        ids, times, cameras, names, pids = zip(*part, strict=True)
        people = people_of_pids(np.array([pid or 0 for pid in pids], np.int64))
        for row, (camera, name, pid) in enumerate(zip(cameras, names, pids, strict=True)):
            if pid is None:
                people[row] = NOBODY if name is None else tracks.setdefault((camera, name), _of_track(camera, name))
        parts.append(
            Columns(
                np.array(ids, np.int64),
                np.array(times, np.float64),  # None becomes NaN
                np.array(cameras, np.uint16),
                people,
            )
        )
    return Columns.joined(parts)


def people_of_pids(pids: IntArray) -> IntArray:
    """What stands for each in every process, never NOBODY: a different number for each, spread over 64 bits as those
    of tracks are (the finalizer of MurmurHash3)."""
    mixed = pids.view(np.uint64) ^ np.uint64(0x9E3779B97F4A7C15)
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(factor)
    return (mixed ^ (mixed >> np.uint64(33))).view(np.int64)


def _of_track(camera: int, name: str) -> int:
    digest = hashlib.blake2b(f"{camera}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True) or 1
