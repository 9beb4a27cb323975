"""k-reciprocal re-ranking (Zhong et al., CVPR 2017), on a graph of neighbours instead of all pairs.

As the authors compute it, with d the squared Euclidean distance, each row divided by its largest:
R(i), the k-reciprocal neighbours: those of the k1 + 1 nearest of i (itself among them) that have i among theirs;
R*(i): R(i), and the half sets R'(c), by round(k1 / 2) + 1 nearest, of all c in R(i) of which more than two thirds
lie in R(i); V(i): exp(-d) over R*(i), scaled to sum 1, then averaged over the first k2 of i's neighbours;
m(i, j): the sum of the smaller of V(i) and V(j); the Jaccard distance J = 1 - m / (2 - m);
and what ranks in the end: (1 - lambda) J + lambda d.

Some ports square distances that are squared already. Here d is squared once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy  # whose parts it imports when they are used

from resight.core.distances import BLOCK_BYTES, distance_blocks, map_blocks, unit_rows
from resight.core.errors import ConfigError
from resight.core.records import FloatArray, IntArray

Doubles = npt.NDArray[np.float64]
PAIRS = 65_536  # whose distances are computed at a time
Weights: TypeAlias = Any  # scipy.sparse's csr_array and csc_array, which have no types


@dataclass(frozen=True)
class Reranking:
    """The settings of k-reciprocal re-ranking. k1: neighbours in the reciprocal sets. k2: neighbours that are averaged.
    weight: lambda, the share of the original distance.

    Raises ConfigError where k1 or k2 is below 1, or the weight is not between 0 and 1.

    Example:

        >>> from resight.evaluation.rerank import Reranking
        >>> str(Reranking(k1=10))
        'k-reciprocal re-ranking (k1=10, k2=6, lambda=0.3)'

    `resight.evaluate(query, gallery, reranking=Reranking())` scores with it.
    """

    k1: int = 20
    k2: int = 6
    weight: float = 0.3

    def __post_init__(self) -> None:
        if self.k1 < 1 or self.k2 < 1 or not 0 <= self.weight <= 1:
            raise ConfigError("re-ranking takes a k1 and a k2 of at least 1, and a weight between 0 and 1")

    def __str__(self) -> str:
        return f"k-reciprocal re-ranking (k1={self.k1}, k2={self.k2}, lambda={self.weight:g})"


def rerank_blocks(
    query: FloatArray, gallery: FloatArray, settings: Reranking = Reranking(), block_bytes: int = BLOCK_BYTES
) -> Iterator[tuple[int, FloatArray]]:
    """Re-ranked distances, block by block: (first query row, (b, g) float32). query (q, dim), gallery (g, dim):
    float32, compared by cosine.

    Besides the blocks it holds both sets of embeddings at unit length, and k1 + 1 (or k2) neighbours and some hundred
    weights of each row; never a matrix of all pairs. One buffer serves every block, as for `distance_blocks`.

    Raises EmbeddingError where embeddings cannot be compared.
    """
    rows = unit_rows(np.concatenate((query, gallery)))
    neighbours, largest = nearest_rows(rows, max(settings.k1 + 1, settings.k2))
    weights = _weights(rows, neighbours, largest, settings)
    num_query = len(query)
    of_gallery = scipy.sparse.csc_array(weights[num_query:])
    for start, block in distance_blocks(query, gallery, "cosine", block_bytes):
        # |a - b|^2 = 2 (1 - cosine) at unit length; the largest is of the same measure
        block *= settings.weight / (largest[start : start + len(block), None] / 2)
        for row, line in enumerate(block, start):
            common = _common_weight(weights, row, of_gallery)
            line += (1 - settings.weight) * (1 - common / (2 - common))
        yield start, block


def jaccard_within(rows: FloatArray, k1: int, k2: int, most: float) -> Weights:
    """The k-reciprocal Jaccard distances J of rows among themselves that are at most `most`, below 1: an (n, n) sparse
    csr_array of float64, symmetric, each row's own 0 among its entries.

    rows: (n, dim) float32, compared by cosine. Raises EmbeddingError where embeddings cannot be compared.
    """
    rows = unit_rows(rows)
    neighbours, largest = nearest_rows(rows, max(k1 + 1, k2))
    weights = _weights(rows, neighbours, largest, Reranking(k1, k2))
    columns = scipy.sparse.csc_array(weights)
    starts, found, values = [0], [], []
    for row in range(len(rows)):
        common = _common_weight(weights, row, columns)
        distances = np.maximum(1 - common / (2 - common), 0)
        distances[row] = 0
        near = np.flatnonzero(distances <= most)
        found.append(near)
        values.append(distances[near])
        starts.append(starts[-1] + len(near))
    return scipy.sparse.csr_array((np.concatenate(values), np.concatenate(found), starts), (len(rows), len(rows)))


def nearest_rows(rows: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """The k nearest rows of each row, itself first, (n, k) int64, and its largest squared distance, (n,) float32.

    rows: (n, dim) float32 of unit length. Ties rank in the rows' order. Where there are fewer than k rows, all of them.
    """
    k = min(k, len(rows))
    neighbours = np.empty((len(rows), k), np.int64)
    largest = np.empty(len(rows), np.float32)

    def nearest_of(start: int, block: FloatArray) -> None:
        for row, line in enumerate(block, start):
            largest[row] = 2 * line.max()
            line[row] = -1  # itself first, before its own copies
            near = np.flatnonzero(line <= np.partition(line, k - 1)[k - 1])
            neighbours[row] = near[np.argsort(line[near], kind="stable")][:k]

    map_blocks(nearest_of, rows, rows)
    return neighbours, np.maximum(largest, np.finfo(np.float32).tiny)


def _weights(rows: FloatArray, neighbours: IntArray, largest: FloatArray, settings: Reranking) -> Weights:
    """V: (n, n) sparse float64, each row of sum 1."""
    reciprocal = _reciprocal(neighbours[:, : settings.k1 + 1])
    half = _reciprocal(neighbours[:, : round(settings.k1 / 2) + 1])
    size = np.asarray(half.sum(axis=1)).ravel()  # of each half set
    overlap = scipy.sparse.coo_array((reciprocal @ half).multiply(reciprocal))  # half is symmetric
    taken = overlap.data > 2 / 3 * size[overlap.col]
    chosen = scipy.sparse.csr_array(
        (np.ones(int(taken.sum())), (overlap.row[taken], overlap.col[taken])), reciprocal.shape
    )
    expanded = scipy.sparse.coo_array(scipy.sparse.csr_array(reciprocal + chosen @ half))
    values = np.exp(-_pair_distances(rows, expanded.row, expanded.col) / largest[expanded.row])
    weights = scipy.sparse.csr_array((values, (expanded.row, expanded.col)), reciprocal.shape)
    weights = scipy.sparse.csr_array(weights.multiply(1 / np.asarray(weights.sum(axis=1)).reshape(-1, 1)))
    if settings.k2 == 1:
        return weights
    first = neighbours[:, : settings.k2]
    mean = _graph(first, 1 / first.shape[1])
    return scipy.sparse.csr_array(mean @ weights)


def _graph(neighbours: IntArray, value: float) -> Weights:
    num, k = neighbours.shape
    starts = np.arange(0, num * k + 1, k)
    return scipy.sparse.csr_array((np.full(num * k, value), neighbours.ravel(), starts), (num, num))


def _reciprocal(neighbours: IntArray) -> Weights:
    """1 where each is among the other's neighbours."""
    graph = _graph(neighbours, 1.0)
    return scipy.sparse.csr_array(graph.multiply(graph.T))


def _pair_distances(rows: FloatArray, a: IntArray, b: IntArray) -> Doubles:
    """Squared Euclidean distances of pairs of rows of unit length."""
    distances: Doubles = np.empty(len(a))
    for start in range(0, len(a), PAIRS):
        part = slice(start, start + PAIRS)
        distances[part] = 2 - 2 * np.einsum("ij,ij->i", rows[a[part]], rows[b[part]])
    return np.maximum(distances, 0, out=distances)


def _common_weight(weights: Weights, row: int, columns: Weights) -> Doubles:
    """m: the sum over all columns of the smaller of two rows' weights: (g,) against every row of `columns`."""
    mine = slice(weights.indptr[row], weights.indptr[row + 1])
    own, values = weights.indices[mine], weights.data[mine]
    first, last = columns.indptr[own], columns.indptr[own + 1]
    counts = last - first
    places = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    smaller = np.minimum(columns.data[places], np.repeat(values, counts))
    return np.asarray(np.bincount(columns.indices[places], smaller, columns.shape[0]), np.float64)
