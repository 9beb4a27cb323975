"""Distances between embeddings, block by block. Lower is closer; a similarity is never one of these, negated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

import numpy as np

from resight.core.cores import available_cores, blas_by_one_thread
from resight.core.errors import ConfigError, EmbeddingError, unknown_name
from resight.core.records import FloatArray, IntArray

T = TypeVar("T")
BLOCK_BYTES = 16 * 2**20  # of distances held at a time: more does not stay in the processor's cache
MOST_THREADS = 8  # of map_blocks, each of which holds a block
LEAST_ROWS = 16  # below which a matrix product is slow
CHUNK_ROWS = 16_384  # gallery rows converted at a time


def distance_blocks(
    query: FloatArray, gallery: FloatArray, distance: str = "cosine", block_bytes: int = BLOCK_BYTES
) -> Iterator[tuple[int, FloatArray]]:
    """All distances, block by block: (first query row, (b, g) float32). query (q, dim), gallery (g, dim): float32,
    arrays or memory maps.

    One buffer of `block_bytes` (or of 16 rows, if that is more) serves every block: use it before the next, and write
    into it as you like. distance: `cosine` (1 - cosine of the angle) or `euclidean` (not squared; computed in float64,
    since the difference of large squares cancels in float32). Equal gallery rows are equally far.

    Raises EmbeddingError where the dims differ or, for cosine, an embedding is all zeros; ConfigError for an unknown
    distance.
    """
    fill, rows = _prepared(query, gallery, distance, block_bytes)
    buffer = np.empty((rows, len(gallery)), np.float32)
    for start in range(0, len(query), rows):
        block = buffer[: len(query) - start]
        fill(query[start : start + rows], block)
        yield start, block


@blas_by_one_thread
def map_blocks(
    work: Callable[[int, FloatArray], T],
    query: FloatArray,
    gallery: FloatArray,
    distance: str = "cosine",
    block_bytes: int = BLOCK_BYTES,
) -> list[T]:
    """work(first query row, (b, g) float32 distances) of every block, in order, on all cores; it may write into the
    block, which is overwritten after it. The arguments and errors are those of `distance_blocks`.

    Each core computes blocks of its own: if all computed one block, BLAS's threads would wait for the work on it.
    """
    threads = min(available_cores(), MOST_THREADS)
    fill, rows = _prepared(query, gallery, distance, block_bytes if threads < 2 else -(-block_bytes // 2))
    buffers: SimpleQueue[FloatArray] = SimpleQueue()
    for _ in range(threads):
        buffers.put(np.empty((rows, len(gallery)), np.float32))

    def one(start: int) -> T:
        buffer = buffers.get()
        try:
            block = buffer[: len(query) - start]
            fill(query[start : start + rows], block)
            return work(start, block)
        finally:
            buffers.put(buffer)

    with ThreadPoolExecutor(threads, thread_name_prefix="distances") as pool:
        return list(pool.map(one, range(0, len(query), rows)))


def unit_rows(embeddings: FloatArray) -> FloatArray:
    """Each row at unit length. Raises EmbeddingError where a row is all zeros."""
    return embeddings * _inverse_lengths(embeddings)[:, None]


Fill = Callable[[FloatArray, FloatArray], None]


def _prepared(query: FloatArray, gallery: FloatArray, distance: str, block_bytes: int) -> tuple[Fill, int]:
    """What computes a block, and how many query rows it has."""
    if distance not in DISTANCES:
        raise unknown_name("distance", distance, DISTANCES)
    if block_bytes < 1:
        raise ConfigError("block_bytes must be at least 1")
    _check_dims(query, gallery)
    rows = min(max(LEAST_ROWS, block_bytes // (4 * max(1, len(gallery)))), max(1, len(query)))
    return _with_ties(DISTANCES[distance](query, gallery), gallery), rows


def _with_ties(fill: Fill, gallery: FloatArray) -> Fill:
    """Equal rows of the gallery get their first one's distance: a product rounds them otherwise at its edges."""
    later, first = _repeated(gallery)

    def filled(rows: FloatArray, block: FloatArray) -> None:
        fill(rows, block)
        for start in range(0, len(later), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            block[:, later[part]] = block[:, first[part]]

    return filled


def _cosine(query: FloatArray, gallery: FloatArray) -> Fill:
    _inverse_lengths(query)  # so that a row of zeros is found before the work
    lengths = _inverse_lengths(gallery)

    def fill(rows: FloatArray, block: FloatArray) -> None:
        unit = unit_rows(rows)
        for start in range(0, len(gallery), CHUNK_ROWS):
            part = block[:, start : start + CHUNK_ROWS]
            np.matmul(unit, gallery[start : start + CHUNK_ROWS].T, out=part)
            part *= -lengths[start : start + CHUNK_ROWS]
            part += 1

    return fill


def _repeated(gallery: FloatArray) -> tuple[IntArray, IntArray]:
    """The rows that are equal to an earlier one, bit by bit, and the first such row of each: (r,) int64 both."""
    factors = np.random.default_rng(0).integers(1, 2**63, gallery.shape[1], np.uint64) | 1
    hashes = np.empty(len(gallery), np.uint64)
    for start in range(0, len(gallery), CHUNK_ROWS):
        bits = np.ascontiguousarray(gallery[start : start + CHUNK_ROWS], np.float32).view(np.uint32)
        hashes[start : start + CHUNK_ROWS] = bits.astype(np.uint64) @ factors
    _, firsts, which = np.unique(hashes, return_index=True, return_inverse=True)
    first = firsts[which].astype(np.int64)
    later = np.flatnonzero(first != np.arange(len(gallery))).astype(np.int64)
    equal = np.ones(len(later), np.bool_)  # rows of one hash mostly are
    for start in range(0, len(later), CHUNK_ROWS):
        part = later[start : start + CHUNK_ROWS]
        equal[start : start + CHUNK_ROWS] = (gallery[part] == gallery[first[part]]).all(axis=1)
    return later[equal], first[later[equal]]


def _euclidean(query: FloatArray, gallery: FloatArray) -> Fill:
    def fill(rows: FloatArray, block: FloatArray) -> None:
        q = rows.astype(np.float64)
        q_squared = (q**2).sum(axis=1)[:, None]
        for start in range(0, len(gallery), CHUNK_ROWS):
            g = gallery[start : start + CHUNK_ROWS].astype(np.float64)
            squared = q @ (-2 * g.T)
            squared += q_squared
            squared += (g**2).sum(axis=1)
            np.sqrt(np.maximum(squared, 0, out=squared), out=squared)
            block[:, start : start + CHUNK_ROWS] = squared

    return fill


DISTANCES: dict[str, Callable[[FloatArray, FloatArray], Fill]] = {"cosine": _cosine, "euclidean": _euclidean}


def _inverse_lengths(embeddings: FloatArray) -> FloatArray:
    """(n,) float32, of memory maps too without a copy of them."""
    lengths = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings))
    # The squares of huge or tiny numbers are beyond float32.
    strange = np.flatnonzero(~((lengths > 1e-15) & (lengths < np.inf)))
    lengths[strange] = np.linalg.norm(np.asarray(embeddings[strange], np.float64), axis=1)
    zero = strange[lengths[strange] < np.finfo(np.float32).tiny]
    if zero.size:
        raise EmbeddingError(f"embedding {zero[0]} is all zeros, or next to it: it has no direction ({zero.size} such)")
    inverse: FloatArray = np.divide(1, lengths, dtype=np.float32)
    return inverse


def _check_dims(query: FloatArray, gallery: FloatArray) -> None:
    if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
        raise EmbeddingError(
            f"embeddings of shapes {query.shape} and {gallery.shape} cannot be compared: they must be "
            "(q, dim) and (g, dim). Were they made by two models?"
        )
