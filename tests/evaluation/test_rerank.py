from __future__ import annotations

import numpy as np
import pytest

from resight.core.errors import ConfigError
from resight.core.records import FloatArray
from resight.evaluation.expansion import Expansion, expand
from resight.evaluation.rerank import Reranking, jaccard_within, nearest_rows, rerank_blocks
from tests.oracles import dense_rerank


def people(num: int, each: int, spread: float, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(num, 16))
    values = places[np.arange(num * each) % num] + spread * rng.normal(size=(num * each, 16))
    return (3 * values).astype(np.float32)  # of any length


def reranked(query: FloatArray, gallery: FloatArray, settings: Reranking, block_bytes: int = 2**20) -> FloatArray:
    return np.concatenate([block.copy() for _, block in rerank_blocks(query, gallery, settings, block_bytes)])


@pytest.mark.parametrize(
    ("k1", "k2", "weight"), [(20, 6, 0.3), (5, 2, 0.3), (3, 1, 0.0), (7, 4, 1.0), (1, 1, 0.5), (9, 30, 0.3)]
)
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_dense_formula(k1: int, k2: int, weight: float, seed: int) -> None:
    rows = people(9, 8, 0.8, seed)
    query, gallery = rows[:15], rows[15:]
    expected = dense_rerank.rerank(query.astype(np.float64), gallery.astype(np.float64), k1, k2, weight)
    found = reranked(query, gallery, Reranking(k1, k2, weight))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_fewer_rows_than_neighbours() -> None:
    rows = people(2, 3, 0.5, 0)
    expected = dense_rerank.rerank(rows[:2].astype(np.float64), rows[2:].astype(np.float64), 20, 6, 0.3)
    np.testing.assert_allclose(reranked(rows[:2], rows[2:], Reranking()), expected, atol=1e-6)


def test_copies_of_one_picture_are_the_nearest() -> None:
    rows = people(5, 6, 0.5, 1)
    gallery = np.concatenate((rows[2:], rows[:2]))  # the queries' own copies last
    found = reranked(rows[:2], gallery, Reranking(5, 3))
    assert found.argmin(axis=1).tolist() == [28, 29]
    assert np.isfinite(found).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = people(6, 8, 0.8, 2)
    whole = reranked(rows[:20], rows[20:], Reranking(8, 3))
    monkeypatch.setattr("resight.core.distances.LEAST_ROWS", 1)
    monkeypatch.setattr("resight.evaluation.rerank.PAIRS", 7)
    np.testing.assert_allclose(reranked(rows[:20], rows[20:], Reranking(8, 3), 500), whole, atol=1e-6)


def test_neighbours_are_those_of_a_full_sort() -> None:
    rows = people(6, 8, 0.8, 3)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    neighbours, largest = nearest_rows(unit, 9)
    squared = ((unit[:, None] - unit[None, :]) ** 2).sum(axis=2)
    np.fill_diagonal(squared, -1)
    assert np.array_equal(neighbours, np.argsort(squared, axis=1, kind="stable")[:, :9])
    np.testing.assert_allclose(largest, squared.max(axis=1), rtol=1e-5)


def test_it_helps_where_neighbours_agree() -> None:
    from resight.core.records import EmbeddedCrops
    from resight.evaluation.evaluate import evaluate

    rows, pids = people(30, 10, 1.1, 4), np.arange(300) % 30 + 1

    def crops(part: slice, camid: int) -> EmbeddedCrops:
        n = len(pids[part])
        content_hashes = np.arange(n, dtype=np.uint64)
        return EmbeddedCrops(rows[part], pids[part], np.full(n, camid), content_hashes, tuple(map(str, range(n))))

    query, gallery = crops(slice(0, 60), 1), crops(slice(60, 300), 2)
    plain, better = evaluate(query, gallery), evaluate(query, gallery, reranking=Reranking())
    assert better.mean_ap > plain.mean_ap + 0.03
    assert "re-ranking (k1=20, k2=6, lambda=0.3)" in better.distance
    assert "re-ranking" not in plain.distance
    expanded = evaluate(query, gallery, expansion=Expansion(query=5, database=5, alpha=3))
    assert expanded.mean_ap > plain.mean_ap + 0.03
    assert expanded.distance == "cosine, query expansion (5, alpha=3), database augmentation (5, alpha=3)"
    both = evaluate(query, gallery, expansion=Expansion(query=3), reranking=Reranking())
    assert both.distance == f"cosine, query expansion (3, average), {Reranking()}"
    with pytest.raises(ConfigError, match="supports cosine only, not euclidean"):
        evaluate(query, gallery, distance="euclidean", reranking=Reranking())


def test_expansion_moves_towards_the_neighbours() -> None:
    query, among = np.array([[1, 0]], np.float32), np.array([[1, 1], [0, 1], [-1, 0]], np.float32)
    averaged = expand(query, among, 1)
    expected = np.array([1 + 0.5**0.5, 0.5**0.5])
    np.testing.assert_allclose(averaged[0], expected / np.linalg.norm(expected), atol=1e-6)
    weighted = expand(query, among, 3, alpha=2)  # similarities 0.71, 0, -1: the last never counts
    expected = np.array([1, 0]) + 0.5 * np.array([0.5**0.5, 0.5**0.5])
    np.testing.assert_allclose(weighted[0], expected / np.linalg.norm(expected), atol=1e-6)
    assert np.allclose(np.linalg.norm(expand(among, among, 2), axis=1), 1)


def test_database_augmentation_counts_each_row_once() -> None:
    rows = np.array([[1, 0], [0.6, 0.8], [-1, 0]], np.float32)
    found = expand(rows, rows, 2, among_itself=True)
    expected = rows[0] + rows[1]
    np.testing.assert_allclose(found[0], expected / np.linalg.norm(expected), atol=1e-6)
    np.testing.assert_allclose(expand(rows, rows, 1, among_itself=True), rows, atol=1e-6)


def test_settings_that_cannot_be() -> None:
    for settings in ({"k1": 0}, {"k2": 0}, {"weight": 1.5}, {"weight": -0.1}):
        with pytest.raises(ConfigError, match="re-ranking"):
            Reranking(**settings)
    with pytest.raises(ConfigError, match="expansion"):
        expand(np.ones((1, 2), np.float32), np.ones((1, 2), np.float32), 0)
    for values in ((0, 0, 0.0), (-1, 2, 0.0), (1, 0, -1.0)):
        with pytest.raises(ConfigError, match="expansion"):
            Expansion(*values)


def test_jaccard_distances_within_a_limit_equal_the_dense_formula() -> None:
    rows = people(9, 8, 0.8, 0)
    every = rows.astype(np.float64)
    expected = dense_rerank.rerank(every, every, 7, 4, 0.0)  # every row twice: as query and in the gallery
    found = jaccard_within(np.concatenate([rows, rows]), 7, 4, 0.6).toarray()[: len(rows), len(rows) :]
    entries = jaccard_within(np.concatenate([rows, rows]), 7, 4, 0.6)[: len(rows), len(rows) :].tocoo()
    assert {(row, column) for row, column in zip(entries.row, entries.col, strict=True)} == {
        (row, column) for row, column in np.argwhere(expected <= 0.6).tolist()
    }
    near = expected <= 0.6
    assert 0 < near.mean() < 1
    np.testing.assert_allclose(found[near], expected[near], atol=1e-6)
