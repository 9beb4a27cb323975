"""Exact search in memory: a first pass over int8 codes with a bounded error, then exact similarities of what is left.

The speed of a search is limited by how many bytes it reads. Each block keeps its rows a second time as int8, a quarter
of the size. For a row x = mean + scale * code + e and a query q = step * Q + f,

    x.q  =  mean.q + scale * step * (code.Q) + scale * code.f + e.q,

and the last two are at most reach * |f| and slack * |q|, where reach and slack are the largest |scale * code| and |e|
of the block. Rows that this bound cannot rule out are compared again, in float64: the result is that of a comparison
with every row, ties by id.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numkong
import numpy as np
import numpy.typing as npt

from resight.core.cores import available_cores
from resight.core.records import FloatArray, IntArray
from resight.gallery.search.columns import EVERY_ROW, Columns, Doubles, Selection

BLOCK_ROWS = 65_536
QUERIES_AT_ONCE = 64
FEW_ROWS = 4096  # of a block that is made anew when a row is removed: the mean of few says something of each
LARGEST_GROUP = 128  # rows that are represented by their best one while the bound on the k-th best is computed
PAIRS_AT_ONCE = 65_536  # exact similarities computed at a time


@dataclass(frozen=True, eq=False)
class People:
    """The people among some rows. codes: (p,) int64, sorted, unique. alone: rows with neither pid nor track."""

    codes: IntArray
    alone: int


@dataclass(frozen=True, eq=False)
class Found:
    """The hits of one query, highest similarity first. ids: (k,) int64. similarities: (k,) float64."""

    ids: IntArray
    similarities: Doubles


class Block:
    """Rows with their int8 codes."""

    def __init__(self, vectors: FloatArray, columns: Columns) -> None:
        self.vectors = vectors
        self.columns = columns
        self.made_of = len(vectors)
        self.mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        largest = max((float(np.abs(part).max()) for part in self._residuals()), default=0.0)
        self.scale = largest / 127 or 1.0
        self.codes = np.empty(vectors.shape, np.int8)
        slack = reach = 0.0
        for start, residual in zip(range(0, len(vectors), 8192), self._residuals(), strict=True):
            code = np.rint(residual * np.float32(1 / self.scale)).clip(-127, 127)
            self.codes[start : start + 8192] = code
            near = code.astype(np.float64) * self.scale
            reach = max(reach, _longest(near))
            slack = max(slack, _longest(residual.astype(np.float64) - near))
        # The residuals above were rounded to float32 once: by less than this of a row's length.
        rounding = 2.0**-22 * max((_longest(part) for part in _parts(vectors)), default=0.0)
        self.slack, self.reach = slack + rounding, reach
        self.has_camera = np.bincount(columns.cameras, minlength=1).astype(np.bool_)
        known = columns.times[~np.isnan(columns.times)]
        self.first, self.last = (float(known.min()), float(known.max())) if len(known) else (np.inf, -np.inf)

    def __len__(self) -> int:
        return len(self.vectors)

    def remove(self, rows: IntArray) -> None:
        """Removes rows in place: the last ones take their places, and zeros those of the last. The bounds stay as they
        are, which hold for fewer rows too."""
        num = len(self) - len(rows)
        order = np.arange(len(self))
        moved = np.setdiff1d(order[num:], rows)
        holes = rows[rows < num]
        order[holes] = moved
        for array in (self.vectors, self.codes):
            array[holes] = array[moved]
            array[num:] = 0
        self.vectors, self.codes = self.vectors[:num], self.codes[:num]
        self.columns = self.columns.take(order[:num])

    def may_match(self, wanted: Selection) -> bool:
        """Whether any row can match the selection, by the block's cameras and times."""
        if wanted.cameras is not None:
            known = wanted.cameras[wanted.cameras < len(self.has_camera)]
            if not self.has_camera[known].any():
                return False
        return not (
            (wanted.after is not None and self.last < wanted.after)
            or (wanted.before is not None and self.first >= wanted.before)
        )

    def scores(self, queries: _Queries, rows: IntArray | None) -> npt.NDArray[np.int32]:
        """(m, q) int32, code.Q, of all rows or of those given."""
        codes = self.codes if rows is None else self.codes[rows]
        return np.asarray(numkong.dots_packed(codes, queries.packed))

    def line(self, queries: _Queries) -> tuple[Doubles, Doubles, Doubles]:
        """offset, slope and bound, each (q,): an exact similarity is within `bound` of offset + slope * score."""
        offset = queries.exact @ self.mean.astype(np.float64)
        bound = self.slack * queries.lengths + self.reach * queries.slack
        return offset, self.scale * queries.step, bound * (1 + 1e-9) + 1e-12

    def _residuals(self) -> Iterator[FloatArray]:
        for part in _parts(self.vectors):
            yield part - self.mean


