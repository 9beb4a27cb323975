"""What hiding a third of each query costs, and how much of it comparing on what both show brings back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from resight.core.records import EmbeddedCrops
from resight.core.visibility import (
    Parts,
    distances_in_two_stages,
    rows_of_third,
    visibility_of_rows,
)
from resight.evaluation.bootstrap import Interval
from resight.evaluation.evaluate import Evaluation, evaluate, evaluate_distmat
from resight.evaluation.protocols import rows_of


@dataclass(frozen=True)
class OcclusionRow:
    """hidden: `nothing`, or a third of the query. compared: `plain`, by the whole embedding; `mask`, on what both show,
    the hidden rows being known."""

    hidden: str
    compared: str
    rank1: float
    rank1_interval: Interval
    mean_ap: float
    mean_ap_interval: Interval


def measure_occlusion(
    query: EmbeddedCrops,
    hidden: Mapping[str, EmbeddedCrops],
    gallery: EmbeddedCrops,
    parts: Parts,
    protocol: str = "market1501",
    *,
    seed: int = 0,
) -> list[OcclusionRow]:
    """hidden: the queries' embeddings with each third painted over, in the order of `query`."""
    slices = len(parts.strips)
    all_seen = np.ones((len(gallery), slices), np.float32)
    rows = [_row("nothing", "plain", evaluate(query, gallery, protocol, seed=seed))]

    for third, queries in hidden.items():
        known = np.tile(visibility_of_rows(rows_of_third(third), slices), (len(queries), 1))
        plain = EmbeddedCrops(queries.embeddings, query.pids, query.camids, query.content_hashes, query.names)
        distances = distances_in_two_stages(queries.embeddings, gallery.embeddings, known, all_seen, parts)
        again = evaluate_distmat(distances, rows_of(query), rows_of(gallery), protocol, seed=seed)
        rows += [
            _row(third, "plain", evaluate(plain, gallery, protocol, seed=seed)),
            _row(third, "mask", again),
        ]
    return rows


def _row(hidden: str, compared: str, found: Evaluation) -> OcclusionRow:
    return OcclusionRow(hidden, compared, found.rank(1), found.rank1_interval, found.mean_ap, found.mean_ap_interval)
