"""Which horizontal strip of the body decided: explanations of sliced embeddings, and the test of whether they are true.

A sliced embedding is K parts of dim / K values, one a strip from top to bottom.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from resight.core.distances import unit_rows
from resight.core.images import Pixels
from resight.core.records import EmbeddedCrops, FloatArray, IntArray
from resight.evaluation.evaluate import Evaluation
from resight.evaluation.protocols import find_protocol, rows_of
from resight.evaluation.ranking import is_relevant

BLOCK = 256


def strip_similarities(query: FloatArray, answers: FloatArray, slices: int) -> FloatArray:
    """What each strip adds to the similarity of pairs of unit length, times K: (n, dim) twice to (n, K).

    The mean over the strips is the pair's cosine similarity. Where every part has the same length, as SliceNet1's
    have, each value is the cosine of that strip.
    """
    products = (query * answers).reshape(len(query), slices, -1)  # (n, K, dim / K)
    shares: FloatArray = products.sum(axis=2) * slices
    return shares


def swap_strip(embeddings: FloatArray, mean: FloatArray, strip: int, slices: int) -> FloatArray:
    """The embeddings with one part replaced by the gallery's mean part, at unit length again: (n, dim)."""
    part = embeddings.shape[1] // slices
    swapped = embeddings.copy()
    swapped[:, strip * part : (strip + 1) * part] = mean[strip * part : (strip + 1) * part]
    return unit_rows(swapped)


def swap_losses(query: FloatArray, answers: FloatArray, mean: FloatArray, slices: int) -> FloatArray:
    """What each pair's similarity loses when one strip of its query is swapped for the gallery's mean strip: (n, K)."""
    before = (query * answers).sum(axis=1)
    after = [(swap_strip(query, mean, strip, slices) * answers).sum(axis=1) for strip in range(slices)]
    losses: FloatArray = before[:, None] - np.stack(after, axis=1)
    return losses


def strip_importance(query: EmbeddedCrops, gallery: EmbeddedCrops, slices: int, protocol: str) -> FloatArray:
    """How much each strip did for each query: (q, K); NaN where a query has no right or no wrong answer.

    The margin is the similarity of the nearest right answer less that of the nearest wrong one. A strip's importance
    is what the margin loses when that strip of the query is swapped for the gallery's mean strip.
    """
    rule, q, g = find_protocol(protocol), rows_of(query), rows_of(gallery)
    unit_q, unit_g = unit_rows(query.embeddings), unit_rows(gallery.embeddings)
    mean = unit_g.mean(axis=0)
    importance = np.full((len(q), slices), np.nan, np.float32)
    for start in range(0, len(q), BLOCK):
        similarity = unit_q[start : start + BLOCK] @ unit_g.T
        for row, line in enumerate(similarity, start):
            relevant, counted = is_relevant(q, row, g), ~rule.junk(q, row, g)
            right, wrong = np.flatnonzero(relevant & counted), np.flatnonzero(~relevant & counted)
            if not len(right) or not len(wrong):
                continue
            pair = unit_g[[right[line[right].argmax()], wrong[line[wrong].argmax()]]]
            losses = swap_losses(np.repeat(unit_q[row : row + 1], 2, axis=0), pair, mean, slices)
            importance[row] = losses[0] - losses[1]
    return importance


def delete_strip(pixels: Pixels, *, strip: int, slices: int, colour: tuple[float, float, float]) -> Pixels:
    """Pictures (n, h, w, 3) with one of K strips painted over. colour: RGB in [0, 1]."""
    height = pixels.shape[1] // slices
    painted = pixels.copy()
    painted[:, strip * height : (strip + 1) * height] = np.round(np.multiply(colour, 255)).astype(np.uint8)
    return painted


def choose_deleted(deleted: list[EmbeddedCrops], strips: IntArray) -> EmbeddedCrops:
    """One of K embeddings of each query, by `strips` (q,). deleted: of the same queries, strip k painted over in k."""
    stacked = np.stack([crops.embeddings for crops in deleted])  # (K, q, dim)
    first = deleted[0]
    chosen = stacked[strips, np.arange(len(first))]
    return EmbeddedCrops(chosen, first.pids, first.camids, first.contents, first.names)


@dataclass(frozen=True)
class Faithfulness:
    """rank-1 and mAP with nothing deleted, and with one strip painted over in every query's picture: the most
    important, the least important, and any one (the mean over the strips). It is faithful where most hurts more
    than any, and any more than least: the importance comes from embeddings, the deletion from pictures."""

    whole: tuple[float, float]
    most: tuple[float, float]
    any: tuple[float, float]
    least: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """For JSON, each as rank1 and mean_ap."""
        return {name: {"rank1": r, "mean_ap": m} for name, (r, m) in asdict(self).items()}


def faithfulness(whole: Evaluation, most: Evaluation, each: list[Evaluation], least: Evaluation) -> Faithfulness:
    """each: with strip k painted over in every query, for every k."""
    mean = float(np.mean([e.rank(1) for e in each])), float(np.mean([e.mean_ap for e in each]))
    return Faithfulness(_figures(whole), _figures(most), mean, _figures(least))


def _figures(evaluation: Evaluation) -> tuple[float, float]:
    return evaluation.rank(1), evaluation.mean_ap
