from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resight.data.doctor import duplicates
from resight.data.doctor.duplicates import cross_pairs, near_pairs, same_value_pairs

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
