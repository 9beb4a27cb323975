from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from resight.core.errors import EmbeddingError
from resight.core.records import EmbeddedCrops

ROWS = np.eye(3, dtype=np.float32)


def test_numbers_of_other_types_are_converted() -> None:
    given: Any = [1.0, 2.0, 3.0]
    crops = EmbeddedCrops(ROWS.astype(np.float64), given, np.array([1, 1, 2], np.uint8))
    assert [column.dtype.name for column in (crops.embeddings, crops.pids, crops.camids)] == [
        "float32",
        "int64",
        "int64",
    ]
    assert crops.pids.tolist() == [1, 2, 3]
    assert crops.content_hashes.dtype.name == "uint64"
    assert crops.names == ("row 0", "row 1", "row 2")


def test_what_is_of_the_right_type_is_not_copied() -> None:
    pids = np.arange(3)
    crops = EmbeddedCrops(ROWS, pids, pids)
    assert crops.embeddings is ROWS or np.shares_memory(crops.embeddings, ROWS)
    assert np.shares_memory(crops.pids, pids)


def test_without_hashes_each_crop_is_a_picture_of_its_own() -> None:
    sides = [EmbeddedCrops(ROWS, np.arange(3), np.arange(3)) for _ in range(2)]
    assert len({*sides[0].content_hashes.tolist(), *sides[1].content_hashes.tolist()}) == 6


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"camids": np.array(["1", "1", "2"])}, r"camids must be whole numbers, not <U1: .*return_inverse"),
        ({"pids": np.array(["a", None, "b"], object)}, "pids must be whole numbers"),
        ({"pids": np.array([1, 2.5, 3])}, r"not 2\.5 \(row 1\)"),
        ({"pids": np.array([1, np.nan, 3])}, "whole numbers"),
        ({"pids": np.ones((3, 1))}, "one number for each"),
        ({"pids": np.array([1, 2])}, "3 embeddings but 2 pids"),
        ({"embeddings": ROWS * 1j}, "real numbers"),
        ({"embeddings": ROWS[0]}, r"must be \(n, dim\)"),
        ({"embeddings": ROWS * np.nan}, r"3 of 3 .* the first is row 0"),
        ({"content_hashes": np.array(["a", "b", "c"])}, "leave them out"),
    ],
)
def test_what_is_no_number_is_refused(changes: dict[str, Any], says: str) -> None:
    columns: dict[str, Any] = {"embeddings": ROWS, "pids": np.arange(3), "camids": np.ones(3, np.int64), **changes}
    with pytest.raises(EmbeddingError, match=says):
        EmbeddedCrops(**columns)


def test_rows_are_taken_with_all_that_is_known() -> None:
    crops = EmbeddedCrops(
        np.eye(3, dtype=np.float32),
        np.array([7, 8, 9]),
        np.arange(3),
        np.arange(3, dtype=np.uint64),
        ("a", "b", "c"),
        ("n", "s", "n"),
    )
    for rows in (np.array([2, 0]), np.array([True, False, True])):
        taken = crops.take(rows)
        assert sorted(zip(taken.pids.tolist(), taken.names, taken.cameras, strict=True)) == [
            (7, "a", "n"),
            (9, "c", "n"),
        ]
    assert EmbeddedCrops(np.eye(2, dtype=np.float32), np.arange(2), np.arange(2)).take(np.array([1])).cameras == ()
