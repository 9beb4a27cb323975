from __future__ import annotations

import numpy as np
import pytest

from resight.core.distances import unit_rows
from resight.core.records import EmbeddedCrops
from resight.evaluation.centring import SHRINKAGE, camera_means, centre_cameras
from resight.evaluation.evaluate import evaluate


def _crops(seed: int, casts: dict[int, float], people: int = 40) -> EmbeddedCrops:
    """Each person once a camera; a camera adds a direction of its own to all it sees."""
    rng = np.random.default_rng(0)
    looks, directions = rng.normal(size=(people, 16)), rng.normal(size=(8, 16))
    noise = np.random.default_rng(seed)
    rows = [(pid, cam) for cam in casts for pid in range(1, people + 1)]
    embeddings = np.stack(
        [looks[pid - 1] + casts[cam] * directions[cam] + 0.2 * noise.normal(size=16) for pid, cam in rows]
    )
    names = tuple(f"{seed}/{row}" for row in range(len(rows)))
    pids, camids = (np.array(column) for column in zip(*rows, strict=True))
    content_hashes = np.arange(len(rows)).astype(np.uint64)
    return EmbeddedCrops(unit_rows(embeddings.astype(np.float32)), pids, camids, content_hashes, names)


def test_means_by_hand() -> None:
    embeddings = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    means = camera_means(embeddings, np.array([4, 4, 7]))
    assert means[4] == pytest.approx(np.array([0.5, 0.5]) * 2 / (2 + SHRINKAGE))
    assert means[7] == pytest.approx(np.array([1.0, 0.0]) / (1 + SHRINKAGE))


def test_what_a_camera_adds_to_all_no_longer_counts() -> None:
    query, gallery = _crops(1, {1: 2.0}), _crops(2, {1: 2.0, 2: 2.0, 3: 2.0})
    before, after = evaluate(query, gallery), evaluate(*centre_cameras(query, gallery))
    assert before.mean_ap < 0.5
    assert after.mean_ap > 0.95


def test_where_cameras_add_nothing_little_changes() -> None:
    query, gallery = _crops(1, {1: 0.0}), _crops(2, {1: 0.0, 2: 0.0})
    before, after = evaluate(query, gallery), evaluate(*centre_cameras(query, gallery))
    assert after.mean_ap == pytest.approx(before.mean_ap, abs=0.02)


def test_a_camera_of_one_picture_keeps_it() -> None:
    query, gallery = _crops(1, {1: 0.0}, people=1), _crops(2, {2: 0.0}, people=1)
    centred, _ = centre_cameras(query, gallery)
    assert centred.embeddings == pytest.approx(query.embeddings, abs=1e-5)
