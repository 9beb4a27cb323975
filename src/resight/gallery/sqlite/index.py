"""The in-memory index of a SQLite file: read once, then updated with what this and other processes write."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence

import numpy as np

from resight.core.errors import GalleryError
from resight.core.records import FloatArray, IntArray
from resight.gallery.people import root_of
from resight.gallery.search.approximate import Approximation, Graph
from resight.gallery.search.columns import EVERY_ROW, Columns, Selection
from resight.gallery.search.index import BLOCK_ROWS, Found, Index
from resight.gallery.sqlite import siting
from resight.gallery.sqlite.conditions import linked
from resight.site.transform import SiteTransform

READ_AT_ONCE = 4096
FACTS = "SELECT id, time, camera, track, pid FROM entries"


class LiveIndex:
    """The rows of the database in memory. Call its methods in a read transaction: it is then of that moment."""

    def __init__(self, db: sqlite3.Connection, dim: int) -> None:
        self._db = db
        self._dim = dim
        self._codes: dict[tuple[str, ...], int] = {}  # the index's code of each person
        self._index: Index | None = None
        self._graph: Graph | None = None
        self._seen: tuple[int, int] = (-1, -1)
        self._removals = self._last_id = 0
        self.site: SiteTransform | None = None  # the transform that was applied to the rows
        self._site_mark = ""

    def sync(self) -> Index:
        """The index, up to date. Raises GalleryError if an embedding in the file is damaged."""
        seen = (self._db.execute("PRAGMA data_version").fetchone()[0], self._db.total_changes)
        if self._index is None or seen != self._seen:
            try:
                self._sync_site()
                removals = self._num_removals()
                if self._index is None:
                    self._index = self._load()
                else:
                    self._catch_up(self._index, removals)
                self._removals = removals
                self._last_id = self._db.execute("SELECT max(id) FROM entries").fetchone()[0] or self._last_id
            except BaseException:
                self.close()  # a partial update is discarded
                raise
            self._seen = seen
        return self._index

    def forget(self, ids: Sequence[int]) -> None:
        """Takes entries out that this connection has just deleted in one step, or brings the index up to date. What is
        not in memory is not read for it."""
        if self._index is None:
            return
        removals = self._num_removals()
        if ids and removals == self._removals + 1 and siting.mark(self._db) == self._site_mark:
            self._index.remove(np.array(ids, np.int64))
            self._graph, self._removals = None, removals
        else:
            self.sync()

    def current_site(self) -> SiteTransform | None:
        """The site transform in force. Raises GalleryError where it is damaged."""
        self._sync_site()
        return self.site

    def _num_removals(self) -> int:
        return int(self._db.execute("SELECT value FROM meta WHERE key = 'removals'").fetchone()[0])

    def _sync_site(self) -> None:
        mark = siting.mark(self._db)
        if mark == self._site_mark:
            return
        site = siting.read(self._db)
        if (site and site.identity) != (self.site and self.site.identity):
            self.close()  # every row is another one
        self.site, self._site_mark = site, mark

    def search(
        self, queries: FloatArray, top_k: int | None, wanted: Selection, min_similarity: float | None
    ) -> tuple[list[Found], float]:
        """The hits of each query, and the recall of such searches: 1 if every row was compared."""
        index = self.sync()
        if self._graph is None or wanted is not EVERY_ROW or top_k is None or top_k > self._graph.found.top_k:
            return index.search(queries, top_k, wanted, min_similarity), 1.0
        return [
            self._again(query, ids, min_similarity)
            for query, ids in zip(queries, self._graph.search(queries, top_k), strict=True)
        ], self._graph.found.recall

    def approximate(self, top_k: int, recall: float) -> Approximation:
        """Builds an HNSW index, which unfiltered searches use until a row is removed.

        Raises GalleryError if there are no rows, MissingExtra if usearch is not installed.
        """
        index = self.sync()
        if not len(index):
            raise GalleryError("there is nothing in the gallery to search among")
        self._graph = Graph(index, top_k, recall)
        return self._graph.found

    def _again(self, query: FloatArray, ids: IntArray, min_similarity: float | None) -> Found:
        """What the HNSW index found, compared exactly and in order."""
        asked = "SELECT id, embedding, camera FROM entries WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
        found = self._db.execute(asked, [json.dumps(ids.tolist())]).fetchall()
        there = np.array([number for number, _, _ in found], np.int64)
        vectors = np.frombuffer(b"".join(data for _, data, _ in found), "<f4").reshape(len(found), self._dim)
        vectors = self._at_site(vectors, [camera for _, _, camera in found])
        similarities = np.einsum("ij,j->i", vectors.astype(np.float64), query.astype(np.float64))
        order = np.argsort(-similarities, kind="stable")
        if min_similarity is not None:
            order = order[similarities[order] >= min_similarity]
        return Found(there[order], similarities[order])

    def num_people(self, wanted: Selection) -> int:
        """How many people the rows that match the selection show, with links applied."""
        found = self.sync().people(wanted)
        links, roots = linked(self._db), {}
        for pid in links:
            code = self._codes.get(("pid", str(pid)))
            if code is not None:
                roots[code] = self._code("pid", str(root_of(pid, links)))
        if not roots:
            return len(found.codes) + found.alone
        return len({roots.get(code, code) for code in found.codes.tolist()}) + found.alone

    def close(self) -> None:
        """Discards the rows; the next `sync` reads the file again."""
        if self._index is not None:
            self._index.close()
        self._index = self._graph = None
        self._codes = {}
        self._last_id = 0

    def _load(self) -> Index:
        """All rows, ordered by camera and time."""
        columns = self._columns(self._db.execute(f"{FACTS} ORDER BY id"))
        order = np.lexsort((columns.times, columns.cameras))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        starts = range(0, len(order), BLOCK_ROWS)
        blocks = [np.empty((min(BLOCK_ROWS, len(order) - start), self._dim), np.float32) for start in starts]
        done = 0
        for vectors in self._vectors(0):
            rows = place[done : done + len(vectors)]
            for number in np.unique(rows // BLOCK_ROWS):
                inside = rows // BLOCK_ROWS == number
                blocks[number][rows[inside] % BLOCK_ROWS] = vectors[inside]
            done += len(vectors)
        index = Index(self._dim)
        for start, block in zip(starts, blocks, strict=True):
            index.add_block(block, columns.take(order[start : start + BLOCK_ROWS]))
        return index

    def _catch_up(self, index: Index, removals: int) -> None:
        if removals != self._removals:
            self._graph = None  # it cannot remove rows
            there = np.fromiter((number for (number,) in self._db.execute("SELECT id FROM entries")), np.int64)
            index.remove(np.setdiff1d(index.ids(), there))
        new = self._columns(self._db.execute(f"{FACTS} WHERE id > ? ORDER BY id", [self._last_id]))
        done = 0
        for vectors in self._vectors(self._last_id):
            columns = new.take(slice(done, done + len(vectors)))
            index.add(vectors, columns)
            if self._graph is not None:
                self._graph.add([(columns.ids, vectors)])
            done += len(vectors)

    def _columns(self, found: sqlite3.Cursor) -> Columns:
        parts: list[Columns] = []
        while part := found.fetchmany(READ_AT_ONCE):
            ids, times, cameras, tracks, pids = zip(*part, strict=True)
            people = [self._person(*row) for row in zip(cameras, tracks, pids, strict=True)]
            parts.append(
                Columns(
                    np.array(ids, np.int64),
                    np.array(times, np.float64),  # None becomes NaN
                    np.array(cameras, np.uint16),
                    np.array(people, np.int32),
                )
            )
        return Columns.joined(parts)

    def _vectors(self, after: int) -> Iterator[FloatArray]:
        """(n, dim) float32, by id, at the site."""
        found = self._db.execute("SELECT embedding, camera FROM entries WHERE id > ? ORDER BY id", [after])
        while part := found.fetchmany(READ_AT_ONCE):
            data = b"".join(row[0] for row in part)
            if len(data) != len(part) * 4 * self._dim:
                raise GalleryError("an embedding is damaged; `resight gallery verify` says which")
            vectors = np.frombuffer(data, "<f4").reshape(len(part), self._dim).astype(np.float32)
            if not np.isfinite(vectors).all():
                raise GalleryError("an embedding is not finite; `resight gallery verify` says which")
            yield self._at_site(vectors, [camera for _, camera in part])

    def _at_site(self, vectors: FloatArray, cameras: Sequence[int]) -> FloatArray:
        """The embeddings as they are compared. cameras: their codes."""
        if self.site is None:
            return vectors
        names = dict(self._db.execute("SELECT code, name FROM cameras"))
        return self.site.apply(vectors, [names[code] for code in cameras])

    def _person(self, camera: int, track: str | None, pid: int | None) -> int:
        if pid is not None:
            return self._code("pid", str(pid))
        if track is not None:
            return self._code("track", str(camera), track)
        return -1

    def _code(self, *key: str) -> int:
        return self._codes.setdefault(key, len(self._codes))