class Tail:
    """The newest rows, not yet a block: kept and compared as float32 only."""

    def __init__(self, dim: int) -> None:
        self._rows = np.empty((256, dim), np.float32)
        self.columns = Columns.joined([])
        self.longest = 0.0

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def vectors(self) -> FloatArray:
        """(n, dim) float32."""
        return self._rows[: len(self)]

    def append(self, vectors: FloatArray, columns: Columns) -> None:
        """Appends rows; the capacity doubles when it is used up."""
        num, more = len(self), len(vectors)
        if num + more > len(self._rows):
            grown = np.empty((max(num + more, 2 * len(self._rows)), self._rows.shape[1]), np.float32)
            grown[:num] = self._rows[:num]
            self._rows = grown
        self._rows[num : num + more] = vectors
        self.columns = Columns.joined([self.columns, columns])
        self.longest = max(self.longest, _longest(vectors))

    def may_match(self, wanted: Selection) -> bool:
        """Whether there are any rows."""
        return len(self) > 0

    def scores(self, queries: _Queries, rows: IntArray | None) -> FloatArray:
        """(m, q) float32."""
        out: FloatArray = (self.vectors if rows is None else self.vectors[rows]) @ queries.rows.T
        return out

    def line(self, queries: _Queries) -> tuple[Doubles, Doubles, Doubles]:
        """As Block.line. A float32 dot product is off by at most d * 2^-24 of both lengths (Higham, 2002, 3.1)."""
        num, dim = queries.exact.shape
        bound = (dim + 2) * 2.0**-23 * self.longest * queries.lengths + 1e-30
        return np.zeros(num), np.ones(num), bound


