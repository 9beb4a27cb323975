from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from resight.core.distances import unit_rows
from resight.core.errors import ConfigError
from resight.core.visibility import (
    Parts,
    distances_in_two_stages,
    hide,
    rows_of_third,
    visibility_of_rows,
    visible_similarity,
)

NAMED = [("whole", 0, 6), *((f"strip {k + 1} of 3", 6 + 2 * k, 8 + 2 * k) for k in range(3))]
PARTS = Parts.of(NAMED)


def _embeddings(number: int, seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return unit_rows(np.random.default_rng(seed).normal(size=(number, 12)).astype(np.float32))


def _slow(
    q: np.ndarray[Any, Any], g: np.ndarray[Any, Any], vq: np.ndarray[Any, Any], vg: np.ndarray[Any, Any]
) -> float:
    """The weighted cosine, part by part."""
    both = vq * vg
    weights = [1.0 if vq.min() >= 1 and vg.min() >= 1 else 0.0, *both]
    places = [(0, 6), (6, 8), (8, 10), (10, 12)]
    product = sum(w * float(q[a:b] @ g[a:b]) for w, (a, b) in zip(weights, places, strict=True))
    one = sum(w * float(q[a:b] @ q[a:b]) for w, (a, b) in zip(weights, places, strict=True))
    other = sum(w * float(g[a:b] @ g[a:b]) for w, (a, b) in zip(weights, places, strict=True))
    return product / np.sqrt(one * other) if one * other > 0 else -1.0


def test_as_a_slow_one() -> None:
    query, gallery = _embeddings(5, 0), _embeddings(7, 1)
    rng = np.random.default_rng(2)
    vq, vg = (rng.choice([0.0, 0.5, 1.0], size=(n, 3)).astype(np.float32) for n in (5, 7))
    vq[0], vg[0] = 1, 1
    vq[1], vg[1] = (1, 0, 0), (0, 1, 1)
    found = visible_similarity(query, gallery, vq, vg, PARTS)
    for a in range(5):
        for b in range(7):
            assert found[a, b] == pytest.approx(_slow(query[a], gallery[b], vq[a], vg[b]), abs=1e-5)
    assert found[1, 1] == -1  # nothing in common


def test_where_all_is_visible_it_is_the_cosine() -> None:
    query, gallery = _embeddings(5, 0), _embeddings(7, 1)
    found = visible_similarity(query, gallery, np.ones((5, 3), np.float32), np.ones((7, 3), np.float32), PARTS)
    assert found == pytest.approx(query @ gallery.T, abs=1e-6)


def test_what_is_hidden_does_not_matter() -> None:
    query, gallery = _embeddings(5, 0), _embeddings(7, 1)
    visible = np.tile(np.array([0, 1, 1], np.float32), (5, 1))
    before = visible_similarity(query, gallery, visible, np.ones((7, 3), np.float32), PARTS)
    query[:, :8] = _embeddings(5, 3)[:, :8]
    after = visible_similarity(query, gallery, visible, np.ones((7, 3), np.float32), PARTS)
    assert after == pytest.approx(before, abs=1e-6)


def test_the_second_stage_sees_what_the_first_found() -> None:
    query, gallery = _embeddings(4, 0), _embeddings(30, 1)
    vq, vg = np.tile(np.array([1, 0, 1], np.float32), (4, 1)), np.ones((30, 3), np.float32)
    found = distances_in_two_stages(query, gallery, vq, vg, PARTS, most=10)
    plain, again = query @ gallery.T, visible_similarity(query, gallery, vq, vg, PARTS)
    for row in range(4):
        first = np.argsort(-plain[row])[:10]
        expected = [*sorted(first, key=lambda g: -again[row, g]), *np.argsort(-plain[row])[10:]]
        assert np.argsort(found[row]).tolist() == [int(g) for g in expected]


def test_how_much_of_a_strip_is_left() -> None:
    assert visibility_of_rows((0, 1 / 3), 3).tolist() == pytest.approx([0, 1, 1])
    assert visibility_of_rows((0, 1 / 3), 4).tolist() == pytest.approx([0, 2 / 3, 1, 1], abs=1e-6)
    assert visibility_of_rows((1 / 3, 2 / 3), 4).tolist() == pytest.approx([1, 1 / 3, 1 / 3, 1], abs=1e-6)
    assert rows_of_third("bottom") == (2 / 3, 1)


def test_hiding_paints_one_third() -> None:
    pixels = np.full((2, 9, 4, 3), 200, np.uint8)
    picture = np.zeros((9, 4, 3), np.uint8)
    hidden = hide(pixels, "middle", picture)
    assert hidden[:, 3:6].max() == 0
    assert hidden[:, :3].min() == hidden[:, 6:].min() == 200
    assert pixels.min() == 200


def test_models_without_strips_are_refused() -> None:
    with pytest.raises(ConfigError, match="strips"):
        Parts.of([("whole", 0, 12)])
    assert Parts.of(NAMED[1:]).whole is None
