"""The first pass of an exact search: which rows the bounded errors of `blocks` cannot rule out.

Rows are compared a piece at a time, so that scores stay in the processor's cache, on all cores. What is looked at of a
piece are the best scores of groups of rows; the rows themselves only where a group's best is good enough.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from resight.core.records import IntArray
from resight.gallery.search.blocks import Block, Queries, Tail
from resight.gallery.search.columns import Doubles, Run, Selection

Scores = npt.NDArray[Any]
PIECE_SCORES = 262_144  # of a piece: 1 MB
LEAST_PIECE, LARGEST_PIECE = 1024, 65_536  # rows
LARGEST_GROUP = 128  # rows that are represented by their best one
WORTH_A_THREAD = 2**24  # products of a search; fewer are computed sooner than another thread begins


class Candidates(NamedTuple):
    """(c,) each: the part, the row in it, the query, and an upper bound on their similarity."""

    place: IntArray
    rows: IntArray
    query: IntArray
    highest: Doubles


def candidates(
    parts: Sequence[Block | Tail],
    runs: Sequence[Run],
    queries: Queries,
    top_k: int | None,
    wanted: Selection,
    min_similarity: float | None,
    pool: ThreadPoolExecutor,
    threads: int,
) -> Candidates:
    """Every row that matches the selection and can be among the hits, and some that cannot. runs: where rows may
    match."""
    num, dim = queries.rows.shape
    queries.among = count = sum(run.stop - run.start for run in runs)
    if count * dim * max(num, 4) < WORTH_A_THREAD:
        threads = 1
    most = min(LARGEST_PIECE, max(LEAST_PIECE, PIECE_SCORES // num), -(-count // threads))
    race = Race(num, top_k, min_similarity)
    tails, todo = list[Run](), deque[Run]()
    for run in runs:
        for first in range(run.start, run.stop, most):
            piece = Run(run.part, first, min(first + most, run.stop), run.whole)
            (tails if isinstance(parts[run.part], Tail) else todo).append(piece)
    # The tail's product by many queries is numpy's, which has threads of its own.
    kept = [_of_piece(parts, piece, queries, wanted, race) for piece in tails]

    def work() -> list[Candidates]:
        done: list[Candidates] = []
        while True:
            try:
                piece = todo.popleft()
            except IndexError:
                return done
            done.append(_of_piece(parts, piece, queries, wanted, race))

    others = [pool.submit(work) for _ in range(min(threads, len(todo)) - 1)]
    kept += work()
    for other in others:
        if not other.cancel():  # it has not begun: the pool is busy with another search
            kept += other.result()
    if len(kept) == 1:
        return kept[0]
    return Candidates(*(np.concatenate(each) for each in zip(NONE, *kept, strict=True)))


class Race:
    """The lowest similarity with which a row can still be among the hits. It rises as pieces are compared."""

    def __init__(self, num: int, top_k: int | None, min_similarity: float | None) -> None:
        self.top_k = top_k
        self.least: Doubles = np.full(num, -np.inf if min_similarity is None else min_similarity)
        self._lower: list[Doubles] = []
        self._count, self._next = 0, top_k or 0
        self._lock = Lock()

    def tell(self, lower: Doubles) -> Doubles:
        """`least`, (q,). lower: (g, q), lower bounds on the similarities of g different rows."""
        if self.top_k:
            with self._lock:
                self._lower.append(lower)
                self._count += len(lower)
                if self._count >= self._next:  # each time that there are twice as many
                    self._next = 2 * self._count
                    joined = np.concatenate(self._lower).T if len(self._lower) > 1 else lower.T
                    best = largest(joined, self.top_k)
                    self._lower = [best.T]
                    self.least = np.maximum(self.least, best[:, 0])  # the k-th largest of them
        return self.least


def _of_piece(parts: Sequence[Block | Tail], run: Run, queries: Queries, wanted: Selection, race: Race) -> Candidates:
    part = parts[run.part]
    scores, rows, first = _scores(part, queries, run, wanted)  # (m, q)
    if not len(scores):
        return NONE
    slope, bound = part.line(queries)
    size = min(LARGEST_GROUP, len(scores) // (2 * race.top_k)) if race.top_k else 1
    groups = len(scores) // max(size, 1)
    if size < 2:
        least = race.tell(slope * scores - bound) if race.top_k else race.least
        row, query, score = at_least(scores, 1, len(scores), scores, _cut(least, slope, bound, scores.dtype))
    else:
        best = best_of(scores, size, groups)
        cut = _cut(race.tell(slope * best - bound), slope, bound, scores.dtype)
        row, query, score = at_least(scores, size, groups, best, cut)
    highest = slope * score + bound if len(slope) == 1 else slope[query] * score + bound[query]
    return Candidates(np.full(len(row), run.part), row + first if rows is None else rows[row], query, highest)


def best_of(scores: Scores, size: int, groups: int) -> Scores:
    """(g, q), the highest scores of the groups; rows are in the same one that stand `groups` apart. scores: (m, q), of
    which the first size * groups rows are in groups."""
    best: Scores = scores[: size * groups].reshape(size, -1).max(axis=0)
    return best.reshape(groups, -1)


def at_least(scores: Scores, size: int, groups: int, best: Scores, cut: Scores) -> tuple[IntArray, IntArray, Scores]:
    """(c,) each: the rows, queries and scores of all that reach the cut of their query. best: of `best_of`. cut:
    (q,)."""
    num = len(cut)
    if num == 1:
        best, cut = best.ravel(), cut[0]
        good = np.flatnonzero(best >= cut)
        inside = scores[: size * groups].reshape(size, -1).take(good, axis=1)
        hit = np.flatnonzero(inside >= cut)
        deep, which = np.divmod(hit, len(good) or 1)
        row, score = deep * groups + good[which], inside.ravel()[hit]
        if size * groups < len(scores):
            rest = scores[size * groups :, 0]
            late = np.flatnonzero(rest >= cut)
            row, score = np.concatenate([row, size * groups + late]), np.concatenate([score, rest[late]])
        return row, np.zeros(len(row), np.int64), score
    body, rest = scores[: size * groups].reshape(size, -1), scores[size * groups :]
    good = np.flatnonzero(best >= cut)
    inside = body.take(good, axis=1)
    hit = np.flatnonzero(inside >= cut.take(good % num))
    deep, which = np.divmod(hit, len(good) or 1)
    row, query = np.divmod(deep * (groups * num) + good[which], num)
    score = inside.ravel()[hit]
    if len(rest):
        late = np.flatnonzero(rest >= cut)
        row, query = np.concatenate([row, size * groups + late // num]), np.concatenate([query, late % num])
        score = np.concatenate([score, rest.ravel()[late]])
    return row, query, score


def largest(rows: Scores, count: int) -> Scores:
    """The largest `count` of each row (q, n), the smallest of which stands first."""
    return np.partition(np.ascontiguousarray(rows), rows.shape[1] - count, axis=1)[:, -count:]


def _scores(part: Block | Tail, queries: Queries, run: Run, wanted: Selection) -> tuple[Scores, IntArray | None, int]:
    """(m, q), and which rows these are, in order, or if they stand together the first one. A row that does not match
    may be among them, with a score that is lower than any."""
    start, stop = run.start, run.stop
    mask = None if run.whole else wanted.mask(part.columns.take(slice(start, stop)))
    if mask is not None:
        first, last = int(mask.argmax()), len(mask) - int(mask[::-1].argmax())
        if not mask[first]:
            return np.zeros((0, len(queries.rows)), np.int32), None, start
        mask = mask[first:last]
        start, stop, count = start + first, start + last, np.count_nonzero(mask)
        if 2 * count <= len(mask):
            rows = start + np.flatnonzero(mask)
            return part.scores(queries, rows), rows, start
        if count == len(mask):
            mask = None
    scores = part.scores(queries, slice(start, stop))
    if mask is not None:  # reading all is faster than gathering most
        scores = np.where(mask[:, None], scores, _lowest(scores.dtype))
    return scores, None, start


def _lowest(kind: np.dtype[Any]) -> Any:
    """Lower than any score."""
    return np.int32(-(2**31)) if kind.kind == "i" else _LEAST


def _cut(least: Doubles, slope: Doubles, bound: Doubles, kind: np.dtype[Any]) -> Scores:
    """(q,), the lowest scores with which a similarity can reach `least`. kind: of the scores."""
    lowest = (least - bound) / slope
    if kind.kind == "i":
        lowest = np.floor(lowest) - 1
        return np.maximum(np.minimum(lowest, 2.0**31 - 1), 1 - 2.0**31).astype(np.int32)
    cut = np.nextafter(lowest.astype(np.float32), _LEAST)
    return np.asarray(np.maximum(cut, np.finfo(np.float32).min))


_LEAST = np.float32(-np.inf)
NONE = Candidates(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
