"""Approximate search: a graph of neighbours (HNSW, Malkov and Yashunin, TPAMI 2020), and how much of it is true.

usearch's graph, in memory beside the exact index, which it is measured against: on the gallery's own rows, by the same
searches. What it finds is compared again exactly, so that similarities and their order are true; what it misses is what
its recall says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from resight.core.errors import ConfigError
from resight.core.records import FloatArray, IntArray
from resight.gallery.index import Index

SAMPLE = 200  # of the gallery's own rows that recall is measured with
WIDEST = 4096  # nodes that a search looks at, at the most


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
        self.add(index.rows())
        self.found = self._measure(index, top, recall)

    def add(self, rows: Iterable[tuple[IntArray, FloatArray]]) -> None:
        """ids (n,) and embeddings (n, dim) that are not in it yet."""
        for ids, vectors in rows:
            self._graph.add(ids.astype(np.uint64), vectors)

    def search(self, queries: FloatArray, top: int) -> list[IntArray]:
        """The ids that it takes for the `top` most alike, of each of (q, dim)."""
        self._graph.expansion_search = max(self.found.width, top)
        return self._search(queries, top)

    def _search(self, queries: FloatArray, top: int) -> list[IntArray]:
        matches = self._graph.search(np.atleast_2d(queries), top)
        keys, counts = np.atleast_2d(matches.keys), np.atleast_1d(getattr(matches, "counts", len(matches.keys)))
        return [row[:count].astype(np.int64) for row, count in zip(keys, counts, strict=True)]

    def _measure(self, index: Index, top: int, wanted: float) -> Approximation:
        parts = list(index.rows())
        ids, vectors = np.concatenate([part[0] for part in parts]), [part[1] for part in parts]
        starts = np.cumsum([0, *map(len, vectors)])
        chosen = np.sort(np.random.default_rng(0).permutation(len(ids))[:SAMPLE])
        places = np.searchsorted(starts, chosen, side="right") - 1
        queries = np.stack([vectors[place][row - starts[place]] for place, row in zip(places, chosen, strict=True)])
        top = min(top, len(ids))
        # One more, since each row finds itself, which is no search.
        true = [set(answer.ids.tolist()) - {own} for answer, own in self._own(index, queries, ids[chosen], top + 1)]
        width = max(64, top)
        while True:
            self._graph.expansion_search = width
            answers = self._search(queries, top + 1)
            shares = [
                len(expected & set(found.tolist())) / max(1, len(expected))
                for expected, found in zip(true, answers, strict=True)
            ]
            recall = float(np.mean(shares))
            if recall >= wanted or width >= WIDEST:
                return Approximation(recall, top, width, len(ids), len(chosen))
            width *= 2

    def _own(self, index: Index, queries: FloatArray, ids: IntArray, top: int) -> Iterable[tuple[Any, int]]:
        return zip(index.search(queries, top), ids.tolist(), strict=True)
