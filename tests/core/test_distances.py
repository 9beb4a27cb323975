from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from resight.core.distances import cosine_distmat, euclidean_distmat
from resight.core.errors import EmbeddingError

VALUES = st.floats(-8, 8, width=32).map(lambda value: round(value, 2))


def matrices(rows: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float32, (rows, 5), elements=VALUES)


@given(matrices(3), matrices(4))
def test_euclidean_equals_the_definition(query: np.ndarray, gallery: np.ndarray) -> None:
    expected = [[math.dist(q, g) for g in gallery.tolist()] for q in query.tolist()]
    np.testing.assert_allclose(euclidean_distmat(query, gallery), expected, atol=2e-6, rtol=1e-6)


@given(matrices(3), matrices(4))
def test_cosine_equals_the_definition(query: np.ndarray, gallery: np.ndarray) -> None:
    query, gallery = query + np.float32(0.001), gallery + np.float32(0.001)
    expected = [
        [1 - sum(a * b for a, b in zip(q, g, strict=True)) / math.hypot(*q) / math.hypot(*g) for g in gallery.tolist()]
        for q in query.tolist()
    ]
    np.testing.assert_allclose(cosine_distmat(query, gallery), expected, atol=1e-5)


def test_near_rows_far_from_the_origin_do_not_cancel() -> None:
    query = np.full((1, 128), 1000, np.float32)
    gallery = query + np.float32(0.125)
    assert euclidean_distmat(query, gallery)[0, 0] == pytest.approx(0.125 * math.sqrt(128), rel=1e-5)
    assert euclidean_distmat(query, query)[0, 0] == 0


def test_a_zero_row_has_no_direction() -> None:
    with pytest.raises(EmbeddingError, match="embedding 1 is all zeros"):
        cosine_distmat(np.array([[1, 0], [0, 0]], np.float32), np.ones((1, 2), np.float32))
