"""What hiding a third of each query costs, and how much of that comparing only the visible strips brings back."""

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
from resight.evaluation.evaluate import Evaluation, evaluate, evaluate_distmat
from resight.evaluation.intervals import Interval
from resight.evaluation.protocols import rows_of


@dataclass(frozen=True)
class OcclusionRow:
    """hidden: `nothing`, or the third of the query that is hidden. compared: `plain`, by the whole embedding, or
    `mask`, by the strips that both pictures show, where the hidden rows are known."""

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
    parts: Parts | None,
    protocol: str = "market1501",
) -> list[OcclusionRow]:
    """A row for the queries as they are, and two for each hidden third: compared plainly, and by the visible strips.

    parts: those of the embeddings; None where they have none, and are compared plainly alone. hidden: by third (`top`,
    `middle`, `bottom`), the queries' embeddings with it painted over, in the order of `query`.

    Raises DataError where there is nothing to score, EmbeddingError where embeddings cannot be compared, ConfigError
    for an unknown protocol.
    """
    rows = [_row("nothing", "plain", evaluate(query, gallery, protocol))]

    for third, queries in hidden.items():
        plain = EmbeddedCrops(queries.embeddings, query.pids, query.camids, query.content_hashes, query.names)
        rows.append(_row(third, "plain", evaluate(plain, gallery, protocol)))
        if parts is not None:
            slices = len(parts.strips)
            known = np.tile(visibility_of_rows(rows_of_third(third), slices), (len(queries), 1))
            all_seen = np.ones((len(gallery), slices), np.float32)
            distances = distances_in_two_stages(queries.embeddings, gallery.embeddings, known, all_seen, parts)
            again = evaluate_distmat(distances, rows_of(query), rows_of(gallery), protocol)
            rows.append(_row(third, "mask", again))
    return rows


def _row(hidden: str, compared: str, found: Evaluation) -> OcclusionRow:
    return OcclusionRow(hidden, compared, found.rank(1), found.rank1_interval, found.mean_ap, found.mean_ap_interval)
