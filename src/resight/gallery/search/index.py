"""Exact search: a first pass over int8 codes with a bounded error, then exact similarities of what is left.

The speed of a search is limited by how many bytes it reads, and codes are a quarter of the rows. Rows that the bound of
`blocks` cannot rule out are compared again, in float64: the result is that of a comparison with every row, ties by id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resight.core.cores import available_cores
from resight.core.records import FloatArray, IntArray
from resight.gallery.search.blocks import Block, Queries, Tail
from resight.gallery.search.columns import EVERY_ROW, NOBODY, Columns, Mask, Run, Selection, Zones
from resight.gallery.search.exact import Found, among_few, among_more, hits
from resight.gallery.search.first_pass import candidates

BLOCK_ROWS = 65_536
QUERIES_AT_ONCE = 64
FEW_TO_LOOK_AT = 16_384  # rows: one query is compared with so many in float32 sooner than with codes
FEW_ROWS = 2048  # that are all compared exactly with several queries
FEW_FOR_ONE = 256  # with one query


@dataclass(frozen=True, eq=False)
class People:
    """The people among some rows. codes: (p,) int64, sorted, unique, without NOBODY. alone: rows of NOBODY."""

    codes: IntArray
    alone: int

    def holds(self, codes: IntArray) -> npt.NDArray[np.bool_]:
        """(m,) bool: whether each of these codes (m,) is among them. In time by m, not by p."""
        if not len(self.codes):
            return np.zeros(len(codes), np.bool_)
        places = np.searchsorted(self.codes, codes)
        found: npt.NDArray[np.bool_] = self.codes[np.minimum(places, len(self.codes) - 1)] == codes
        return found

    def joined(self, people: IntArray) -> People:
        """These, and those of more rows: (n,) codes, NOBODY among them."""
        fresh = np.unique(people[people != NOBODY])
        fresh = fresh[~self.holds(fresh)]
        codes = np.insert(self.codes, np.searchsorted(self.codes, fresh), fresh)
        return People(codes, self.alone + int(np.count_nonzero(people == NOBODY)))


class Index:
    """An exact index over rows with columns. Threads may search it at once; whoever changes it needs it alone."""

    def __init__(self, dim: int, threads: int | None = None) -> None:
        self.dim = dim
        self._blocks: list[Block] = []
        self._tail = Tail(dim)
        self._everybody: People | None = None
        self._zones: Zones | None = None  # of the blocks
        self._threads = threads or available_cores()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="search")

    def __len__(self) -> int:
        return sum(map(len, self._blocks)) + len(self._tail)

    @property
    def nbytes(self) -> int:
        """The size of all arrays in bytes."""
        columns = [part.columns for part in self._parts()]
        own = [block.vectors.nbytes for block in self._blocks if isinstance(block.vectors, np.ndarray)]
        kept = sum(own) + sum(block.codes.nbytes for block in self._blocks) + self._tail.nbytes
        return kept + sum(c.ids.nbytes + c.times.nbytes + c.cameras.nbytes + c.people.nbytes for c in columns)

    def close(self) -> None:
        """Stops its threads."""
        self._pool.shutdown()

    def add(self, vectors: FloatArray, columns: Columns) -> None:
        """Adds rows. vectors: (n, dim) float32, finite."""
        if self._everybody is not None:
            self._everybody = self._everybody.joined(columns.people)
        for start in range(0, len(vectors), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            self._tail.append(vectors[part], columns.take(part))

    def add_block(self, vectors: FloatArray, columns: Columns) -> None:
        """Adds rows as a block, which owns the arrays from then on. Rows of one camera and time in one block let a
        filter skip the whole block."""
        if len(vectors):
            self.set_blocks([*self._blocks, Block.of(vectors, columns)])

    def set_blocks(self, blocks: Sequence[Block], *, with_tail: bool = True) -> None:
        """Replaces the blocks. with_tail: keeps the rows that are not in a block."""
        self._everybody = self._zones = None
        self._blocks = [block for block in blocks if len(block)]
        if not with_tail:
            self._tail = Tail(self.dim)

    @property
    def tail_ids(self) -> IntArray:
        """(n,) int64, of the rows that are in no block."""
        return self._tail.columns.ids

    def remove_from_tail(self, ids: IntArray) -> None:
        """Removes rows by id from those that are in no block. No byte of them stays."""
        keep = ~np.isin(self._tail.columns.ids, ids)
        if not keep.all():
            tail = Tail(self.dim)
            tail.append(self._tail.vectors[keep], self._tail.columns.take(keep))
            self._tail, self._everybody = tail, None

    def rows(self) -> Iterator[tuple[IntArray, FloatArray]]:
        """ids (n,) and embeddings (n, dim) of all rows, a block at a time."""
        for part in self._parts():
            if len(part):
                yield part.columns.ids, part.vectors[np.arange(len(part))]

    def people(self, wanted: Selection = EVERY_ROW) -> People:
        """The people among the rows that match the selection."""
        if wanted is EVERY_ROW and self._everybody is not None:
            return self._everybody
        there = []
        parts = self._parts()
        for part, start, stop, whole in self._runs(wanted):
            columns = parts[part].columns.take(slice(start, stop))
            mask = None if whole else wanted.mask(columns)
            there.append(columns.people if mask is None else columns.people[mask])
        codes = np.sort(np.concatenate([np.zeros(0, np.int64), *there]))  # faster than numpy.unique
        alone = int(np.count_nonzero(codes == NOBODY))
        first = np.ones(len(codes), np.bool_)
        first[1:] = codes[1:] != codes[:-1]
        codes = codes[first]
        found = People(codes[codes != NOBODY], alone)
        if wanted is EVERY_ROW:
            self._everybody = found
        return found

    def search(
        self,
        queries: FloatArray,
        top_k: int | None = 20,
        wanted: Selection = EVERY_ROW,
        min_similarity: float | None = None,
    ) -> list[Found]:
        """The `top_k` nearest rows (None: all) that match the selection, of `min_similarity` or more.

        queries: (q, dim) float32, finite. Similarity is the dot product in float64, which at unit length is the cosine;
        ties by id.
        """
        found: list[Found] = []
        top_k = None if top_k is None else min(top_k, len(self))
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            found += self._search(Queries(queries[start : start + QUERIES_AT_ONCE]), top_k, wanted, min_similarity)
        return found

    def _runs(self, wanted: Selection) -> list[Run]:
        """Where rows may match."""
        if wanted is EVERY_ROW:
            return [Run(part, 0, len(each), True) for part, each in enumerate(self._parts()) if len(each)]
        tail = [Run(len(self._blocks), 0, len(self._tail), False)] if len(self._tail) else []
        if not self._blocks:
            return tail
        if self._zones is None:
            self._zones = Zones.joined([block.zones for block in self._blocks])
        return self._zones.runs(wanted) + tail

    def _parts(self) -> list[Block | Tail]:
        return [*self._blocks, self._tail]

    def _search(
        self, queries: Queries, top_k: int | None, wanted: Selection, min_similarity: float | None
    ) -> list[Found]:
        parts, runs = self._parts(), self._runs(wanted)
        if len(runs) <= 1 and (found := self._of_few(runs, queries, top_k, wanted, min_similarity)) is not None:
            return found
        left = candidates(parts, runs, queries, top_k, wanted, min_similarity, self._pool, self._threads)
        return hits(parts, queries, left, top_k, min_similarity)

    def _of_few(
        self, runs: list[Run], queries: Queries, top_k: int | None, wanted: Selection, min_similarity: float | None
    ) -> list[Found] | None:
        """The hits among few rows that stand together in memory, without codes; None if it is not so."""
        if not runs:
            return [Found(np.zeros(0, np.int64), np.zeros(0)) for _ in queries.rows]
        number, start, stop, whole = runs[0]
        part, one = self._parts()[number], len(queries.rows) == 1
        vectors = part.vectors
        if not isinstance(vectors, np.ndarray) or stop - start > FEW_TO_LOOK_AT:
            return None
        ids, vectors = part.columns.ids[start:stop], vectors[start:stop]
        mask = None if whole else wanted.mask(part.columns.take(slice(start, stop)))
        if mask is not None:
            num = int(np.count_nonzero(mask))
            if num > FEW_ROWS and not one:
                return None
            rows = _rows_of(mask, num)
            ids, vectors = ids[rows], vectors[rows]
        if one and top_k and len(ids) > max(FEW_FOR_ONE, top_k):
            return [among_more(ids, vectors, queries, top_k, part.longest, min_similarity)]
        if not one and len(ids) > FEW_ROWS:
            return None
        return among_few(ids, vectors, queries, top_k, min_similarity)


def _rows_of(mask: Mask, num: int) -> IntArray | slice:
    """Those that are true, `num` of them; as a slice if they stand together."""
    first = int(mask.argmax()) if num else 0
    together = first + num <= len(mask) and bool(mask[first : first + num].all())
    return slice(first, first + num) if together else np.flatnonzero(mask)
