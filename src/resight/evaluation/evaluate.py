"""Scores embeddings, or a distmat, under a named protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.distances import BLOCK_BYTES, distance_blocks
from resight.core.errors import ConfigError, DataError, EmbeddingError
from resight.core.records import EmbeddedCrops, FloatArray, IntArray
from resight.evaluation.bootstrap import Interval, bootstrap_interval
from resight.evaluation.expansion import Expansion
from resight.evaluation.parts.aligned import Aligned
from resight.evaluation.protocols import GalleryRows, Protocol, Rows, find_protocol, rows_of
from resight.evaluation.ranking import (
    QueryRanks,
    average_precision,
    cmc_curve,
    inverse_negative_penalty,
    nearest,
    rank_blocks,
    relevant_rows,
)
from resight.evaluation.rerank import Reranking, rerank_blocks

Values = npt.NDArray[np.float64]
SCHEMA = "resight.evaluation/1"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The figures of one model on one data set under one protocol. Fractions in [0, 1].

    cmc: (max_rank,) rank-1 first. mean_inp: None where the protocol does not define it. The intervals are
    95% bootstrap intervals over queries. query_index, ap, inp, first_hit: (num_scored,), one value a scored
    query; first_hit is the 0-based place of its first right answer, -1 where there is none within the depth.
    num_junk: gallery rows left out, over all scored queries.
    """

    protocol: str
    metric: str
    cmc: Values
    mean_ap: float
    mean_inp: float | None
    rank1_interval: Interval
    mean_ap_interval: Interval
    mean_inp_interval: Interval | None
    num_query: int
    num_scored: int
    num_skipped: int
    num_gallery: int
    num_junk: int
    bootstrap_samples: int
    seed: int
    query_index: IntArray
    ap: Values
    inp: Values | None
    first_hit: IntArray

    def rank(self, k: int) -> float:
        """The share of queries with a right answer among the first k. Raises ConfigError beyond the curve."""
        if not 1 <= k <= len(self.cmc):
            raise ConfigError(f"rank-{k} was not computed; the curve goes from 1 to {len(self.cmc)} (max_rank)")
        return float(self.cmc[k - 1])

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the figures with their intervals, protocol and counts."""
        return {
            "schema": SCHEMA,
            "protocol": self.protocol,
            "protocol_description": find_protocol(self.protocol).description,
            "metric": self.metric,
            "rank1": self.rank(1),
            "rank1_interval": asdict(self.rank1_interval),
            "mean_ap": self.mean_ap,
            "mean_ap_interval": asdict(self.mean_ap_interval),
            "mean_inp": self.mean_inp,
            "mean_inp_interval": asdict(self.mean_inp_interval) if self.mean_inp_interval else None,
            "cmc": self.cmc.tolist(),
            "num_query": self.num_query,
            "num_scored": self.num_scored,
            "num_skipped": self.num_skipped,
            "num_gallery": self.num_gallery,
            "num_junk": self.num_junk,
            "interval": "95% bootstrap over queries",
            "bootstrap_samples": self.bootstrap_samples,
            "seed": self.seed,
        }


@dataclass(frozen=True, eq=False)
class RankedList:
    """What one query found: gallery rows nearest first, junk removed. All arrays (top,) or shorter."""

    query_index: int
    gallery_index: IntArray
    similarity: FloatArray
    relevant: npt.NDArray[np.bool_]


def evaluate(
    query: EmbeddedCrops,
    gallery: EmbeddedCrops,
    protocol: str = "market1501",
    *,
    metric: str = "cosine",
    expansion: Expansion | None = None,
    reranking: Reranking | None = None,
    aligned: Aligned | None = None,
    max_rank: int = 50,
    bootstrap_samples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """CMC, mAP and mINP of the embeddings, in bounded memory. seed: of the bootstrap.

    expansion, reranking: go by cosine, and are named in the evaluation's metric. aligned: takes the place of cosine.
    Raises DataError where there is nothing to score, ConfigError for an unknown protocol or metric, or for two that do
    not go together.
    """
    if aligned is not None:
        if expansion or reranking:
            raise ConfigError(f"{expansion or reranking} goes by cosine, not by {aligned}")
        blocks = aligned.blocks(query.embeddings, gallery.embeddings)
        rows = (rows_of(query), rows_of(gallery))
        return _evaluate(blocks, *rows, protocol, str(aligned), max_rank, bootstrap_samples, seed)
    if metric != "cosine" and (expansion or reranking):
        raise ConfigError(f"{expansion or reranking} goes by cosine, not by {metric}")
    if expansion is not None:
        query, gallery = expansion.apply(query, gallery)
    blocks = distance_blocks(query.embeddings, gallery.embeddings, metric)
    if reranking is not None:
        blocks = rerank_blocks(query.embeddings, gallery.embeddings, reranking)
    metric = ", ".join([metric, *(str(step) for step in (expansion, reranking) if step is not None)])
    return _evaluate(blocks, rows_of(query), rows_of(gallery), protocol, metric, max_rank, bootstrap_samples, seed)


def evaluate_distmat(
    distmat: FloatArray,
    query: Rows,
    gallery: Rows,
    protocol: str = "market1501",
    *,
    metric: str = "given",
    max_rank: int = 50,
    bootstrap_samples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """The same from a distmat (q, g), lower is closer. Raises EmbeddingError where it holds NaN or infinity."""
    if distmat.shape != (len(query), len(gallery)):
        raise EmbeddingError(
            f"the distmat is {distmat.shape}, for {len(query)} queries and {len(gallery)} gallery rows"
        )
    return _evaluate(_slices(distmat), query, gallery, protocol, metric, max_rank, bootstrap_samples, seed)


def rankings(
    query: EmbeddedCrops, gallery: EmbeddedCrops, protocol: str = "market1501", *, top: int = 10
) -> list[RankedList]:
    """What each query found under the protocol, by cosine, for a person to look at."""
    rule, q, g = find_protocol(protocol), rows_of(query), GalleryRows(rows_of(gallery))
    lists = []
    for start, block in distance_blocks(query.embeddings, gallery.embeddings):
        for row, distances in enumerate(block, start):
            found = nearest(distances, rule.left_out(q, row, g), top)
            relevant = np.isin(found, relevant_rows(q, row, g))
            lists.append(RankedList(row, found, 1 - distances[found], relevant))
    return lists


def _slices(distmat: FloatArray) -> Iterator[tuple[int, FloatArray]]:
    """Copies of so many rows at a time; each is checked as it comes."""
    rows = max(1, BLOCK_BYTES // (4 * max(1, distmat.shape[1])))
    for start in range(0, len(distmat), rows):
        block = np.array(distmat[start : start + rows], dtype=np.float32)
        bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
        if bad.size:
            raise EmbeddingError(f"the distances of query row {start + bad[0]} hold NaN or infinity")
        yield start, block


def _evaluate(
    blocks: Iterable[tuple[int, FloatArray]],
    query: Rows,
    gallery: Rows,
    protocol: str,
    metric: str,
    max_rank: int,
    bootstrap_samples: int,
    seed: int,
) -> Evaluation:
    rule = find_protocol(protocol)
    if max_rank < 1 or bootstrap_samples < 1:
        raise ConfigError("max_rank and bootstrap_samples must be 1 at the least")
    if not len(query) or not len(gallery):
        raise DataError(f"nothing to score: {len(query)} queries, {len(gallery)} gallery rows")
    ranks = rank_blocks(blocks, query, GalleryRows(gallery), rule)
    scored = [row for row, r in enumerate(ranks) if rule.hits_only or r.num_relevant]
    if not scored:
        raise DataError(_nothing_to_score(rule, query))
    return _summarise(
        [ranks[row] for row in scored],
        scored,
        rule,
        metric,
        len(query),
        len(gallery),
        max_rank,
        bootstrap_samples,
        seed,
    )


def _summarise(
    ranks: list[QueryRanks],
    scored: list[int],
    rule: Protocol,
    metric: str,
    num_query: int,
    num_gallery: int,
    max_rank: int,
    samples: int,
    seed: int,
) -> Evaluation:
    first = np.array([r.hits[0] if len(r.hits) else -1 for r in ranks], dtype=np.int64)
    ap = np.array([average_precision(r.hits, len(r.hits) if rule.hits_only else r.num_relevant) for r in ranks])
    inp = None
    if not rule.hits_only:
        inp = np.array([inverse_negative_penalty(r.hits, r.num_relevant) for r in ranks])
    return Evaluation(
        protocol=rule.name,
        metric=metric,
        cmc=cmc_curve(first, max_rank),
        mean_ap=float(ap.mean()),
        mean_inp=None if inp is None else float(inp.mean()),
        rank1_interval=bootstrap_interval((first == 0).astype(np.float64), samples, seed),
        mean_ap_interval=bootstrap_interval(ap, samples, seed),
        mean_inp_interval=None if inp is None else bootstrap_interval(inp, samples, seed),
        num_query=num_query,
        num_scored=len(scored),
        num_skipped=num_query - len(scored),
        num_gallery=num_gallery,
        num_junk=sum(r.num_junk for r in ranks),
        bootstrap_samples=samples,
        seed=seed,
        query_index=np.array(scored, dtype=np.int64),
        ap=ap,
        inp=inp,
        first_hit=first,
    )


def _nothing_to_score(rule: Protocol, query: Rows) -> str:
    advice = "; try --protocol no-camera" if rule.name == "market1501" else ""
    return (
        f"none of {len(query)} queries has a picture of the same person in the gallery that counts under "
        f"{rule.name} ({rule.description}){advice}"
    )
