"""Matching under occlusion: two pictures are compared on those parts of the body that both show.

An embedding of parts (a whole, and strips from top to bottom) comes with the visibility of each strip, from 0, hidden,
to 1. The strips of a pair weigh by the product of their visibilities; the whole counts where nothing is hidden, since
what hides a part is in it. After Miao et al. (ICCV 2019) and Sun et al. (CVPR 2019), who compare shared regions alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resight.core.distances import unit_rows
from resight.core.errors import ConfigError
from resight.core.pictures.images import Pixels
from resight.core.records import FloatArray

SECOND_STAGE = 100  # gallery pictures a query that are compared again
THIRDS = ("top", "middle", "bottom")
BLOCK = 256


@dataclass(frozen=True)
class Parts:
    """Where the parts lie in an embedding, as (start, stop). whole: of the whole picture, None where there is none.
    strips: of each horizontal strip, from top to bottom."""

    whole: tuple[int, int] | None
    strips: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, named: Sequence[tuple[str, int, int]]) -> Parts:
        """From a model's parts: (name, start, stop), named `whole` or `strip ...`. Raises ConfigError where fewer than
        two are strips."""
        whole = next(((start, stop) for name, start, stop in named if name == "whole"), None)
        strips = tuple((start, stop) for name, start, stop in named if name.startswith("strip"))
        if len(strips) < 2:
            raise ConfigError("matching under occlusion takes a model whose embedding has strips")
        return cls(whole, strips)

    def scaled(self, embeddings: FloatArray, visible: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The parts times their weights, (n, dim); the weights, (n, P); and the squared lengths, (n, P), of all P
        parts. visible: (n, K) in [0, 1], how much is seen of each strip."""
        weights = visible
        places = list(self.strips)
        if self.whole is not None:
            places.insert(0, self.whole)
            weights = np.concatenate([(visible.min(axis=1, keepdims=True) >= 1).astype(np.float32), visible], axis=1)
        scaled = np.zeros_like(embeddings)
        squares = np.empty((len(embeddings), len(places)), np.float32)
        for place, (start, stop) in enumerate(places):
            part = embeddings[:, start:stop]
            scaled[:, start:stop] = part * weights[:, place, None]
            squares[:, place] = (part**2).sum(axis=1)
        return scaled, weights.astype(np.float32), squares


def visible_similarity(
    query: FloatArray, gallery: FloatArray, query_visible: FloatArray, gallery_visible: FloatArray, parts: Parts
) -> FloatArray:
    """Cosine similarities over the parts that both pictures show, (q, g) float32; -1 where they have none in common.

    query (q, dim), gallery (g, dim): of unit length. query_visible (q, K), gallery_visible (g, K): how much is seen of
    each strip, in [0, 1]. Where all is seen it is the plain cosine similarity.
    """
    scaled_q, weights_q, squares_q = parts.scaled(query, query_visible)
    scaled_g, weights_g, squares_g = parts.scaled(gallery, gallery_visible)
    product = scaled_q @ scaled_g.T
    lengths = ((weights_q * squares_q) @ weights_g.T) * (weights_q @ (weights_g * squares_g).T)
    out: FloatArray = np.where(lengths > 1e-12, product / np.sqrt(np.maximum(lengths, 1e-12)), -1.0).astype(np.float32)
    return out


def distances_in_two_stages(
    query: FloatArray,
    gallery: FloatArray,
    query_visible: FloatArray,
    gallery_visible: FloatArray,
    parts: Parts,
    most: int = SECOND_STAGE,
) -> FloatArray:
    """A distmat (q, g) float32 that ranks as a search in two stages does: the first `most` gallery rows by the whole
    embedding, ranked again by `visible_similarity`, then all others as they were.

    Raises EmbeddingError where an embedding is all zeros.
    """
    query, gallery = unit_rows(query), unit_rows(gallery)
    most = min(most, len(gallery))
    out = np.empty((len(query), len(gallery)), np.float32)
    for start in range(0, len(query), BLOCK):
        rows = slice(start, start + BLOCK)
        plain = query[rows] @ gallery.T
        out[rows] = 4 - plain  # farther than anything of the second stage, which lies within [0, 2]
        for row, first in enumerate(np.argpartition(-plain, most - 1, axis=1)[:, :most], start):
            one = slice(row, row + 1)
            again = visible_similarity(query[one], gallery[first], query_visible[one], gallery_visible[first], parts)
            out[row, first] = 1 - again[0]
    return out


def visibility_of_rows(hidden: tuple[float, float], slices: int) -> FloatArray:
    """How much is seen of each of K strips, (K,) float32, where a part of the picture is hidden: from hidden[0] to
    hidden[1], in shares of its height from the top."""
    edges = np.arange(slices + 1) / slices
    covered = np.minimum(edges[1:], hidden[1]) - np.maximum(edges[:-1], hidden[0])
    out: FloatArray = (1 - np.clip(covered, 0, None) * slices).clip(0, 1).astype(np.float32)
    return out


def hide(pixels: Pixels, third: str, picture: Pixels) -> Pixels:
    """The pictures (n, h, w, 3) with one of THIRDS replaced by that part of `picture` (h, w, 3)."""
    low, high = rows_of_third(third)
    height = pixels.shape[1]
    hidden = pixels.copy()
    rows = slice(round(low * height), round(high * height))
    hidden[:, rows] = picture[rows]
    return hidden


def rows_of_third(third: str) -> tuple[float, float]:
    """(top, bottom) of one of THIRDS, in shares of the picture's height."""
    place = THIRDS.index(third)
    return place / 3, (place + 1) / 3
