"""Exact similarities, and the order of hits by them.

A product of two float32 numbers is exact in float64, in which NumKong sums them. It does so in one order for each pair,
wherever that stands and whatever is compared beside it: equal rows have equal similarities, and ties go by id.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numkong
import numpy as np

from resight.core.records import FloatArray, IntArray
from resight.gallery.search.blocks import Block, Queries, Tail, float32_error
from resight.gallery.search.columns import Doubles
from resight.gallery.search.first_pass import Candidates, at_least, best_of, largest

PAIRS_AT_ONCE = 65_536  # exact similarities computed at a time
AT_HAND = 512  # rows in memory that are sooner compared than ruled out
_LEAST = -np.finfo(np.float64).max


class Found(NamedTuple):
    """The hits of one query, highest similarity first. ids: (k,) int64. similarities: (k,) float64."""

    ids: IntArray
    similarities: Doubles


def similarities_of(vectors: FloatArray, queries: FloatArray) -> Doubles:
    """(n, q) float64, of vectors (n, dim) and queries (q, dim), both float32."""
    if not len(vectors):
        return np.zeros((0, len(queries)))
    return np.asarray(numkong.dots_packed(np.ascontiguousarray(vectors), numkong.dots_pack(queries)))


def ranked(ids: IntArray, similarities: Doubles, top_k: int | None, min_similarity: float | None) -> Found:
    """The hits of one query among rows (n,)."""
    if min_similarity is not None:
        enough = similarities >= min_similarity
        ids, similarities = ids[enough], similarities[enough]
    if top_k and len(ids) > 4 * top_k:
        near = similarities >= np.partition(similarities, len(ids) - top_k)[len(ids) - top_k]
        ids, similarities = ids[near], similarities[near]
    order = np.lexsort((ids, -similarities))[:top_k]
    return Found(ids[order], similarities[order])


def among_few(
    ids: IntArray, vectors: FloatArray, queries: Queries, top_k: int | None, min_similarity: float | None
) -> list[Found]:
    """The hits among few rows (n, dim), all of which are compared exactly."""
    found = similarities_of(vectors, queries.rows)  # (n, q)
    num, count = len(queries.rows), len(ids)
    if num == 1:
        return [ranked(ids, found[:, 0], top_k, min_similarity)]
    if not top_k or count < 3 * top_k:
        return _lists(ids, np.negative(found.T, order="C"), top_k, min_similarity)
    if count < 12 * top_k:  # rounding keeps the order, but for ties
        near = found.T.astype(np.float32, order="C")
        query, row = np.divmod(np.flatnonzero(near >= largest(near, top_k)[:, :1]), count)
        return _hits(ids[row], query, found.take(row * num + query), num, top_k, min_similarity)
    size = count // (4 * top_k)
    groups = count // size
    best = best_of(found, size, groups)
    row, query, similarities = at_least(found, size, groups, best, largest(best.T, top_k)[:, 0])
    order = _by_query(query)
    return _hits(ids[row[order]], query[order], similarities[order], num, top_k, min_similarity)


def among_more(
    ids: IntArray, vectors: FloatArray, queries: Queries, top_k: int, longest: float, min_similarity: float | None
) -> Found:
    """The hits of one query among rows (n, dim), of which a product in float32 leaves few. longest: of the rows."""
    query = queries.rows[0]
    scores = vectors @ query
    bound = float32_error(len(query), longest * math.sqrt(float(query.astype(np.float64) @ query)))
    size = max(1, len(scores) // (4 * top_k))
    groups = len(scores) // size
    best = scores[: size * groups].reshape(size, groups).max(axis=0) if size > 1 else scores
    least = float(np.partition(best, groups - top_k)[groups - top_k]) - 2 * bound
    if min_similarity is not None:
        least = max(least, min_similarity - bound)
    rows = np.flatnonzero(scores >= np.float32(least))  # the bound has more to spare than this is rounded by
    return ranked(ids[rows], similarities_of(vectors[rows], queries.rows)[:, 0], top_k, min_similarity)


def hits(
    parts: Sequence[Block | Tail],
    queries: Queries,
    found: Candidates,
    top_k: int | None,
    min_similarity: float | None,
) -> list[Found]:
    """The hits of each query among its candidates. The most promising are read first, and rule out others."""
    num = len(queries.rows)
    place, rows, query, highest = found
    if num == 1:
        return [_hits_of_one(parts, queries, found, top_k, min_similarity)]
    order = _by_query(query)
    place, rows, query, highest = place[order], rows[order], query[order], highest[order]
    counts = np.bincount(query, minlength=num)
    if not top_k or counts.max() <= top_k:
        ids, similarities = _compared(parts, queries, place, rows, query)
        return _hits(ids, query, similarities, num, top_k, min_similarity)
    first = highest >= largest(_padded(query, counts, highest, -np.inf), top_k)[query, 0]
    ids, similarities = _compared(parts, queries, place[first], rows[first], query[first])
    chosen = query[first]
    there = counts > 0
    least = np.full(num, np.inf)
    least[there] = np.minimum.reduceat(similarities, np.searchsorted(chosen, np.flatnonzero(there)))
    more = ~first & (highest >= least[query])
    if more.any():
        others = _compared(parts, queries, place[more], rows[more], query[more])
        ids, similarities = np.concatenate([ids, others[0]]), np.concatenate([similarities, others[1]])
        chosen = np.concatenate([chosen, query[more]])
        order = _by_query(chosen)
        chosen, ids, similarities = chosen[order], ids[order], similarities[order]
    return _hits(ids, chosen, similarities, num, top_k, min_similarity)


def _hits_of_one(
    parts: Sequence[Block | Tail],
    queries: Queries,
    found: Candidates,
    top_k: int | None,
    min_similarity: float | None,
) -> Found:
    place, rows, _, highest = found
    count = len(rows)
    at_hand = count <= AT_HAND and isinstance(parts[0].vectors, np.ndarray)
    if not top_k or count <= top_k or at_hand:
        ids, vectors = _read(parts, place, rows, False)
        return ranked(ids, similarities_of(vectors, queries.rows)[:, 0], top_k, min_similarity)
    first = highest >= np.partition(highest, count - top_k)[count - top_k]
    ids, vectors = _read(parts, place[first], rows[first], False)
    similarities = similarities_of(vectors, queries.rows)[:, 0]
    more = np.flatnonzero(~first & (highest >= similarities.min()))
    if len(more):
        others, vectors = _read(parts, place[more], rows[more], False)
        ids = np.concatenate([ids, others])
        similarities = np.concatenate([similarities, similarities_of(vectors, queries.rows)[:, 0]])
    return ranked(ids, similarities, top_k, min_similarity)


def _by_query(query: IntArray) -> IntArray:
    """The order that sorts queries, which are few: by counting."""
    return np.argsort(query.astype(np.uint16), kind="stable")


def _padded(query: IntArray, counts: IntArray, values: Any, rest: float) -> Any:
    """(q, w), the values (c,) of each query in a row, and after the last `rest`. query: sorted."""
    if (counts == counts[0]).all():
        return values.reshape(len(counts), int(counts[0]))
    out = np.full((len(counts), int(counts.max(initial=0))), rest, values.dtype)
    out[query, np.arange(len(query)) - (np.cumsum(counts) - counts)[query]] = values
    return out


def _hits(
    ids: IntArray, query: IntArray, similarities: Doubles, num: int, top_k: int | None, min_similarity: float | None
) -> list[Found]:
    """Of rows (c,) that were compared with one query each, in the order of these."""
    counts = np.bincount(query, minlength=num)
    lower = _padded(query, counts, -similarities, np.inf)
    return _lists(_padded(query, counts, ids, 0), lower, top_k, min_similarity)


def _lists(ids: IntArray, lower: Doubles, top_k: int | None, min_similarity: float | None) -> list[Found]:
    """The hits of several queries. ids, lower: (q, w), of each query's rows the ids and the negative similarities;
    infinity: there is no row. Or ids (w,), of all queries' rows."""
    order = np.argsort(lower, axis=1)[:, : None if top_k is None else top_k + 1]
    place = order + lower.shape[1] * np.arange(len(lower))[:, None]
    near = lower.take(place)
    best = ids.take(order[:, :top_k] if ids.ndim == 1 else place[:, :top_k])
    similarities = -near[:, :top_k]
    tied = near[:, 1:] == near[:, :-1]
    least = _LEAST if min_similarity is None else min_similarity
    if not tied.any() and similarities.min(initial=np.inf) >= least:
        return list(map(Found, best, similarities))
    found = []
    unclear = (tied & (near[:, 1:] < np.inf)).any(axis=1)
    for row, count in enumerate(np.count_nonzero(similarities >= least, axis=1).tolist()):
        if unclear[row]:
            there = lower[row] < np.inf
            found.append(ranked((ids if ids.ndim == 1 else ids[row])[there], -lower[row, there], top_k, min_similarity))
        else:
            found.append(Found(best[row, :count], similarities[row, :count]))
    return found


