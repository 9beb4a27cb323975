"""The second stage of a search for somebody whom something hides: compared on what the picture shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from resight.core.errors import ConfigError
from resight.core.records import FloatArray
from resight.core.visibility import Parts, visibility_of_rows, visible_similarity
from resight.gallery.records import Entry, Findings, Hit, in_order


def hidden_of(hidden: Any) -> tuple[float, float]:
    """From where to where, in shares of the height from the top. Raises ConfigError for what is no such part."""
    try:
        low, high = (float(share) for share in hidden)
    except (TypeError, ValueError):
        raise ConfigError(f"hidden is two shares of the height, as (0.6, 1.0), not {hidden!r}") from None
    if not 0 <= low < high <= 1 or (low, high) == (0, 1):
        raise ConfigError(f"hidden is part of the height from the top, 0 to 1, and not all of it: {hidden!r}")
    return low, high


def compared_again(
    found: Findings,
    queries: FloatArray,
    entries: Mapping[int, Entry],
    parts: Parts,
    hidden: tuple[float, float],
    top: int | None,
    at_least: float | None,
) -> Findings:
    """In order of the cosine over the strips that the queries (q, dim) show; the entries show all of theirs."""
    shown = visibility_of_rows(hidden, len(parts.strips))[None]
    answers = []
    for query, hits in zip(queries, found.answers, strict=True):
        ids = [hit.id for hit in hits if hit.id in entries]
        rows = np.array([entries[number].embedding for number in ids], np.float32).reshape(len(ids), len(query))
        whole = np.ones((len(ids), shown.shape[1]), np.float32)
        similarities = visible_similarity(query[None], rows, shown, whole, parts)[0].tolist()
        again = (Hit(number, value) for number, value in zip(ids, similarities, strict=True))
        kept = (hit for hit in again if at_least is None or hit.similarity >= at_least)
        answers.append(in_order(kept, top))
    return replace(found, answers=tuple(answers))
