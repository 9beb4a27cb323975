"""Exact search: a first pass over int8 codes with a bounded error, then exact similarities of what is left.

The speed of a search is limited by how many bytes it reads, and codes are a quarter of the rows. Rows that the bound of
`blocks` cannot rule out are compared again, in float64: the result is that of a comparison with every row, ties by id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.cores import available_cores
from resight.core.records import FloatArray, IntArray
from resight.gallery.search.blocks import Block, Queries, Tail
from resight.gallery.search.columns import EVERY_ROW, NOBODY, Columns, Doubles, Selection

BLOCK_ROWS = 65_536
QUERIES_AT_ONCE = 64
LARGEST_GROUP = 128  # rows that are represented by their best one while the bound on the k-th best is computed
PAIRS_AT_ONCE = 65_536  # exact similarities computed at a time


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


@dataclass(frozen=True, eq=False)
class Found:
    """The hits of one query, highest similarity first. ids: (k,) int64. similarities: (k,) float64."""

    ids: IntArray
    similarities: Doubles


class Index:
    """An exact index over rows with columns. Threads may search it at once; whoever changes it needs it alone."""

    def __init__(self, dim: int, threads: int | None = None) -> None:
        self.dim = dim
        self._blocks: list[Block] = []
        self._tail = Tail(dim)
        self._everybody: People | None = None
        self._pool = ThreadPoolExecutor(threads or available_cores(), thread_name_prefix="search")

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
        self._everybody = None
        self._blocks = list(blocks)
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
        for part in self._parts():
            if part.may_match(wanted):
                mask = wanted.mask(part.columns)
                there.append(part.columns.people if mask is None else part.columns.people[mask])
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

    def _parts(self) -> list[Block | Tail]:
        return [*self._blocks, self._tail]

    def _search(
        self, queries: Queries, top_k: int | None, wanted: Selection, min_similarity: float | None
    ) -> list[Found]:
        parts = [part for part in self._parts() if part.may_match(wanted)]
        if len(parts) == 1 and isinstance(parts[0], Tail):
            return _among_few(parts[0], queries, top_k, wanted, min_similarity)
        race = _Race(len(queries.rows), top_k, min_similarity)
        if len(parts) == 1:
            candidates = [_candidates(parts[0], queries, wanted, race)]
        else:
            candidates = list(self._pool.map(lambda part: _candidates(part, queries, wanted, race), parts))
        place = np.repeat(np.arange(len(parts)), [len(rows) for rows, _, _ in candidates])
        rows, query, highest = (np.concatenate(each) for each in zip(_NO_CANDIDATES, *candidates, strict=True))
        left = highest >= race.least[query]  # the bound is the final one now
        found = _exact(parts, queries, place[left], rows[left], query[left], highest[left], top_k)
        return _ranked(len(queries.rows), *found, top_k, min_similarity)


class _Race:
    """The lowest similarity with which a row can still be among the hits. It rises as blocks are searched."""

    def __init__(self, num: int, top_k: int | None, min_similarity: float | None) -> None:
        self.top_k = top_k
        self.least: Doubles = np.full(num, -np.inf if min_similarity is None else min_similarity)
        self._best = np.full((top_k or 0, num), -np.inf)
        self._lock = Lock()

    def tell(self, lower: Doubles) -> None:
        """lower: (g, q), lower bounds on the similarities of g different rows."""
        if not self.top_k:
            return
        with self._lock:
            joined = np.concatenate([self._best, lower])
            self._best = np.partition(joined, len(joined) - self.top_k, axis=0)[-self.top_k :]
            self.least = np.maximum(self.least, self._best[0])  # the k-th largest of them


def _candidates(
    part: Block | Tail, queries: Queries, wanted: Selection, race: _Race
) -> tuple[IntArray, IntArray, Doubles]:
    """(c,) each: the row, the query, and an upper bound on their similarity."""
    mask = wanted.mask(part.columns)
    rows = None if mask is None or mask.all() else np.flatnonzero(mask)
    scores = _scores(part, queries, rows)  # (m, q)
    if not len(scores):
        return _NO_CANDIDATES
    slope, bound = part.line(queries)
    if race.top_k:
        size = max(1, min(LARGEST_GROUP, len(scores) // (4 * race.top_k)))
        groups = len(scores) // size
        best = scores[: groups * size].reshape(size, groups, -1).max(axis=0)  # (g, q)
        race.tell(slope * best - bound)
    least = (race.least - bound) / slope
    if np.issubdtype(scores.dtype, np.integer):
        limits = np.iinfo(np.int32)
        cut = np.clip(np.floor(least) - 1, limits.min, limits.max).astype(np.int32)
    else:
        cut = np.nextafter(least.astype(np.float32), np.float32(-np.inf))
    if len(cut) == 1:
        row = np.flatnonzero(scores[:, 0] >= cut[0])
        query = np.zeros(len(row), np.int64)
    else:
        row, query = np.nonzero(scores >= cut)
    highest = slope[query] * scores[row, query] + bound[query]
    return (row if rows is None else rows[row]), query, highest


def _scores(part: Block | Tail, queries: Queries, rows: IntArray | None) -> npt.NDArray[Any]:
    """(m, q), of all rows or of those given, which are in order."""
    if rows is None:
        return part.scores(queries, slice(None))
    if not len(rows):
        return part.scores(queries, rows)
    first, last = int(rows[0]), int(rows[-1]) + 1
    if 2 * len(rows) <= last - first:
        return part.scores(queries, rows)
    scores = part.scores(queries, slice(first, last))  # reading all is faster than gathering most
    return scores if last - first == len(rows) else scores[rows - first]


_NO_CANDIDATES = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)


def _among_few(
    tail: Tail, queries: Queries, top_k: int | None, wanted: Selection, min_similarity: float | None
) -> list[Found]:
    """The hits where there are no codes: one float32 product, and then what its error leaves open, exactly."""
    mask = wanted.mask(tail.columns)
    ids, vectors = tail.columns.ids, tail.vectors
    if mask is not None:
        ids, vectors = ids[mask], vectors[mask]
    found: list[Found] = []
    for query, scores, bound in zip(
        queries.exact, queries.rows @ vectors.T, tail.line(queries)[1].tolist(), strict=True
    ):
        least = -np.inf if min_similarity is None else min_similarity - bound
        if top_k is not None and 0 < top_k < len(ids):
            least = max(least, float(np.partition(scores, -top_k)[-top_k]) - 2 * bound)
        rows = np.flatnonzero(scores >= np.nextafter(np.float32(least), np.float32(-np.inf)))
        similarities = np.einsum("ij,j->i", vectors[rows].astype(np.float64), query)
        order = np.lexsort((ids[rows], -similarities))
        if min_similarity is not None:
            order = order[similarities[order] >= min_similarity]
        order = order[:top_k]
        found.append(Found(ids[rows][order], similarities[order]))
    return found


def _exact(
    parts: Sequence[Block | Tail],
    queries: Queries,
    place: IntArray,
    rows: IntArray,
    query: IntArray,
    highest: Doubles,
    top_k: int | None,
) -> tuple[IntArray, Doubles, IntArray]:
    """The query, similarity and id of those candidates that can be hits. Candidates (c,): their part, row and query,
    and the bound on their similarity; the most promising ones are read first, and rule out others."""
    if top_k is None or not len(rows):
        return (query, *_compared(parts, queries, place, rows, query))
    order = np.lexsort((-highest, query))
    place, rows, query, highest = place[order], rows[order], query[order], highest[order]
    starts = np.searchsorted(query, np.arange(len(queries.rows)))
    first = np.arange(len(query)) - starts[query] < top_k
    chosen = query[first]
    similarities, ids = _compared(parts, queries, place[first], rows[first], chosen)
    least = np.full(len(queries.rows), np.inf)
    np.minimum.at(least, chosen, similarities)
    more = ~first & (highest >= least[query])
    if not more.any():
        return chosen, similarities, ids
    others = _compared(parts, queries, place[more], rows[more], query[more])
    return (
        np.concatenate([chosen, query[more]]),
        np.concatenate([similarities, others[0]]),
        np.concatenate([ids, others[1]]),
    )


def _compared(
    parts: Sequence[Block | Tail], queries: Queries, place: IntArray, rows: IntArray, query: IntArray
) -> tuple[Doubles, IntArray]:
    """(c,) each: the exact similarity and the id."""
    similarities, ids = np.empty(len(rows)), np.empty(len(rows), np.int64)
    for number in np.flatnonzero(np.bincount(place)).tolist():
        inside = np.flatnonzero(place == number)
        for start in range(0, len(inside), PAIRS_AT_ONCE):
            pairs = inside[start : start + PAIRS_AT_ONCE]
            ids[pairs] = parts[number].columns.ids[rows[pairs]]
            if len(queries.rows) == 1:
                vectors = parts[number].vectors[rows[pairs]].astype(np.float64)
            else:  # of several queries' candidates each is read once
                once, back = np.unique(rows[pairs], return_inverse=True)
                vectors = parts[number].vectors[once].astype(np.float64)[back]
            # einsum sums each row alike, wherever it stands: equal rows have equal similarities.
            similarities[pairs] = np.einsum("ij,ij->i", vectors, queries.exact[query[pairs]])
    return similarities, ids


def _ranked(
    num: int, which: IntArray, similarities: Doubles, ids: IntArray, top_k: int | None, min_similarity: float | None
) -> list[Found]:
    if min_similarity is not None:
        enough = similarities >= min_similarity
        which, similarities, ids = which[enough], similarities[enough], ids[enough]
    order = np.lexsort((ids, -similarities, which))
    which, similarities, ids = which[order], similarities[order], ids[order]
    first, last = np.searchsorted(which, np.arange(num)), np.searchsorted(which, np.arange(num), side="right")
    if top_k is not None:
        last = np.minimum(last, first + top_k)
    return [Found(ids[a:b], similarities[a:b]) for a, b in zip(first, last, strict=True)]