class _Queries:
    """Queries (q, dim) float32, quantized and packed once for all blocks."""

    def __init__(self, rows: FloatArray) -> None:
        self.rows = np.ascontiguousarray(rows)
        self.exact = rows.astype(np.float64)
        self.lengths = np.sqrt((self.exact**2).sum(axis=1))
        self.step = np.abs(self.exact).max(axis=1) / 127
        self.step[self.step == 0] = 1.0
        codes = np.rint(self.exact / self.step[:, None]).clip(-127, 127)
        self.slack = np.sqrt(((self.exact - codes * self.step[:, None]) ** 2).sum(axis=1))
        self.packed = numkong.dots_pack(codes.astype(np.int8))


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
        kept = sum(b.vectors.nbytes + b.codes.nbytes for b in self._blocks) + self._tail._rows.nbytes
        return kept + sum(c.ids.nbytes + c.times.nbytes + c.cameras.nbytes + c.people.nbytes for c in columns)

    def close(self) -> None:
        """Stops its threads."""
        self._pool.shutdown()

    def add(self, vectors: FloatArray, columns: Columns) -> None:
        """Adds rows. vectors: (n, dim) float32, finite."""
        self._everybody = None
        for start in range(0, len(vectors), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            self._tail.append(vectors[part], columns.take(part))
            if len(self._tail) >= BLOCK_ROWS:
                self.add_block(self._tail.vectors.copy(), self._tail.columns)
                self._tail = Tail(self.dim)

    def add_block(self, vectors: FloatArray, columns: Columns) -> None:
        """Adds rows as a block, which owns the arrays from then on. Rows of one camera and time in one block let a
        filter skip the whole block."""
        self._everybody = None
        if len(vectors):
            self._blocks.append(Block(vectors, columns))

    def remove(self, ids: IntArray) -> int:
        """Removes rows by id and returns how many there were. No byte of the removed rows stays."""
        before = len(self)
        self._everybody = None
        blocks: list[Block] = []
        for block in self._blocks:
            gone = np.isin(block.columns.ids, ids)
            left = len(block) - np.count_nonzero(gone)
            if left == len(block):
                blocks.append(block)
            elif left >= max(FEW_ROWS, block.made_of // 2):
                block.remove(np.flatnonzero(gone))
                blocks.append(block)
            elif left:
                blocks.append(Block(block.vectors[~gone], block.columns.take(~gone)))
        self._blocks = blocks
        keep = ~np.isin(self._tail.columns.ids, ids)
        if not keep.all():
            tail = Tail(self.dim)
            tail.append(self._tail.vectors[keep], self._tail.columns.take(keep))
            self._tail = tail
        return before - len(self)

    def ids(self) -> IntArray:
        """(n,) int64, sorted."""
        return np.sort(np.concatenate([part.columns.ids for part in self._parts()]))

    def rows(self) -> Iterator[tuple[IntArray, FloatArray]]:
        """ids (n,) and embeddings (n, dim) of all rows, a block at a time."""
        yield from ((part.columns.ids, part.vectors) for part in self._parts() if len(part))

    def people(self, wanted: Selection = EVERY_ROW) -> People:
        """The people among the rows that match the selection."""
        if wanted is EVERY_ROW and self._everybody is not None:
            return self._everybody
        parts = self._parts()
        seen = np.zeros(2 + max(int(part.columns.people.max(initial=-1)) for part in parts), np.bool_)
        alone = 0
        for part in parts:
            if part.may_match(wanted):
                mask = wanted.mask(part.columns)
                people = part.columns.people if mask is None else part.columns.people[mask]
                seen[people] = True  # -1 is the last element
                alone += int(np.count_nonzero(people < 0))
        found = People(np.flatnonzero(seen[:-1]), alone)
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
            found += self._search(_Queries(queries[start : start + QUERIES_AT_ONCE]), top_k, wanted, min_similarity)
        return found

    def _parts(self) -> list[Block | Tail]:
        return [*self._blocks, self._tail]

    def _search(
        self, queries: _Queries, top_k: int | None, wanted: Selection, min_similarity: float | None
    ) -> list[Found]:
        race = _Race(len(queries.rows), top_k, min_similarity)
        parts = [part for part in self._parts() if part.may_match(wanted)]
        if len(parts) == 1:
            candidates = [_candidates(parts[0], queries, wanted, race)]
        else:
            candidates = list(self._pool.map(lambda part: _candidates(part, queries, wanted, race), parts))
        which, similarities, ids = [np.zeros(0, np.int64)], [np.zeros(0)], [np.zeros(0, np.int64)]
        for part, (rows, query, highest) in zip(parts, candidates, strict=True):
            left = highest >= race.least[query]  # the bound is the final one now
            rows, query = rows[left], query[left]
            for start in range(0, len(rows), PAIRS_AT_ONCE):
                pairs = slice(start, start + PAIRS_AT_ONCE)
                chosen = part.vectors[rows[pairs]].astype(np.float64)
                # einsum sums each row alike, wherever it stands: equal rows have equal similarities.
                similarities.append(np.einsum("ij,ij->i", chosen, queries.exact[query[pairs]]))
            which.append(query)
            ids.append(part.columns.ids[rows])
        return _ranked(
            len(queries.rows),
            np.concatenate(which),
            np.concatenate(similarities),
            np.concatenate(ids),
            top_k,
            min_similarity,
        )


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
    part: Block | Tail, queries: _Queries, wanted: Selection, race: _Race
) -> tuple[IntArray, IntArray, Doubles]:
    """(c,) each: the row, the query, and an upper bound on their similarity."""
    mask = wanted.mask(part.columns)
    rows = None if mask is None or mask.all() else np.flatnonzero(mask)
    if rows is None:
        scores = part.scores(queries, None)  # (m, q)
    elif 2 * len(rows) <= len(part):
        scores = part.scores(queries, rows)
    else:  # reading all is faster than gathering most
        scores = part.scores(queries, None)[rows]
    if not len(scores):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    offset, slope, bound = part.line(queries)
    if race.top_k:
        size = max(1, min(LARGEST_GROUP, len(scores) // (4 * race.top_k)))
        groups = len(scores) // size
        best = scores[: groups * size].reshape(size, groups, -1).max(axis=0)  # (g, q)
        race.tell(offset + slope * best - bound)
    least = (race.least - bound - offset) / slope
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
    highest = offset[query] + slope[query] * scores[row, query] + bound[query]
    return (row if rows is None else rows[row]), query, highest


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


def _parts(vectors: FloatArray) -> Iterator[FloatArray]:
    for start in range(0, len(vectors), 8192):
        yield vectors[start : start + 8192]


def _longest(rows: npt.NDArray[Any]) -> float:
    if not len(rows):
        return 0.0
    return float(np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64).max()))
