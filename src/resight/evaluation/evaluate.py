"""Scores embeddings, or a distmat, under a named protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from typing import Any
from warnings import warn

import numpy as np
import numpy.typing as npt

from resight.core.distances import BLOCK_BYTES, distance_blocks, map_blocks
from resight.core.errors import ConfigError, DataError, EmbeddingError
from resight.core.records import UNKNOWN_CAMERA, EmbeddedCrops, FloatArray, IntArray
from resight.evaluation.expansion import Expansion
from resight.evaluation.intervals import Interval, format_figure, mean_interval
from resight.evaluation.metrics import METRICS, Measured, Values, cmc_curve
from resight.evaluation.parts.aligned import Aligned
from resight.evaluation.protocols import GalleryRows, Protocol, Rows, find_protocol, rows_of, same_camera
from resight.evaluation.ranking import QueryRanks, nearest, rank_block, relevant_rows
from resight.evaluation.rerank import Reranking, rerank_blocks

SCHEMA = "resight.evaluation/1"
INTERVAL = "95% score interval over queries; over people where it says so"
Ranks = Callable[[int, FloatArray], list[QueryRanks]]
EveryBlock = Callable[[Ranks], Iterable[list[QueryRanks]]]  # what the function makes of each block, in order


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The metrics of one model on one data set under one protocol. Fractions in [0, 1].

    distance: how embeddings were compared, in words. cmc: (max_rank,) rank-1 first. metrics: by name, those of METRICS
    that the protocol defines. query_index, first_hit: (num_scored,) int64, the rows of the scored queries, and the
    0-based place of each one's first right answer, -1 where there is none within the protocol's depth. num_junk:
    gallery rows left out, over all scored queries.
    """

    protocol: str
    distance: str
    cmc: Values
    metrics: Mapping[str, Measured]
    num_query: int
    num_scored: int
    num_skipped: int
    num_gallery: int
    num_junk: int
    query_index: IntArray
    first_hit: IntArray

    def rank(self, k: int) -> float:
        """The share of queries with a right answer among the first k. Raises ConfigError beyond the curve."""
        if not 1 <= k <= len(self.cmc):
            raise ConfigError(f"rank-{k} was not computed; the curve goes from 1 to {len(self.cmc)} (max_rank)")
        return float(self.cmc[k - 1])

    @property
    def rank1_interval(self) -> Interval:
        """Of rank-1."""
        return self.metrics["rank1"].interval

    @property
    def mean_ap(self) -> float:
        """mAP: the mean average precision."""
        return self.metrics["mean_ap"].value

    @property
    def mean_ap_interval(self) -> Interval:
        """Of mAP."""
        return self.metrics["mean_ap"].interval

    @property
    def mean_inp(self) -> float | None:
        """mINP: the mean inverse negative penalty; None where the protocol does not define it."""
        found = self.metrics.get("mean_inp")
        return found.value if found else None

    @property
    def mean_inp_interval(self) -> Interval | None:
        """Of mINP."""
        found = self.metrics.get("mean_inp")
        return found.interval if found else None

    @property
    def ap(self) -> Values:
        """The average precision of each scored query: (num_scored,) float64."""
        return self.metrics["mean_ap"].per_query

    @property
    def inp(self) -> Values | None:
        """The inverse negative penalty of each scored query: (num_scored,) float64."""
        found = self.metrics.get("mean_inp")
        return found.per_query if found else None

    def cells(self) -> dict[str, str]:
        """For a table: each metric by its name in print as `0.912 [0.871, 0.950]`, or `-` where the protocol does not
        define it; rank-5 and rank-10 of the CMC curve, as far as it goes, follow rank-1."""
        cells = {}
        for name, metric in METRICS.items():
            found = self.metrics.get(name)
            cells[metric.title] = format_figure(found.value, found.interval) if found else format_figure(None)
            if name == "rank1":
                cells |= {f"rank-{k}": format_figure(self.rank(k)) for k in (5, 10) if len(self.cmc) >= k}
        return cells

    def to_dict(self) -> dict[str, Any]:
        """For JSON: each metric with its interval, the protocol and the counts."""
        values: dict[str, Any] = {}
        for name in METRICS:
            found = self.metrics.get(name)
            values[name] = found.value if found else None
            values[f"{name}_interval"] = asdict(found.interval) if found else None
            over_people = found.over_people if found else None
            values[f"{name}_interval_over_people"] = asdict(over_people) if over_people else None
        return {
            "schema": SCHEMA,
            "protocol": self.protocol,
            "protocol_description": find_protocol(self.protocol).description,
            "metric": self.distance,
            **values,
            "cmc": self.cmc.tolist(),
            "num_query": self.num_query,
            "num_scored": self.num_scored,
            "num_skipped": self.num_skipped,
            "num_gallery": self.num_gallery,
            "num_junk": self.num_junk,
            "interval": INTERVAL,
        }