def _compared(
    parts: Sequence[Block | Tail], queries: Queries, place: IntArray, rows: IntArray, query: IntArray
) -> tuple[IntArray, Doubles]:
    """(c,) each: the id and the exact similarity. query: in order."""
    ids, similarities = np.empty(len(rows), np.int64), np.empty(len(rows))
    for start in range(0, len(rows), PAIRS_AT_ONCE):
        pairs = slice(start, start + PAIRS_AT_ONCE)
        ids[pairs], vectors = _read(parts, place[pairs], rows[pairs], len(queries.rows) > 1)
        edges = np.searchsorted(query[pairs], np.arange(len(queries.rows) + 1)).tolist()
        for which, (first, last) in enumerate(pairwise(edges)):
            if first < last:
                alike = similarities_of(vectors[first:last], queries.rows[which : which + 1])
                similarities[start + first : start + last] = alike[:, 0]
    return ids, similarities


def _read(parts: Sequence[Block | Tail], place: IntArray, rows: IntArray, again: bool) -> tuple[IntArray, FloatArray]:
    """ids (c,) and vectors (c, dim). again: a row may stand there several times; it is read once where reading takes
    long."""
    if len(place) and (place == place[0]).all():
        part = parts[place[0]]
        return part.columns.ids[rows], _vectors(part, rows, again)
    order = np.argsort(place, kind="stable")
    edges = np.searchsorted(place[order], np.arange(len(parts) + 1)).tolist()
    found: list[FloatArray] = []
    ids = np.empty(len(rows), np.int64)
    for part, (first, last) in zip(parts, pairwise(edges), strict=True):
        if first < last:
            these = order[first:last]
            ids[these] = part.columns.ids[rows[these]]
            found.append(_vectors(part, rows[these], again))
    if not found:
        return ids, np.zeros((0, 0), np.float32)
    vectors = np.empty((len(rows), found[0].shape[1]), np.float32)
    vectors[order] = np.concatenate(found)
    return ids, vectors


def _vectors(part: Block | Tail, rows: IntArray, again: bool) -> FloatArray:
    if not again or isinstance(part.vectors, np.ndarray):
        return part.vectors[rows]
    once, back = np.unique(rows, return_inverse=True)
    return part.vectors[once][back]
