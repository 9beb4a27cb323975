from __future__ import annotations

import json

import numpy as np
import pytest

from resight.core.errors import DataError
from resight.core.records import EmbeddedCrops
from resight.evaluation.decisions.open_set import measure_open_set
from resight.evaluation.decisions.searches import best_by_person
from tests.evaluation.decisions.test_verification import crops


def test_the_nearest_of_each_person_equals_a_plain_search() -> None:
    query, gallery = crops(7, 2, 1.0, 1, 1), crops(9, 3, 1.0, 2, 2)
    mixed = EmbeddedCrops(
        gallery.embeddings,
        np.where(np.arange(27) % 7 == 0, 0, np.where(np.arange(27) % 11 == 3, -1, gallery.pids)),
        np.where(np.arange(27) % 4 == 0, 1, 2),
        gallery.content_hashes,
        gallery.names,
    )
    best, own, people = best_by_person(query, mixed)
    assert people.tolist() == sorted(set(mixed.pids.tolist()) - {-1})
    q, g = (e / np.linalg.norm(e, axis=1, keepdims=True) for e in (query.embeddings, mixed.embeddings))
    for row in range(len(query)):
        for column, pid in enumerate(people):
            similar = [q[row] @ g[j] for j in range(27) if mixed.pids[j] == pid]
            expected = -np.inf if pid == query.pids[row] else max(similar)
            assert best[row, column] == pytest.approx(expected, abs=1e-5)
        mates = [q[row] @ g[j] for j in range(27) if mixed.pids[j] == query.pids[row] and mixed.camids[j] == 2]
        assert own[row] == pytest.approx(max(mates, default=-np.inf), abs=1e-5)


def test_the_right_way_round() -> None:
    easy = measure_open_set(crops(60, 2, 0.4, 1, 1), crops(60, 2, 0.4, 2, 2))
    hard = measure_open_set(crops(60, 2, 2.0, 1, 1), crops(60, 2, 2.0, 2, 2))
    assert easy.points[0].false_negative_rate == pytest.approx(0, abs=0.01)
    assert (hard.points[0].false_negative_rate or 0) > 0.4
    assert hard.points[0].interval is not None
    assert hard.points[0].interval.low < (hard.points[0].false_negative_rate or 0) < hard.points[0].interval.high
    assert (easy.num_people, easy.num_known, easy.num_mated, easy.num_nonmated) == (60, 30, 60, 60)
    json.dumps(easy.to_dict(), allow_nan=False)


def test_a_lower_rate_of_false_positives_costs_misses() -> None:
    found = measure_open_set(crops(120, 10, 1.5, 1, 1), crops(120, 2, 1.5, 2, 2), splits=5, bootstrap_samples=20)
    lax, strict = found.points
    assert strict.threshold is not None
    assert lax.threshold is not None
    assert strict.threshold > lax.threshold
    assert (strict.false_negative_rate or 0) > (lax.false_negative_rate or 0)


def test_more_people_make_more_false_positives_as_foretold() -> None:
    found = measure_open_set(crops(200, 3, 1.5, 1, 1), crops(200, 2, 1.5, 2, 2))
    half, quarter = found.sizes
    assert (half.num_people, quarter.num_people) == (50, 25)
    assert 0.1 > half.counted > quarter.counted > 0
    for size in found.sizes:
        assert size.counted == pytest.approx(size.foretold, rel=0.25)


def test_rates_that_the_searches_cannot_show_are_not_given() -> None:
    found = measure_open_set(crops(60, 2, 0.8, 1, 1), crops(60, 2, 0.8, 2, 2))
    assert found.points[1].false_negative_rate is None  # 60 searches for strangers show no rate of one in a hundred
    few = measure_open_set(crops(6, 1, 0.8, 1, 1), crops(6, 2, 0.8, 2, 2))
    assert few.points[0].false_negative_rate is None
    assert few.sizes == ()
    with pytest.raises(DataError, match="four people"):
        measure_open_set(crops(3, 1, 0.8, 1, 1), crops(3, 2, 0.8, 2, 2))


def test_a_gallery_without_people_is_told() -> None:
    query = EmbeddedCrops(np.eye(2, dtype=np.float32), np.array([1, 2]), np.array([1, 1]))
    with pytest.raises(DataError, match="nobody"):
        measure_open_set(query, EmbeddedCrops(np.eye(2, dtype=np.float32), np.array([-1, -1]), np.array([2, 2])))
