"""The index of a SQLite file: codes that are mapped, and rows that were added since, which are read.

Where the file of codes cannot be used or written, they are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from resight.core.errors import GalleryError
from resight.core.records import FloatArray, IntArray
from resight.gallery.people import LinkTable
from resight.gallery.search.approximate import Approximation, Graph
from resight.gallery.search.columns import EVERY_ROW, Selection
from resight.gallery.search.exact import Found, ranked, similarities_of
from resight.gallery.search.index import Index
from resight.gallery.sqlite.connection import Connection
from resight.gallery.sqlite.index.codes import Codes, Unfit
from resight.gallery.sqlite.index.kept import OUT_OF_DATE, TAIL_ROWS, KeptCodes
from resight.gallery.sqlite.index.reading import Rows, Stored, people_of_pids
from resight.gallery.sqlite.linking import Linked
from resight.site.transform import SiteTransform

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Merged:
    """Linked people. people: (m,) int64, as the index has them; roots: (m,) int64, equal of those that are one."""

    table: LinkTable
    people: IntArray
    roots: IntArray

    @classmethod
    def of(cls, table: LinkTable) -> Merged:
        """Of all links."""
        pids = np.array([*{*table, *table.values()}], np.int64)
        whose = np.array([table.roots.get(pid, pid) for pid in pids.tolist()], np.int64)
        return cls(table, people_of_pids(pids), np.unique(whose, return_inverse=True)[1])


class LiveIndex:
    """The rows of the database as they are searched. kept: the file of codes."""

    def __init__(self, db: Connection, dim: int, linked: Linked) -> None:
        self._db, self._linked = db, linked
        self._merged = Merged.of(LinkTable())
        self._rows = Rows(db, dim)
        self.kept = KeptCodes(db, self._rows)
        self._index: Index | None = None
        self._codes: Codes | None = None  # of which the index's blocks are
        self._graph: Graph | None = None
        self._seen = (-1, -1)
        self._token = self._site = ""  # of the codes, and of the site transform that was applied
        self._removals = self._last_id = 0

    @property
    def site(self) -> str:
        """The identity of the site transform that is applied; empty: there is none."""
        return self._rows.identity

    def asked(self, ask: Callable[[Index], T]) -> T:
        """What `ask` says of the index, in a read transaction and up to date.

        Raises GalleryError if an embedding in the file is damaged, and what `ask` raises.
        """
        for mapped in (True, True, False):
            self.kept.prepare()
            with self._db.reading():
                index = self._sync(mapped)
                if index is not None:
                    try:
                        answer = ask(index)
                    except GalleryError:
                        if self._still():
                            raise
                    else:
                        if self._still():
                            return answer
                self.close()  # rows were taken out of the codes meanwhile
        raise GalleryError(f"{self._db.path}: it is changed faster than it can be searched; try again")

    def search(
        self, index: Index, queries: FloatArray, top_k: int | None, wanted: Selection, min_similarity: float | None
    ) -> tuple[list[Found], float]:
        """The hits of each query, and the recall of such searches: 1 if every row was compared."""
        if self._graph is None or wanted is not EVERY_ROW or top_k is None or top_k > self._graph.found.top_k:
            return index.search(queries, top_k, wanted, min_similarity), 1.0
        return [
            self._again(query, ids, min_similarity)
            for query, ids in zip(queries, self._graph.search(queries, top_k), strict=True)
        ], self._graph.found.recall

    def approximate(self, index: Index, top_k: int, recall: float) -> Approximation:
        """Builds an HNSW index, which unfiltered searches use until a row is removed.

        Raises GalleryError if there are no rows, MissingExtra if usearch is not installed.
        """
        if not len(index):
            raise GalleryError("there is nothing in the gallery to search among")
        self._graph = Graph(index, top_k, recall)
        return self._graph.found

    def num_people(self, index: Index, wanted: Selection) -> int:
        """How many people the rows that match the selection show, with links applied."""
        found, table = index.people(wanted), self._linked.table()
        if table is not self._merged.table:
            self._merged = Merged.of(table)
        there = found.holds(self._merged.people)
        merged = np.count_nonzero(np.bincount(self._merged.roots[there]))
        return len(found.codes) - int(np.count_nonzero(there)) + int(merged) + found.alone

    def current_site(self) -> SiteTransform | None:
        """The site transform in force. In a read transaction. Raises GalleryError where it is damaged."""
        self._rows.read_site()
        return self._rows.site

    def forget(self, ids: Sequence[int]) -> None:
        """Takes entries out of the memory that this connection has just deleted. In a read transaction."""
        if self._index is None:
            return
        self._index.remove_from_tail(np.array(ids, np.int64))
        gone = self._codes is not None and self._codes.path is not None and not self.kept.path.exists()
        if gone or self._sync(mapped=True) is None:
            self.close()

    def close(self) -> None:
        """Discards the rows; they are read again when they are asked for."""
        if self._index is not None:
            self._index.close()
        if self._codes is not None:
            self._codes.close()
        self._index = self._codes = self._graph = None
        self._last_id = 0

    def _still(self) -> bool:
        """Whether the codes are those that were taken at first."""
        return self._codes is None or self._codes.still()

    def _sync(self, mapped: bool) -> Index | None:
        """The index up to date, in a read transaction; None if the codes are about to be replaced. mapped: or else,
        without their file."""
        seen = self._db.state()
        if self._index is None or seen != self._seen:
            try:
                self._rows.read_site()
                token, site = self.kept.token(), self._rows.identity
                if site != self._site or (token != self._token and token.startswith(OUT_OF_DATE)):
                    self.close()  # every row is another one, or some are missing
                self._token, self._site = token, site
                if not self._adopt(mapped):
                    return None
            except BaseException:
                self.close()  # a partial update is discarded
                raise
            self._seen = seen
        return self._index

    def _adopt(self, mapped: bool) -> bool:
        """Brings blocks and tail up to date, and says whether that was possible."""
        index = self._index = self._index or Index(self._rows.dim)
        removals = self._rows.removals()
        codes = self.kept.fitting() if mapped else None
        if codes is None:
            if self._codes is not None and self._codes.path is not None:
                self._use(index, None)  # they are no longer in force
        elif self._codes is not None and self._codes.token == codes.token:
            codes.close()
        else:
            try:
                self._use(index, codes)
            except Unfit:
                codes.close()
                self.kept.doubt()
                return not self._db.can_write and self._adopt(mapped=False)
        if removals != self._removals:
            self._graph = None  # it cannot remove rows
            self._remove_gone(index, removals)
            self._removals = removals
        if self._codes is None and self._rows.more_than(TAIL_ROWS, 0):
            if mapped and self._db.can_write and self.kept.path.exists():
                return False  # of a moment before or after this one
            self._use(index, self.kept.built(None))
        self._read_tail(index)
        return True

    def _use(self, index: Index, codes: Codes | None) -> None:
        """Takes the blocks from these codes. Raises Unfit if they are damaged."""
        blocks = [] if codes is None else codes.blocks(lambda ids: Stored(ids, self._rows))
        last = 0 if codes is None else codes.last_id
        # What the former codes had beyond these is in no tail.
        with_tail = codes is not None and (self._codes is None or self._codes.last_id <= last)
        if self._codes is not None and self._codes is not codes:
            self._codes.close()
        index.set_blocks(blocks, with_tail=with_tail)
        index.remove_from_tail(index.tail_ids[index.tail_ids <= last])
        self._last_id = max(self._last_id, last) if with_tail else last
        self._codes = codes

    def _remove_gone(self, index: Index, removals: int) -> None:
        """Removes what is no longer in the gallery from the tail, and from codes in memory."""
        if self._codes is not None and self._codes.path is None:
            self._codes.remove(np.setdiff1d(self._codes.ids(), self._rows.ids()), removals)
            self._codes.removals = removals
            self._use(index, self._codes)
        if len(index.tail_ids):
            there = self._rows.ids(first=int(index.tail_ids.min()))
            index.remove_from_tail(np.setdiff1d(index.tail_ids, there))

    def _read_tail(self, index: Index) -> None:
        new = self._rows.columns(self._last_id)
        done = 0
        for vectors in self._rows.vectors(self._last_id):
            columns = new.take(slice(done, done + len(vectors)))
            index.add(vectors, columns)
            if self._graph is not None:
                self._graph.add([(columns.ids, vectors)])
            done += len(vectors)
        if done:
            self._last_id = int(new.ids[-1])

    def _again(self, query: FloatArray, ids: IntArray, min_similarity: float | None) -> Found:
        """What the HNSW index found, compared exactly and in order."""
        there = np.sort(ids)
        similarities = similarities_of(self._rows.of(there), query[None])[:, 0]
        return ranked(there, similarities, None, min_similarity)
