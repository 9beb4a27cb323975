"""Several pictures of one person by one camera as one query."""

from __future__ import annotations

import numpy as np

from resight.core.records import EmbeddedCrops
from resight.evaluation.evaluate import evaluate
from resight.evaluation.multi_query import pool_queries


def crops(seed: int, copies: int, name: str, noise: float = 1.2) -> EmbeddedCrops:
    """20 people by two cameras, `copies` noisy pictures each."""
    rng = np.random.default_rng(seed)
    people = np.random.default_rng(0).standard_normal((20, 16))
    pids = np.repeat(np.arange(1, 21), 2 * copies)
    camids = np.tile(np.repeat([1, 2], copies), 20)
    rows = people[pids - 1] + noise * rng.standard_normal((len(pids), 16))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return EmbeddedCrops(
        rows,
        pids,
        camids,
        np.arange(len(pids), dtype=np.uint64) + np.uint64(1000 * seed),
        tuple(f"{name}{n}" for n in range(len(pids))),
    )


def test_the_pictures_of_one_person_by_one_camera_are_pooled() -> None:
    query, gallery = crops(1, 2, "q"), crops(2, 3, "g")
    pooled = pool_queries(query, gallery)
    assert len(pooled) == 40
    assert len(set(zip(pooled.pids.tolist(), pooled.camids.tolist(), strict=True))) == 40
    np.testing.assert_allclose(np.linalg.norm(pooled.embeddings, axis=1), 1, atol=1e-6)
    for row in range(40):  # the oracle: a loop
        own = [
            side.embeddings[n]
            for side in (query, gallery)
            for n in range(len(side))
            if (side.pids[n], side.camids[n]) == (pooled.pids[row], pooled.camids[row])
        ]
        assert len(own) == 5
        mean = np.mean(own, axis=0)
        np.testing.assert_allclose(pooled.embeddings[row], mean / np.linalg.norm(mean), atol=1e-6)
    assert evaluate(pooled, gallery).mean_ap > evaluate(query, gallery).mean_ap + 0.05


def test_a_picture_in_both_counts_once_and_the_order_stays() -> None:
    query = crops(1, 1, "q")
    reversed_ = EmbeddedCrops(
        query.embeddings[::-1], query.pids[::-1], query.camids[::-1], query.content_hashes[::-1], query.names[::-1]
    )
    pooled = pool_queries(reversed_, query)
    assert pooled.names == reversed_.names
    np.testing.assert_allclose(pooled.embeddings, reversed_.embeddings, atol=1e-6)


def test_pictures_without_names_and_hashes_are_all_counted() -> None:
    rows = np.array([[1, 0, 0], [0, 2, 0], [0, 0, 2]], np.float32)
    query = EmbeddedCrops(rows[:1], np.array([1]), np.array([1]))
    gallery = EmbeddedCrops(rows[1:], np.array([1, 1]), np.array([1, 1]))
    np.testing.assert_allclose(pool_queries(query, gallery).embeddings, np.full((1, 3), 3**-0.5), atol=1e-6)