@dataclass(frozen=True, eq=False)
class RankedList:
    """The first answers to one query, nearest first, without junk. query_index: the query's row. gallery_index: the
    gallery rows; similarity: cosine; relevant: whether it is the query's person. (top,) each, or shorter."""

    query_index: int
    gallery_index: IntArray
    similarity: FloatArray
    relevant: npt.NDArray[np.bool_]


def evaluate(
    query: EmbeddedCrops,
    gallery: EmbeddedCrops,
    protocol: str = "market1501",
    *,
    distance: str = "cosine",
    expansion: Expansion | None = None,
    reranking: Reranking | None = None,
    aligned: Aligned | None = None,
    max_rank: int = 50,
) -> Evaluation:
    """Scores embeddings under a protocol: CMC, and each metric of METRICS, in bounded memory.

    protocol: a name of PROTOCOLS. distance: `cosine` or `euclidean`. expansion, reranking: change the ranking first;
    they support cosine only, and are named in the evaluation's `distance`. aligned: compares aligned strips instead of
    whole embeddings. max_rank: the length of the CMC curve.

    Warns where a protocol asks for cameras that are not known. Raises DataError where there is nothing to score,
    EmbeddingError where embeddings cannot be compared, ConfigError for an unknown protocol or distance, or for two
    options that do not go together.

    Example:

        >>> import numpy as np
        >>> from resight import EmbeddedCrops, evaluate
        >>> query = EmbeddedCrops(
        ...     np.array([[1, 0]], np.float32), np.array([7]), np.array([1]), np.array([10], np.uint64), ("a.jpg",)
        ... )
        >>> gallery = EmbeddedCrops(
        ...     embeddings=np.array([[0.9, 0.1], [0.7, 0.7], [0.2, 0.9]], np.float32),
        ...     pids=np.array([7, 8, 7]),
        ...     camids=np.array([2, 2, 3]),
        ...     content_hashes=np.array([11, 12, 13], np.uint64),
        ...     names=("b.jpg", "c.jpg", "d.jpg"),
        ... )
        >>> found = evaluate(query, gallery)
        >>> found.rank(1), round(found.mean_ap, 3)
        (1.0, 0.833)
    """
    settings = _Settings(protocol, distance, max_rank)
    rows = (rows_of(query), rows_of(gallery))
    unknown = sum(int((side.camids == UNKNOWN_CAMERA).sum()) for side in rows)
    if unknown and find_protocol(protocol).junk is same_camera:
        warn(
            f"{unknown:,} of {sum(map(len, rows)):,} pictures are by no known camera (-1), taken as one of its own. "
            f"Whether a match is by the query's camera, which {protocol} leaves out, cannot be told: the "
            "figures may be too high",
            stacklevel=2,
        )
    steps = [step for step in (expansion, reranking) if step is not None]
    if aligned is not None:
        if steps:
            raise ConfigError(f"{steps[0]} supports cosine only, not {aligned}")
        blocks = aligned.blocks(query.embeddings, gallery.embeddings)
        return _evaluate(_in_turn(blocks), *rows, replace(settings, distance=str(aligned)))
    if distance != "cosine" and steps:
        raise ConfigError(f"{steps[0]} supports cosine only, not {distance}")
    if expansion is not None:
        query, gallery = expansion.apply(query, gallery)
    if reranking is not None:
        every: EveryBlock = _in_turn(rerank_blocks(query.embeddings, gallery.embeddings, reranking))
    else:
        every = partial(map_blocks, query=query.embeddings, gallery=gallery.embeddings, distance=distance)
    return _evaluate(every, *rows, replace(settings, distance=", ".join(map(str, (distance, *steps)))))


