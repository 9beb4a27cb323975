"""Approximate search with an HNSW index (Malkov and Yashunin, TPAMI 2020), whose recall is measured, not assumed.

usearch's index, in memory beside the exact one. Its recall is measured against the exact one, with a sample of the
gallery's own rows as queries before they are added, since a row that is in the index finds itself too easily. What it
finds is compared again exactly, so that similarities and their order are exact; what it misses, its recall tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resight.core.errors import MissingExtra
from resight.core.records import FloatArray, IntArray
from resight.gallery.search.index import Index

SAMPLE = 200  # rows of the gallery that recall is measured with
WIDEST = 4096  # the largest search width (HNSW's ef)
ROUNDING = 1e-6  # of the index's similarities, which are float32
Rows = tuple[IntArray, FloatArray]  # ids (n,) and embeddings (n, dim)


@dataclass(frozen=True)
class Approximation:
    """An HNSW index as it was built and measured.

    recall: the share of the true `top_k` that it found, mean over `searches` searches for rows of the gallery itself.
    width: how many candidates each search keeps (HNSW's ef). rows: in the index.
    """

    recall: float
    top_k: int
    width: int
    rows: int
    searches: int


class Graph:
    """An HNSW index over the rows of an exact index. It cannot remove rows: build a new one after a removal."""

    def __init__(self, index: Index, top_k: int, recall: float) -> None:
        """Builds it, and widens its search until the recall is reached, or WIDEST.

        Raises MissingExtra if usearch is not installed.
        """
        import onnxruntime  # noqa: F401  loaded after usearch 2.26 it crashes the process

        try:
            from usearch.index import Index as Hnsw
        except ImportError:
            raise MissingExtra("usearch, which approximate search needs,", "approximate") from None
        self._graph: Any = Hnsw(ndim=index.dim, metric="ip", dtype="f32", connectivity=16, expansion_add=128)
        everybody = np.concatenate([ids for ids, _ in index.rows()])
        chosen = np.random.default_rng(0).permutation(everybody)[: min(SAMPLE, len(everybody) // 2)]
        left_out: list[Rows] = []
        for ids, vectors in index.rows():
            sample = np.isin(ids, chosen)
            left_out.append((ids[sample], vectors[sample]))
            self.add([(ids[~sample], vectors[~sample])])
        self.found = self._measure(index, left_out, top_k, recall)
        self.add(left_out)

    def add(self, rows: Iterable[Rows]) -> None:
        """Adds ids (n,) with their embeddings (n, dim), none of which are in it yet."""
        for ids, vectors in rows:
            self._graph.add(ids.astype(np.uint64), vectors)

    def search(self, queries: FloatArray, top_k: int) -> list[IntArray]:
        """The approximate `top_k` nearest ids for each row of queries (q, dim)."""
        return [ids for ids, _ in self._search(queries, top_k, self.found.width)]

    def _search(self, queries: FloatArray, top_k: int, width: int) -> list[tuple[IntArray, FloatArray]]:
        """The ids, and their similarities in float32."""
        self._graph.expansion_search = max(width, top_k)
        answers = [self._graph.search(query, top_k) for query in queries]
        return [(answer.keys.astype(np.int64), 1 - answer.distances) for answer in answers]

    def _measure(self, index: Index, left_out: Sequence[Rows], top_k: int, wanted: float) -> Approximation:
        absent = np.concatenate([ids for ids, _ in left_out])
        queries = np.concatenate([vectors for _, vectors in left_out])
        top_k = min(top_k, len(index) - len(absent))
        # A hit that reaches the similarity of the last true one is true, also among several equal ones.
        last = [
            answer.similarities[~np.isin(answer.ids, absent)][top_k - 1] - ROUNDING
            for answer in index.search(queries, top_k + len(absent))
        ]
        width = max(64, top_k)
        while True:
            found = self._search(queries, top_k, width)
            shares = [float((alike >= least).sum()) / top_k for (_, alike), least in zip(found, last, strict=True)]
            recall = float(np.mean(shares)) if shares else 1.0  # a single row cannot be missed
            if recall >= wanted or width >= WIDEST:
                return Approximation(recall, top_k, width, len(index), len(queries))
            width *= 2
