"""Exact similarities, and the order of hits by them.

A product of two float32 numbers is exact in float64, in which NumKong sums them. It does so in one order for each pair,
wherever that stands and whatever is compared beside it: equal rows have equal similarities, and ties go by id.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numkong
import numpy as np

from resight.core.records import FloatArray, IntArray
from resight.gallery.search.blocks import Block, Queries, Tail
from resight.gallery.search.columns import Doubles
from resight.gallery.search.first_pass import Candidates

PAIRS_AT_ONCE = 65_536  # exact similarities computed at a time


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
    order = np.lexsort((ids, -similarities))[:top_k]
    return Found(ids[order], similarities[order])


def among_few(
    ids: IntArray, vectors: FloatArray, queries: Queries, top_k: int | None, min_similarity: float | None
) -> list[Found]:
    """The hits among few rows (n, dim), all of which are compared exactly."""
    found = similarities_of(vectors, queries.rows)  # (n, q)
    num = len(ids)
    if len(queries.rows) == 1:
        return [ranked(ids, found[:, 0], top_k, min_similarity)]
    lower = np.negative(found.T, order="C")
    order = np.argsort(lower, axis=1)[:, : None if top_k is None else top_k + 1]
    lower = np.take_along_axis(lower, order, axis=1)
    tied = (lower[:, 1:] == lower[:, :-1]).any(axis=1)
    best, similarities = ids[order[:, :top_k]], -lower[:, :top_k]
    if min_similarity is None and not tied.any():
        return list(map(Found, best, similarities))
    out = []
    for which in range(len(queries.rows)):
        if tied[which] and num:
            out.append(ranked(ids, found[:, which], top_k, min_similarity))
        else:
            last = None if min_similarity is None else np.count_nonzero(similarities[which] >= min_similarity)
            out.append(Found(best[which, :last], similarities[which, :last]))
    return out


def hits(
    parts: Sequence[Block | Tail],
    queries: Queries,
    found: Candidates,
    top_k: int | None,
    min_similarity: float | None,
) -> list[Found]:
    """The hits of each query among its candidates. The most promising are read first, and rule out others."""
    num = len(queries.rows)
    order = np.argsort(-found.highest) if num == 1 else np.lexsort((-found.highest, found.query))
    place, rows, query, highest = found.place[order], found.rows[order], found.query[order], found.highest[order]
    starts = np.searchsorted(query, np.arange(num + 1))
    if top_k is None:
        similarities, ids = _compared(parts, queries, place, rows, query)
    else:
        first = np.arange(len(query)) - starts[query] < top_k
        similarities, ids = _compared(parts, queries, place[first], rows[first], query[first])
        enough = starts[1:] - starts[:-1] > top_k  # or else every candidate has been compared
        if enough.any():
            least = np.full(num, np.inf)
            np.minimum.at(least, query[first], similarities)
            more = ~first & (highest >= least[query])
            if more.any():
                others = _compared(parts, queries, place[more], rows[more], query[more])
                query = np.concatenate([query[first], query[more]])
                similarities, ids = np.concatenate([similarities, others[0]]), np.concatenate([ids, others[1]])
                order = np.argsort(query, kind="stable")
                query, similarities, ids = query[order], similarities[order], ids[order]
            else:
                query = query[first]
            starts = np.searchsorted(query, np.arange(num + 1))
    edges = starts.tolist()
    return [ranked(ids[start:stop], similarities[start:stop], top_k, min_similarity) for start, stop in pairwise(edges)]


def _compared(
    parts: Sequence[Block | Tail], queries: Queries, place: IntArray, rows: IntArray, query: IntArray
) -> tuple[Doubles, IntArray]:
    """(c,) each: the exact similarity and the id. query: in order."""
    similarities, ids = np.empty(len(rows)), np.empty(len(rows), np.int64)
    for start in range(0, len(rows), PAIRS_AT_ONCE):
        pairs = slice(start, start + PAIRS_AT_ONCE)
        ids[pairs], vectors = _read(parts, place[pairs], rows[pairs], len(queries.rows) > 1)
        edges = np.searchsorted(query[pairs], np.arange(len(queries.rows) + 1)).tolist()
        for which, (first, last) in enumerate(pairwise(edges)):
            if first < last:
                alike = similarities_of(vectors[first:last], queries.rows[which : which + 1])
                similarities[start + first : start + last] = alike[:, 0]
    return similarities, ids


def _read(parts: Sequence[Block | Tail], place: IntArray, rows: IntArray, again: bool) -> tuple[IntArray, FloatArray]:
    """ids (c,) and vectors (c, dim). again: a row may stand there several times, and is read once."""
    if len(parts) == 1:
        return parts[0].columns.ids[rows], _vectors(parts[0], rows, again)
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
    if not again:
        return part.vectors[rows]
    once, back = np.unique(rows, return_inverse=True)
    return part.vectors[once][back]
