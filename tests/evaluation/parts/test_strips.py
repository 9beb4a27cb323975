from __future__ import annotations

import numpy as np
import pytest

from resight.core.distances import unit_rows
from resight.core.records import EmbeddedCrops, FloatArray
from resight.evaluation.parts.strips import (
    Faithfulness,
    choose_deleted,
    leave_out,
    measure_deletion,
    paint_strip,
    strip_importance,
    strip_similarities,
    swap_losses,
    swap_strip,
)


def random_unit(n: int, dim: int = 8, seed: int = 0) -> FloatArray:
    return unit_rows(np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32))


def crops(embeddings: FloatArray, pids: list[int], camid: int) -> EmbeddedCrops:
    n = len(pids)
    names = tuple(f"{camid}/{row}" for row in range(n))
    return EmbeddedCrops(embeddings, np.array(pids), np.full(n, camid), np.arange(n, dtype=np.uint64), names)


def test_the_strips_mean_is_the_similarity() -> None:
    query, answers = random_unit(5), random_unit(5, seed=1)
    strips = strip_similarities(query, answers, 4)
    assert strips.shape == (5, 4)
    assert np.allclose(strips.mean(axis=1), (query * answers).sum(axis=1), atol=1e-6)


def test_a_strip_of_parts_of_equal_length_is_its_own_cosine() -> None:
    parts_q, parts_a = (unit_rows(random_unit(4, 2, seed)) for seed in (2, 3))  # one pair of 4 parts
    pair = [(parts.reshape(1, 8) / 2).astype(np.float32) for parts in (parts_q, parts_a)]
    strips = strip_similarities(pair[0], pair[1], 4)
    assert np.allclose(strips[0], (parts_q * parts_a).sum(axis=1), atol=1e-6)


def test_swapping_touches_one_part_and_keeps_the_length() -> None:
    embeddings, mean = random_unit(3), random_unit(1, seed=5)[0]
    swapped = swap_strip(embeddings, mean, 1, 4)
    assert np.allclose(np.linalg.norm(swapped, axis=1), 1, atol=1e-6)
    ratio = swapped[:, [0, 1, 4, 5, 6, 7]] / embeddings[:, [0, 1, 4, 5, 6, 7]]
    assert np.allclose(ratio, ratio[:, :1], rtol=1e-4)  # the others keep their direction
    losses = swap_losses(embeddings, embeddings, mean, 4)
    assert losses.shape == (3, 4)
    assert (losses > 0).all()  # nothing is as like it as itself


def planted() -> tuple[EmbeddedCrops, EmbeddedCrops]:
    """Everybody has the same first and third part; the second part alone says who it is."""
    gallery = np.array([[1, 0, 1, 0, 1, 0], [1, 0, 0, 1, 1, 0]], np.float32)
    return crops(unit_rows(gallery.copy()), [1, 2], 1), crops(unit_rows(gallery), [1, 2], 2)


def test_importance_is_where_people_differ() -> None:
    query, gallery = planted()
    importance = strip_importance(query, gallery, 3, "market1501")
    assert importance.argmax(axis=1).tolist() == [1, 1]
    assert (importance[:, 1] > 0.2).all()
    assert (importance[:, [0, 2]] < 0.1).all()


def test_importance_of_a_query_without_a_margin_is_nan() -> None:
    query, gallery = planted()
    alone = crops(query.embeddings, [1, 3], 1)
    assert np.isnan(strip_importance(alone, gallery, 3, "market1501")).all(axis=1).tolist() == [False, True]
    one = crops(gallery.embeddings[:1], [1], 2)
    assert np.isnan(strip_importance(query, one, 3, "market1501")).all()


def test_painting_replaces_one_strip_of_every_picture() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (2, 8, 4, 3), dtype=np.uint8)
    picture = np.random.default_rng(1).integers(0, 255, (8, 4, 3), dtype=np.uint8)
    painted = paint_strip(pixels, strip=1, slices=4, picture=picture)
    assert (painted[:, 2:4] == picture[2:4]).all()
    assert (painted[:, :2] == pixels[:, :2]).all()
    assert (painted[:, 4:] == pixels[:, 4:]).all()


def test_each_query_is_taken_with_its_own_strip_deleted() -> None:
    sets = [crops(np.full((3, 4), strip, np.float32), [1, 2, 3], 1) for strip in range(4)]
    assert choose_deleted(sets, np.array([2, 0, 3])).embeddings[:, 0].tolist() == [2, 0, 3]


def test_a_part_left_out_adds_nothing() -> None:
    query, gallery = planted()
    without = leave_out(query, 1, 3)
    assert (without.embeddings[:, 2:4] == 0).all()
    assert np.allclose(without.embeddings @ gallery.embeddings.T, (without.embeddings @ gallery.embeddings.T)[:, :1])


def test_deletion_takes_from_each_query_what_mattered_to_it() -> None:
    query, gallery = planted()
    deleted = [query, crops(query.embeddings[::-1].copy(), [1, 2], 1), query]  # without the second it is all wrong
    importance = np.array([[0, 1, -1], [-1, 1, 0]], np.float32)
    found = measure_deletion(deleted, gallery, importance, "market1501")
    assert found.most == (0.0, 0.5)
    assert found.least == (1.0, 1.0)
    assert found.any == pytest.approx((2 / 3, 2.5 / 3))
    assert Faithfulness((1.0, 1.0), found, found).to_dict()["painted"]["most"] == (0.0, 0.5)
