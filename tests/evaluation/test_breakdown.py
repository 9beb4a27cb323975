from __future__ import annotations

import json

import numpy as np
import pytest

from resight.core.records import EmbeddedCrops
from resight.evaluation.breakdown import break_down
from resight.evaluation.evaluate import evaluate

from .decisions.test_calibrate import crowd


def with_cameras(crops: EmbeddedCrops, cameras: int) -> EmbeddedCrops:
    camids = np.random.default_rng(3).integers(0, cameras, len(crops))
    return EmbeddedCrops(crops.embeddings, crops.pids, camids, crops.content_hashes, crops.names)


def test_parts_add_up_to_the_whole() -> None:
    query, gallery = with_cameras(crowd(20, 2.5, each=3), 3), with_cameras(crowd(20, 2.5, each=5), 3)
    found, whole = break_down(query, gallery), evaluate(query, gallery)
    assert sum(person.cost for person in found.people) == pytest.approx(1 - whole.mean_ap)
    assert sum(person.num_scored for person in found.people) == whole.num_scored
    assert [q.average_precision for q in found.costly] == sorted(whole.ap.tolist())[:10]
    for q in found.costly:
        row = query.names.index(q.name)
        place = whole.query_index.tolist().index(row)
        assert q.first_right == (whole.first_hit[place] + 1 if whole.first_hit[place] >= 0 else None)
        assert q.nearest_wrong is None or gallery.pids[gallery.names.index(q.nearest_wrong)] != q.pid
    values = json.loads(json.dumps(found.to_dict()))
    assert values["schema"] == "resight.breakdown/1"
    assert set(values) == {"schema", "interval", "protocol", "metric", "camera_pairs", "people", "costly"}


def test_a_pair_of_cameras_is_an_evaluation_of_its_own() -> None:
    query, gallery = with_cameras(crowd(20, 2.5, each=3), 3), with_cameras(crowd(20, 2.5, each=5), 3)
    pairs = break_down(query, gallery).camera_pairs
    assert {(p.query_camid, p.gallery_camid) for p in pairs} == {(a, b) for a in range(3) for b in range(3) if a != b}
    pair, q, g = pairs[0], query.camids == pairs[0].query_camid, gallery.camids == pairs[0].gallery_camid
    plain = evaluate(
        EmbeddedCrops(
            query.embeddings[q], query.pids[q], query.camids[q], query.content_hashes[q], ("",) * int(q.sum())
        ),
        EmbeddedCrops(
            gallery.embeddings[g], gallery.pids[g], gallery.camids[g], gallery.content_hashes[g], ("",) * int(g.sum())
        ),
    )
    assert (pair.rank1, pair.mean_ap, pair.num_scored) == (plain.rank(1), plain.mean_ap, plain.num_scored)


def test_queries_whose_person_that_camera_did_not_see_are_not_counted() -> None:
    rows = np.eye(4, dtype=np.float32)
    query = EmbeddedCrops(rows, np.array([1, 2, 3, 4]), np.zeros(4, np.int64))
    gallery = EmbeddedCrops(rows, np.array([1, 2, 3, 4]), np.array([1, 1, 2, 2]))
    for protocol in ("market1501", "top10"):
        found = break_down(query, gallery, protocol).camera_pairs
        assert [(pair.gallery_camid, pair.num_scored, pair.rank1) for pair in found] == [(1, 2, 1.0), (2, 2, 1.0)]


def test_queries_of_nobody_are_not_counted_under_top10() -> None:
    rows = np.eye(4, dtype=np.float32)
    query = EmbeddedCrops(rows, np.array([1, 2, -1, -1]), np.zeros(4, np.int64))
    gallery = EmbeddedCrops(rows, np.array([1, 2, -1, 0]), np.ones(4, np.int64))
    (pair,) = break_down(query, gallery, "top10").camera_pairs
    assert (pair.num_scored, pair.mean_ap) == (2, 1.0)
