from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from resight.core import distances
from resight.core.distances import distance_blocks, map_blocks
from resight.core.errors import EmbeddingError


def distmat(query: np.ndarray, gallery: np.ndarray, metric: str, block_bytes: int = 32) -> np.ndarray:
    """All blocks, one below the other."""
    blocks = [(start, block.copy()) for start, block in distance_blocks(query, gallery, metric, block_bytes)]
    assert [start for start, _ in blocks] == np.cumsum([0, *(len(block) for _, block in blocks[:-1])]).tolist()
    return np.concatenate([block for _, block in blocks])


VALUES = st.floats(-8, 8, width=32).map(lambda value: round(value, 2))


def matrices(rows: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float32, (rows, 5), elements=VALUES)


@given(matrices(3), matrices(4))
def test_euclidean_equals_the_definition(query: np.ndarray, gallery: np.ndarray) -> None:
    expected = [[math.dist(q, g) for g in gallery.tolist()] for q in query.tolist()]
    np.testing.assert_allclose(distmat(query, gallery, "euclidean"), expected, atol=2e-6, rtol=1e-6)


@given(matrices(3), matrices(4))
def test_cosine_equals_the_definition(query: np.ndarray, gallery: np.ndarray) -> None:
    query, gallery = query + np.float32(0.001), gallery + np.float32(0.001)
    expected = [
        [1 - sum(a * b for a, b in zip(q, g, strict=True)) / math.hypot(*q) / math.hypot(*g) for g in gallery.tolist()]
        for q in query.tolist()
    ]
    np.testing.assert_allclose(distmat(query, gallery, "cosine"), expected, atol=1e-5)


def test_near_rows_far_from_the_origin_do_not_cancel() -> None:
    query = np.full((1, 128), 1000, np.float32)
    gallery = query + np.float32(0.125)
    assert distmat(query, gallery, "euclidean")[0, 0] == pytest.approx(0.125 * math.sqrt(128), rel=1e-5)
    assert distmat(query, query, "euclidean")[0, 0] == 0


def test_a_zero_row_has_no_direction() -> None:
    with pytest.raises(EmbeddingError, match="embedding 1 is all zeros"):
        distmat(np.array([[1, 0], [0, 0]], np.float32), np.ones((1, 2), np.float32), "cosine")

    with pytest.raises(EmbeddingError, match="or next to it"):  # whose inverse is beyond float32
        distmat(np.full((1, 2), 1e-40, np.float32), np.ones((1, 2), np.float32), "cosine")


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(("queries", "rows"), [(1, 236), (39, 236), (7, 1001)])
def test_equal_gallery_rows_are_equally_far_wherever_they_stand(
    queries: int, rows: int, metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resight.core.distances.CHUNK_ROWS", 300)
    rng = np.random.default_rng(1)
    gallery = np.tile(rng.normal(size=(2, 172)).astype(np.float32), (rows, 1))
    found = distmat(rng.normal(size=(queries, 172)).astype(np.float32), gallery, metric)
    assert (found[:, ::2] == found[:, :1]).all()
    assert (found[:, 1::2] == found[:, 1:2]).all()
    assert (found[:, 0] != found[:, 1]).all()


@pytest.mark.parametrize("scale", [1e20, 1e-23])
def test_the_squares_of_huge_and_tiny_numbers_do_not_count(scale: float) -> None:
    rows = np.array([[3, 4], [4, 3]], np.float32)
    found = distmat(rows * np.float32(scale), rows * np.float32(scale), "cosine")
    np.testing.assert_allclose(found, distmat(rows, rows, "cosine"), atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_blocks_and_chunks_change_nothing(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    query, gallery = (rng.integers(-3, 4, (n, 4)).astype(np.float32) + np.float32(0.5) for n in (7, 11))
    whole = distmat(query, gallery, metric, 2**20)
    monkeypatch.setattr(distances, "CHUNK_ROWS", 3)
    monkeypatch.setattr(distances, "LEAST_ROWS", 1)
    for block_bytes in (1, 50, 100, 10_000):
        np.testing.assert_allclose(distmat(query, gallery, metric, block_bytes), whole, atol=1e-6)


def test_a_memory_map_is_read_as_it_is(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    np.save(tmp_path / "gallery.npy", values)
    mapped = np.load(tmp_path / "gallery.npy", mmap_mode="r")
    assert np.array_equal(distmat(values[:3], mapped, "cosine"), distmat(values[:3], values, "cosine"))


@pytest.mark.parametrize("cores", [1, 3])
def test_work_on_each_block_is_in_order_and_alone_with_it(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "available_cores", lambda: cores)
    monkeypatch.setattr(distances, "LEAST_ROWS", 1)
    rng = np.random.default_rng(0)
    query, gallery = (rng.normal(size=(n, 4)).astype(np.float32) for n in (23, 11))

    def work(start: int, block: np.ndarray) -> tuple[int, np.ndarray]:
        found = block.copy()
        block[:] = np.nan  # the next block must not hold any of it
        return start, found

    for block_bytes in (1, 200, 10_000):
        found = map_blocks(work, query, gallery, "cosine", block_bytes)
        assert [start for start, _ in found] == np.cumsum([0, *(len(block) for _, block in found[:-1])]).tolist()
        np.testing.assert_allclose(
            np.concatenate([block for _, block in found]), distmat(query, gallery, "cosine"), atol=1e-6
        )
    with pytest.raises(ZeroDivisionError):
        map_blocks(lambda start, block: 1 // start, query, gallery)
