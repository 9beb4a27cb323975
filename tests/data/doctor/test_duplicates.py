from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resight.data.doctor import duplicates
from resight.data.doctor.duplicates import (
    cross_pairs,
    first_of_each,
    groups_of,
    near_pairs,
    pairs_between,
    same_value_pairs,
)

IDS = st.lists(st.integers(0, 6), max_size=30).map(lambda values: np.array(values, np.uint64))


@given(IDS)
def test_every_repeated_value_stands_beside_its_first(ids: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> None:
    values = ids.tolist()
    expected = [[values.index(value), row] for row, value in enumerate(values) if value in values[:row]]
    assert sorted(same_value_pairs(ids).tolist()) == sorted(expected)


@given(IDS, st.integers(0, 30))
def test_cross_pairs(ids: np.ndarray[tuple[int], np.dtype[np.uint64]], cut: int) -> None:
    left, right = np.arange(len(ids))[:cut], np.arange(len(ids))[cut:]
    values = ids.tolist()
    expected = [[values[:cut].index(values[row]), row] for row in right.tolist() if values[row] in values[:cut]]
    assert cross_pairs(ids, left, right).tolist() == expected


def test_near_pairs_are_those_of_a_plain_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "BLOCK", 7)
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 256, (40, 32), dtype=np.uint8)
    for row in range(20, 40):  # copies with 0 to 38 bits turned
        bits = np.unpackbits(hashes[row - 20])
        turned = rng.choice(256, 2 * (row - 20), replace=False)
        bits[turned] ^= 1
        hashes[row] = np.packbits(bits)
    skip = np.zeros(40, np.bool_)
    skip[3] = True
    expected = [
        [a, b]
        for a in range(40)
        for b in range(a + 1, 40)
        if 3 not in (a, b) and np.bitwise_count(hashes[a] ^ hashes[b]).sum() <= 20
    ]
    assert len(expected) == 10
    assert sorted(near_pairs(hashes, skip, 20).tolist()) == expected
    assert near_pairs(hashes[:0], skip[:0]).shape == (0, 2)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 1)), max_size=20), st.integers(0, 20))
def test_groups_and_the_pairs_between_them(values: list[tuple[int, int]], cut: int) -> None:
    columns = np.array(values, np.int64).reshape(-1, 2)
    groups = groups_of(columns[:, 0], columns[:, 1])
    assert [[a == b for b in groups] for a in groups] == [[a == b for b in values] for a in values]
    assert sorted(set(groups.tolist())) == list(range(len(set(values))))
    assert first_of_each(groups).tolist() == [row for row, value in enumerate(values) if value not in values[:row]]
    names = sorted(set(groups.tolist()))
    pairs = np.array([(a, b) for a in names for b in names if a < b][::2], np.int64).reshape(-1, 2)
    rows = np.arange(len(values))[:cut]
    expected = [
        [a, b]
        for a in rows.tolist()
        for b in rows.tolist()
        if a < b and [min(groups[a], groups[b]), max(groups[a], groups[b])] in pairs.tolist()
    ]
    assert pairs_between(pairs, groups, rows).tolist() == expected