def evaluate_distmat(
    distmat: FloatArray,
    query: Rows,
    gallery: Rows,
    protocol: str = "market1501",
    *,
    distance: str = "given",
    max_rank: int = 50,
) -> Evaluation:
    """Scores a distmat (q, g) float32, lower is closer. distance: what to call it in the evaluation.

    Raises EmbeddingError where its shape is another, or it holds NaN or infinity; DataError where there is nothing to
    score; ConfigError for an unknown protocol.

    Example:

        >>> import numpy as np
        >>> from resight.evaluation.evaluate import evaluate_distmat
        >>> from resight.evaluation.protocols import Rows
        >>> query = Rows(np.array([7]), np.array([1]), np.array([10], np.uint64))
        >>> gallery = Rows(np.array([8, 7]), np.array([2, 2]), np.array([11, 12], np.uint64))
        >>> found = evaluate_distmat(np.array([[0.1, 0.3]], np.float32), query, gallery)
        >>> found.rank(1), found.rank(2), found.mean_ap
        (0.0, 1.0, 0.5)
    """
    if distmat.shape != (len(query), len(gallery)):
        raise EmbeddingError(
            f"the distmat is {distmat.shape}, for {len(query)} queries and {len(gallery)} gallery rows"
        )
    settings = _Settings(protocol, distance, max_rank)
    return _evaluate(_in_turn(_slices(distmat)), query, gallery, settings)


def rankings(
    query: EmbeddedCrops, gallery: EmbeddedCrops, protocol: str = "market1501", *, top: int = 10
) -> list[RankedList]:
    """The first `top` answers to each query under the protocol, by cosine similarity.

    Raises EmbeddingError where embeddings cannot be compared, ConfigError for an unknown protocol.
    """
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


def _in_turn(blocks: Iterable[tuple[int, FloatArray]]) -> EveryBlock:
    return lambda ranks: (ranks(start, block) for start, block in blocks)


@dataclass(frozen=True)
class _Settings:
    protocol: str
    distance: str
    max_rank: int


def _evaluate(every: EveryBlock, query: Rows, gallery: Rows, settings: _Settings) -> Evaluation:
    rule = find_protocol(settings.protocol)
    if settings.max_rank < 1:
        raise ConfigError("max_rank must be at least 1")
    if not len(query) or not len(gallery):
        raise DataError(f"nothing to score: {len(query)} queries, {len(gallery)} gallery rows")
    among = GalleryRows(gallery)
    ranks = list(chain.from_iterable(every(lambda start, block: rank_block(start, block, query, among, rule))))
    scored = [row for row, r in enumerate(ranks) if rule.hits_only or r.num_relevant]
    if not scored:
        raise DataError(_nothing_to_score(rule, query))
    found = [ranks[row] for row in scored]
    first_hit = np.array([r.hits[0] if len(r.hits) else -1 for r in found], dtype=np.int64)
    return Evaluation(
        protocol=rule.name,
        distance=settings.distance,
        cmc=cmc_curve(first_hit, settings.max_rank),
        metrics=_measure(found, query.pids[scored], rule),
        num_query=len(query),
        num_scored=len(scored),
        num_skipped=len(query) - len(scored),
        num_gallery=len(gallery),
        num_junk=sum(r.num_junk for r in found),
        query_index=np.array(scored, dtype=np.int64),
        first_hit=first_hit,
    )


def _measure(ranks: list[QueryRanks], people: IntArray, rule: Protocol) -> dict[str, Measured]:
    """Each metric that the protocol defines. people: of each query."""
    measured = {}
    for name, metric in METRICS.items():
        if not metric.defined(rule):
            continue
        counted = ((r.hits, len(r.hits) if rule.hits_only else r.num_relevant) for r in ranks)
        per_query = np.array([metric.of_query(hits, num_relevant) for hits, num_relevant in counted])
        intervals = mean_interval(per_query), mean_interval(per_query, people)
        measured[name] = Measured(float(per_query.mean()), intervals[0], per_query, intervals[1])
    return measured


def _nothing_to_score(rule: Protocol, query: Rows) -> str:
    advice = "; try --protocol no-camera" if rule.name == "market1501" else ""
    return (
        f"none of {len(query)} queries has a picture of the same person in the gallery that counts under "
        f"{rule.name} ({rule.description}){advice}"
    )
