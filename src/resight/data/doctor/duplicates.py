"""Pictures that are the same: byte for byte, pixel for pixel, or nearly."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from resight.core.records import IntArray
from resight.data.doctor.survey import HASH_BITS, Bits, Flags, Ids

# Of 256 bits. Measured on Market-1501 pictures: a copy at JPEG quality 40 differs in at most 20, at half the size
# in at most 19 nine times in ten; of 15 million pairs of pictures of two people none differs in fewer than 29.
NEAR_BITS = 20
BLOCK = 1024
Pairs = npt.NDArray[np.int64]  # (m, 2), rows of the survey, the smaller first


def same_value_pairs(ids: Ids | IntArray) -> Pairs:
    """Every row beside the first row with the same id: (m, 2). Many copies of one picture are a pair each."""
    _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    rows = np.arange(len(ids))
    repeated = rows[first[inverse] != rows]
    return np.stack((first[inverse[repeated]], repeated), axis=1).astype(np.int64)


def groups_of(*columns: npt.NDArray[Any]) -> IntArray:
    """(n,) int64: rows that are equal in all columns, (n,) each, have one number, from 0 on."""
    codes = [np.unique(column, return_inverse=True)[1] for column in columns]
    return np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def first_of_each(groups: IntArray) -> IntArray:
    """The first row of each group, ascending. groups: as `groups_of` has them."""
    return np.sort(np.unique(groups, return_index=True)[1]).astype(np.int64)


def pairs_between(pairs: Pairs, groups: IntArray, rows: IntArray) -> Pairs:
    """Those of `rows` in one group beside those in another, for each of `pairs` of groups: (m, 2)."""
    order = rows[np.argsort(groups[rows], kind="stable")]
    sizes = np.bincount(groups[rows], minlength=int(pairs.max(initial=-1)) + 1)
    starts = np.cumsum(sizes) - sizes
    left, right = pairs.T
    numbers = sizes[left] * sizes[right]
    which = np.repeat(np.arange(len(pairs)), numbers)
    place = np.arange(len(which)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    across = sizes[right][which]
    found = np.stack(
        (order[starts[left][which] + place // across], order[starts[right][which] + place % across]), axis=1
    )
    found = np.sort(found, axis=1)
    return found[np.lexsort((found[:, 1], found[:, 0]))]


def cross_pairs(ids: Ids, left: IntArray, right: IntArray) -> Pairs:
    """Each row of `right` whose id some row of `left` has, beside the first such: (m, 2) as (left, right)."""
    values, first = np.unique(ids[left], return_index=True)
    place = np.searchsorted(values, ids[right])
    place[place == len(values)] = 0
    found = np.flatnonzero(values[place] == ids[right]) if len(values) else np.zeros(0, np.int64)
    return np.stack((left[first[place[found]]], right[found]), axis=1).astype(np.int64)


def near_pairs(hashes: Bits, skip: Flags, near_bits: int = NEAR_BITS) -> Pairs:
    """All pairs that differ in at most `near_bits` bits: (m, 2). Rows of `skip` (blank pictures) are left out.

    Every pair is compared, in blocks: the number of bits in which two differ is (256 - a . b) / 2 for a and b of
    +1 and -1, which a matrix product counts, exactly.
    """
    rows = np.flatnonzero(~skip)
    kept = hashes[rows]
    enough = HASH_BITS - 2 * near_bits
    found = [np.zeros((0, 2), np.int64)]
    for start in range(0, len(kept), BLOCK):
        block = _signs(kept[start : start + BLOCK])
        for other in range(start, len(kept), BLOCK):
            agreement = block @ _signs(kept[other : other + BLOCK]).T
            if other > start and agreement.max() < enough:  # nearly always, and faster than to look which
                continue
            a, b = np.nonzero(agreement >= enough)
            pairs = np.stack((rows[a + start], rows[b + other]), axis=1)
            found.append(pairs[pairs[:, 0] < pairs[:, 1]])
    return np.concatenate(found)


def _signs(hashes: Bits) -> npt.NDArray[np.float32]:
    return np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1
