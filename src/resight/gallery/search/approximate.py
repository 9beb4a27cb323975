"""Approximate search: a graph of neighbours (HNSW, Malkov and Yashunin, TPAMI 2020), and how much of it is true.

usearch's graph, in memory beside the exact index, which it is measured against: by some of the gallery's own rows,
before they join it, since it finds what is in it too easily. What it finds is compared again exactly, so that
similarities and their order are true; what it misses is what its recall says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resight.core.errors import ConfigError
from resight.core.records import FloatArray, IntArray
from resight.gallery.search.index import Index

SAMPLE = 200  # of the gallery's own rows that recall is measured with
WIDEST = 4096  # nodes that a search looks at, at the most
ROUNDING = 1e-6  # of the graph's similarities, which are of float32
Rows = tuple[IntArray, FloatArray]  # ids (n,) and embeddings (n, dim)


@dataclass(frozen=True)
class Approximation:
    """recall: the share of the true `top` that approximate searches found, mean over `searches` by the gallery's own
    rows. width: nodes of the graph that each search keeps looking at. rows: in the graph."""

    recall: float
    top: int
    width: int
    rows: int
    searches: int


class Graph:
    """Over the rows of an index as they were; one that has lost a row since is not to be used any more."""

    def __init__(self, index: Index, top: int, recall: float) -> None:
        """As wide as it takes to reach the recall, or as WIDEST. Raises ConfigError where usearch is not installed."""
        try:
            from usearch.index import Index as Hnsw
        except ImportError:
            raise ConfigError('approximate search needs `pip install "resight[approximate]"`') from None
        self._graph: Any = Hnsw(ndim=index.dim, metric="ip", dtype="f32", connectivity=16, expansion_add=128)
        everybody = np.concatenate([ids for ids, _ in index.rows()])
        chosen = np.random.default_rng(0).permutation(everybody)[: min(SAMPLE, len(everybody) // 2)]
        left_out: list[Rows] = []
        for ids, vectors in index.rows():
            sample = np.isin(ids, chosen)
            left_out.append((ids[sample], vectors[sample]))
            self.add([(ids[~sample], vectors[~sample])])
        self.found = self._measure(index, left_out, top, recall)
        self.add(left_out)

    def add(self, rows: Iterable[Rows]) -> None:
        """ids (n,) and embeddings (n, dim) that are not in it yet."""
        for ids, vectors in rows:
            self._graph.add(ids.astype(np.uint64), vectors)

    def search(self, queries: FloatArray, top: int) -> list[IntArray]:
        """The ids that it takes for the `top` most alike, of each of (q, dim)."""
        return [ids for ids, _ in self._search(queries, top, self.found.width)]

    def _search(self, queries: FloatArray, top: int, width: int) -> list[tuple[IntArray, FloatArray]]:
        """The ids, and their similarities in float32."""
        self._graph.expansion_search = max(width, top)
        answers = [self._graph.search(query, top) for query in queries]
        return [(answer.keys.astype(np.int64), 1 - answer.distances) for answer in answers]

    def _measure(self, index: Index, left_out: Sequence[Rows], top: int, wanted: float) -> Approximation:
        absent = np.concatenate([ids for ids, _ in left_out])
        queries = np.concatenate([vectors for _, vectors in left_out])
        top = min(top, len(index) - len(absent))
        # Who reaches the similarity of the last true answer is one, also where several are equal.
        last = [
            answer.similarities[~np.isin(answer.ids, absent)][top - 1] - ROUNDING
            for answer in index.search(queries, top + len(absent))
        ]
        width = max(64, top)
        while True:
            found = self._search(queries, top, width)
            shares = [float((alike >= least).sum()) / top for (_, alike), least in zip(found, last, strict=True)]
            recall = float(np.mean(shares)) if shares else 1.0  # of a single row there is nothing to miss
            if recall >= wanted or width >= WIDEST:
                return Approximation(recall, top, width, len(index), len(queries))
            width *= 2
