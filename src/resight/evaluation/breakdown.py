"""Which pairs of cameras, which people and which queries cost most of the mAP."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from resight.core.errors import DataError
from resight.core.records import EmbeddedCrops
from resight.evaluation.evaluate import Evaluation, evaluate, rankings
from resight.evaluation.intervals import Interval
from resight.evaluation.protocols import DISTRACTOR_PID

SCHEMA = "resight.breakdown/1"
COSTLY_QUERIES = 10
SHOWN_ANSWERS = 10


@dataclass(frozen=True)
class CameraPair:
    """Queries by one camera, searched among the gallery pictures by another. Queries whose person that camera did not
    see are not counted."""

    query_camid: int
    gallery_camid: int
    num_scored: int
    rank1: float
    rank1_interval: Interval
    mean_ap: float
    mean_ap_interval: Interval


@dataclass(frozen=True)
class Person:
    """One person's queries. cost: how much of the whole mAP they cost together."""

    pid: int
    num_scored: int
    rank1: float
    mean_ap: float
    cost: float


@dataclass(frozen=True)
class CostlyQuery:
    """One query. cost: how much of the whole mAP it costs. first_right: the rank, from 1, of its first right answer,
    None where there is none. nearest_wrong: the name of the nearest wrong answer among the first SHOWN_ANSWERS, None
    where they are all right."""

    name: str
    pid: int
    camid: int
    average_precision: float
    cost: float
    first_right: int | None
    nearest_wrong: str | None
    nearest_wrong_similarity: float | None


@dataclass(frozen=True)
class Breakdown:
    """Each list goes from the worst to the best; the costs of all people add up to 1 - mAP."""

    protocol: str
    distance: str
    camera_pairs: tuple[CameraPair, ...]
    people: tuple[Person, ...]
    costly: tuple[CostlyQuery, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = asdict(self)
        return {
            "schema": SCHEMA,
            "interval": "95% score interval over queries",
            "metric": values.pop("distance"),
            **values,
        }


def break_down(
    query: EmbeddedCrops,
    gallery: EmbeddedCrops,
    protocol: str = "market1501",
) -> Breakdown:
    """The breakdown of an evaluation by cosine similarity, without re-ranking.

    Raises DataError where there is nothing to score, EmbeddingError where embeddings cannot be compared, ConfigError
    for an unknown protocol.
    """
    whole = evaluate(query, gallery, protocol)
    return Breakdown(
        whole.protocol,
        whole.distance,
        _camera_pairs(query, gallery, protocol),
        _people(query, whole),
        _costly(query, gallery, whole),
    )


def _camera_pairs(query: EmbeddedCrops, gallery: EmbeddedCrops, protocol: str) -> tuple[CameraPair, ...]:
    found = []
    for query_camid in np.unique(query.camids).tolist():
        for gallery_camid in np.unique(gallery.camids).tolist():
            searched = gallery.take(gallery.camids == gallery_camid)
            known = (query.pids > DISTRACTOR_PID) & np.isin(query.pids, searched.pids)
            searching = query.take((query.camids == query_camid) & known)
            if not len(searching):  # that camera saw none of them
                continue
            try:
                e = evaluate(searching, searched, protocol)
            except DataError:  # the protocol leaves out the camera's own pictures
                continue
            figures = (e.rank(1), e.rank1_interval, e.mean_ap, e.mean_ap_interval)
            found.append(CameraPair(query_camid, gallery_camid, e.num_scored, *figures))
    return tuple(sorted(found, key=lambda pair: pair.mean_ap))


def _people(query: EmbeddedCrops, whole: Evaluation) -> tuple[Person, ...]:
    people, place = np.unique(query.pids[whole.query_index], return_inverse=True)
    count = np.bincount(place)
    ap, right = np.bincount(place, whole.ap), np.bincount(place, whole.first_hit == 0)
    cost = (count - ap) / whole.num_scored
    order = np.argsort(-cost, kind="stable")
    return tuple(
        Person(int(people[p]), int(count[p]), float(right[p] / count[p]), float(ap[p] / count[p]), float(cost[p]))
        for p in order
    )


def _costly(query: EmbeddedCrops, gallery: EmbeddedCrops, whole: Evaluation) -> tuple[CostlyQuery, ...]:
    worst = np.argsort(whole.ap, kind="stable")[:COSTLY_QUERIES]
    rows = whole.query_index[worst]
    lists = rankings(query.take(rows), gallery, whole.protocol, top=SHOWN_ANSWERS)
    found = []
    for place, row, ranked in zip(worst, rows, lists, strict=True):
        wrong = np.flatnonzero(~ranked.relevant)
        first = int(whole.first_hit[place])
        nearest = int(wrong[0]) if len(wrong) else None
        found.append(
            CostlyQuery(
                query.names[row],
                int(query.pids[row]),
                int(query.camids[row]),
                float(whole.ap[place]),
                float((1 - whole.ap[place]) / whole.num_scored),
                first + 1 if first >= 0 else None,
                None if nearest is None else gallery.names[ranked.gallery_index[nearest]],
                None if nearest is None else float(ranked.similarity[nearest]),
            )
        )
    return tuple(found)
