"""The second stage of a search for a partly occluded person: hits are compared again on the visible strips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from resight.core.errors import ConfigError
from resight.core.records import FloatArray
from resight.core.visibility import Parts, visibility_of_rows, visible_similarity
from resight.gallery.records import Entry, Hit, StoreHits, in_order


def hidden_of(hidden: Any) -> tuple[float, float]:
    """The occluded part as (from, to), fractions of the height from the top. Raises ConfigError if it is none."""
    try:
        low, high = (float(fraction) for fraction in hidden)
    except (TypeError, ValueError):
        raise ConfigError(f"hidden is two fractions of the height, such as (0.6, 1.0), not {hidden!r}") from None
    if not 0 <= low < high <= 1 or (low, high) == (0, 1):
        raise ConfigError(f"hidden is a part of the height from 0 (top) to 1 (bottom), not all of it: {hidden!r}")
    return low, high


def compared_again(
    found: StoreHits,
    queries: FloatArray,
    entries: Mapping[int, Entry],
    parts: Parts,
    hidden: tuple[float, float],
    top_k: int | None,
    min_similarity: float | None,
) -> StoreHits:
    """The hits re-ranked by cosine over the strips that are visible in the queries (q, dim).

    entries: by id, those of all hits; a hit whose entry is missing is left out. The entries count as fully visible.
    """
    shown = visibility_of_rows(hidden, len(parts.strips))[None]
    ranked = []
    for query, hits in zip(queries, found.hits, strict=True):
        ids = [hit.id for hit in hits if hit.id in entries]
        rows = np.array([entries[number].embedding for number in ids], np.float32).reshape(len(ids), len(query))
        whole = np.ones((len(ids), shown.shape[1]), np.float32)
        similarities = visible_similarity(query[None], rows, shown, whole, parts)[0].tolist()
        again = (Hit(number, value) for number, value in zip(ids, similarities, strict=True))
        kept = (hit for hit in again if min_similarity is None or hit.similarity >= min_similarity)
        ranked.append(in_order(kept, top_k))
    return replace(found, hits=tuple(ranked))
