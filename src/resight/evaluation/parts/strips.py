"""Which horizontal strip of the body decided: explanations of sliced embeddings, and the test of whether they are true.

A sliced embedding is K parts of dim / K values, one a strip from top to bottom.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from resight.core.distances import unit_rows
from resight.core.pictures.images import Pixels
from resight.core.records import EmbeddedCrops, FloatArray, IntArray
from resight.evaluation.evaluate import evaluate
from resight.evaluation.protocols import GalleryRows, find_protocol, rows_of
from resight.evaluation.ranking import relevant_rows

BLOCK = 256


def strip_similarities(query: FloatArray, answers: FloatArray, slices: int) -> FloatArray:
    """What each strip adds to the similarity of each pair, times K: (n, dim) and (n, dim) of unit length to (n, K).

    The mean over the strips is the pair's cosine similarity. Where every part has the same length, as SliceNet1's
    have, each value is the cosine of that strip.
    """
    products = (query * answers).reshape(len(query), slices, -1)  # (n, K, dim / K)
    shares: FloatArray = products.sum(axis=2) * slices
    return shares


def swap_strip(embeddings: FloatArray, mean: FloatArray, strip: int, slices: int) -> FloatArray:
    """The embeddings with one strip's part replaced by that of `mean` (dim,), at unit length again: (n, dim). Raises
    EmbeddingError where nothing but zeros is left."""
    part = embeddings.shape[1] // slices
    swapped = embeddings.copy()
    swapped[:, strip * part : (strip + 1) * part] = mean[strip * part : (strip + 1) * part]
    return unit_rows(swapped)


def swap_losses(query: FloatArray, answers: FloatArray, mean: FloatArray, slices: int) -> FloatArray:
    """What each pair's similarity loses when one strip of its query is replaced by that of `mean` (dim,): (n, K).
    Raises EmbeddingError as `swap_strip`."""
    before = (query * answers).sum(axis=1)
    after = [(swap_strip(query, mean, strip, slices) * answers).sum(axis=1) for strip in range(slices)]
    losses: FloatArray = before[:, None] - np.stack(after, axis=1)
    return losses


def strip_importance(query: EmbeddedCrops, gallery: EmbeddedCrops, slices: int, protocol: str) -> FloatArray:
    """How much each strip did for each query: (q, K) float32; NaN where a query has no right or no wrong answer.

    The margin is the similarity of the nearest right answer less that of the nearest wrong one. A strip's importance
    is what the margin loses when that strip of the query is replaced by the gallery's mean strip.

    Raises EmbeddingError where embeddings cannot be compared, ConfigError for an unknown protocol.
    """
    rule, q, g = find_protocol(protocol), rows_of(query), GalleryRows(rows_of(gallery))
    unit_q, unit_g = unit_rows(query.embeddings), unit_rows(gallery.embeddings)
    mean = unit_g.mean(axis=0)
    importance = np.full((len(q), slices), np.nan, np.float32)
    for start in range(0, len(q), BLOCK):
        similarity = unit_q[start : start + BLOCK] @ unit_g.T
        for row, line in enumerate(similarity, start):
            junk, relevant = rule.left_out(q, row, g), relevant_rows(q, row, g)
            line[junk] = -np.inf
            right = relevant[line[relevant].argmax()] if len(relevant) else 0
            if not len(relevant) or line[right] == -np.inf:
                continue
            line[relevant] = -np.inf
            wrong = line.argmax()
            if line[wrong] == -np.inf:
                continue
            pair = unit_g[[right, wrong]]
            losses = swap_losses(np.repeat(unit_q[row : row + 1], 2, axis=0), pair, mean, slices)
            importance[row] = losses[0] - losses[1]
    return importance


def leave_out(query: EmbeddedCrops, strip: int, slices: int) -> EmbeddedCrops:
    """The same queries with one strip's part set to zero, so that it adds nothing to any similarity. Raises
    EmbeddingError where nothing but zeros is left."""
    return replace(
        query, embeddings=swap_strip(query.embeddings, np.zeros(query.embeddings.shape[1], np.float32), strip, slices)
    )


def paint_strip(pixels: Pixels, *, strip: int, slices: int, picture: Pixels) -> Pixels:
    """Pictures (n, h, w, 3) with one of K strips replaced by that of `picture` (h, w, 3)."""
    height = pixels.shape[1] // slices
    painted = pixels.copy()
    painted[:, strip * height : (strip + 1) * height] = picture[strip * height : (strip + 1) * height]
    return painted


def choose_deleted(deleted: list[EmbeddedCrops], strips: IntArray) -> EmbeddedCrops:
    """One of K embeddings of each query, by `strips` (q,). deleted: the same queries, without strip k in the k-th."""
    stacked = np.stack([crops.embeddings for crops in deleted])  # (K, q, dim)
    return replace(deleted[0], embeddings=stacked[strips, np.arange(len(strips))])


@dataclass(frozen=True)
class Deletion:
    """(rank-1, mAP) of the queries, each without one strip. most: without its most important strip. least: without its
    least important. any: without any one, the mean over the strips."""

    most: tuple[float, float]
    any: tuple[float, float]
    least: tuple[float, float]


@dataclass(frozen=True)
class Faithfulness:
    """Whether the importance of strips is true: without the most important strip rank-1 and mAP should fall most,
    without the least important one least. whole: (rank-1, mAP) of the whole queries. left_out: the strip is left out of
    the embedding. painted: it is painted over in the query's picture by the gallery's mean picture, and the picture
    embedded again: a harder test, since a patched picture is unlike any that the network has seen."""

    whole: tuple[float, float]
    left_out: Deletion
    painted: Deletion

    def to_dict(self) -> dict[str, Any]:
        """For JSON: each as [rank-1, mAP]."""
        return asdict(self)


def measure_deletion(
    deleted: list[EmbeddedCrops], gallery: EmbeddedCrops, importance: FloatArray, protocol: str
) -> Deletion:
    """rank-1 and mAP with one strip of each query deleted. deleted: the queries without strip k, for every k.
    importance: (q, K), of `strip_importance`; a query of NaN goes without strip 0 either way. Raises as `evaluate`."""
    known = np.nan_to_num(importance)
    most, least = (choose_deleted(deleted, choice) for choice in (known.argmax(axis=1), known.argmin(axis=1)))
    each = [figures(crops, gallery, protocol) for crops in deleted]
    mean = float(np.mean([rank1 for rank1, _ in each])), float(np.mean([mean_ap for _, mean_ap in each]))
    return Deletion(figures(most, gallery, protocol), mean, figures(least, gallery, protocol))


def figures(query: EmbeddedCrops, gallery: EmbeddedCrops, protocol: str) -> tuple[float, float]:
    """(rank-1, mAP). Raises as `evaluate`."""
    found = evaluate(query, gallery, protocol)
    return found.rank(1), found.mean_ap
