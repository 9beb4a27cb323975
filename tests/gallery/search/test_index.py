"""The exact search, against a comparison with every row, in rational arithmetic where it is close."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resight.core.records import FloatArray
from resight.gallery.search.blocks import Block, Pace, Queries, Tail, Way
from resight.gallery.search.columns import ZONE_ROWS, Columns, Run, Selection, Zones
from resight.gallery.search.exact import similarities_of
from resight.gallery.search.index import Index

GRID = st.integers(-8, 8)  # values in sixteenths: products and their sums are exact in float64


def columns_of(num: int, seed: int = 0) -> Columns:
    rng = np.random.default_rng(seed)
    times = np.where(rng.random(num) < 0.2, np.nan, rng.integers(0, 50, num).astype(np.float64))
    cameras = rng.integers(0, 4, num).astype(np.uint16)
    return Columns(np.arange(10, 10 + num), times, cameras, rng.integers(0, 9, num))


def every_row(
    vectors: FloatArray, columns: Columns, query: FloatArray, top: int | None, wanted: Selection, at_least: float | None
) -> list[int]:
    """Slow and obvious: the true products, sorted."""
    answers = []
    for row in range(len(vectors)):
        if wanted.cameras is not None and columns.cameras[row] not in wanted.cameras:
            continue
        if wanted.after is not None and not columns.times[row] >= wanted.after:
            continue
        if wanted.before is not None and not columns.times[row] < wanted.before:
            continue
        if wanted.only is not None and columns.ids[row] not in wanted.only:
            continue
        if wanted.never is not None and columns.ids[row] in wanted.never:
            continue
        pairs = zip(vectors[row].tolist(), query.tolist(), strict=True)
        similarity = sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0))
        if at_least is None or similarity >= Fraction(at_least):
            answers.append((-similarity, int(columns.ids[row])))
    return [number for _, number in sorted(answers)[:top]]


@st.composite
def searches(draw: st.DrawFn) -> Any:
    num, dim, queries = draw(st.integers(0, 60)), draw(st.integers(1, 9)), draw(st.integers(1, 5))
    values = draw(st.lists(GRID, min_size=(num + queries) * dim, max_size=(num + queries) * dim))
    rows = (np.array(values, np.float32) / 16).reshape(num + queries, dim)

    def optional(kind: st.SearchStrategy[Any]) -> Any:
        return draw(st.none() | kind)

    ids = st.lists(st.integers(10, 70), max_size=20).map(lambda found: np.array(sorted(set(found)), np.int64))
    wanted = Selection(
        cameras=optional(st.lists(st.integers(0, 5), max_size=3).map(lambda found: np.array(found, np.uint16))),
        after=optional(st.integers(0, 50).map(float)),
        before=optional(st.integers(0, 50).map(float)),
        only=optional(ids),
        never=optional(ids),
    )
    top, at_least = optional(st.integers(1, 70)), optional(GRID.map(lambda value: value / 16))
    return rows[:num], rows[num:], wanted, top, at_least, draw(st.integers(1, 70))


SMALL = {  # sizes at which as few rows as here are searched in the ways of many
    "columns.ZONE_ROWS": 4,
    "columns.NEAR": 1,
    "blocks.READ_AHEAD": 20,
    "blocks.WORTH_TRYING": 1,
    "index.FEW_TO_LOOK_AT": 0,
    "first_pass.PIECE_SCORES": 9,
    "first_pass.LEAST_PIECE": 3,
    "first_pass.WORTH_A_THREAD": 1,
    "exact.AT_HAND": 0,
    "exact.PAIRS_AT_ONCE": 7,
}
MIDDLE = {"index.FEW_ROWS": 0, "index.FEW_FOR_ONE": 0, "columns.ZONE_ROWS": 16}


@pytest.mark.parametrize("sizes", [{}, SMALL, MIDDLE], ids=["few", "many", "between"])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=searches())
def test_the_answer_is_that_of_every_row(case: Any, sizes: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Near-ties, duplicates, rows of zeros and filters that leave nothing included."""
    for name, size in sizes.items():
        monkeypatch.setattr(f"resight.gallery.search.{name}", size)
    vectors, queries, wanted, top, at_least, block = case
    columns = columns_of(len(vectors))
    index = Index(vectors.shape[1], threads=2)
    for start in range(0, len(vectors) // 2, block):
        part = slice(start, min(start + block, len(vectors) // 2))
        index.add_block(vectors[part].copy(), columns.take(part))
    index.add(vectors[len(vectors) // 2 :], columns.take(slice(len(vectors) // 2, None)))
    found = index.search(queries, top, wanted, at_least)
    for query, answer in zip(queries, found, strict=True):
        assert answer.ids.tolist() == every_row(vectors, columns, query, top, wanted, at_least)
    mask = wanted.mask(columns)
    for asked in (wanted, wanted):  # the second answer may be a kept one
        people = columns.people[slice(None) if mask is None else mask].tolist()
        found_people = index.people(asked)
        assert found_people.codes.tolist() == sorted({code for code in people if code})
        assert found_people.alone == people.count(0)
    index.close()


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 40),
    st.sampled_from([1, 3, 9]),
    st.sampled_from([1e-3, 1.0, 30.0]),
    st.booleans(),
)
def test_no_row_is_outside_its_bound(seed: int, dim: int, num: int, spread: float, in_the_tail: bool) -> None:
    rng = np.random.default_rng(seed)
    vectors = (rng.standard_normal(dim) + spread * rng.standard_normal((200, dim))).astype(np.float32)
    queries = Queries(rng.standard_normal((num, dim)).astype(np.float32))
    part: Block | Tail = Tail(dim)
    if isinstance(part, Tail) and in_the_tail:
        part.append(vectors, columns_of(200))
    else:
        part = Block.of(vectors, columns_of(200))
    slope, bound = part.line(queries)
    told = slope * part.scores(queries, slice(None))
    true = vectors.astype(np.float64) @ queries.exact.T
    assert (np.abs(told - true) <= bound).all()


def test_a_large_gallery_and_many_queries() -> None:
    """More than one block, more queries than are taken at once, look-alikes nearer than eight bits can tell."""
    rng = np.random.default_rng(0)
    people = rng.standard_normal((40, 32))
    vectors = (people[rng.integers(0, 40, 5000)] + 1e-4 * rng.standard_normal((5000, 32))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[1000:1100] = vectors[0]
    columns = columns_of(5000)
    index = Index(32)
    for start in range(0, 5000, 450):
        add = index.add if start > 4000 else index.add_block
        add(vectors[start : start + 450].copy(), columns.take(slice(start, start + 450)))
    queries = vectors[rng.integers(0, 5000, 150)]
    true = vectors.astype(np.float64) @ queries.astype(np.float64).T
    for which, answer in enumerate(index.search(queries, 25)):
        best = np.lexsort((columns.ids, -np.round(true[:, which], 12)))[:25]
        assert np.allclose(true[best, which], answer.similarities, rtol=0, atol=1e-12)
        assert len(set(answer.ids.tolist())) == 25
    same = index.search(vectors[:1], 400)[0].ids.tolist()
    equal = [number for number in same if (vectors[number - 10] == vectors[0]).all()]
    assert equal == [10, *range(1010, 1110)]  # equal rows stand by id
    assert same.index(1109) - same.index(10) == 100
    assert index.nbytes < 1.5 * vectors.nbytes
    index.close()


@pytest.mark.parametrize("dim", [1, 7, 64, 129, 300])
def test_an_exact_similarity_is_the_same_wherever_the_pair_stands(dim: int) -> None:
    """Or else ties would not go by id. In float64, of any number of rows and queries."""
    rng = np.random.default_rng(dim)
    vectors, queries = (rng.standard_normal((num, dim), dtype=np.float32) for num in (70, 17))
    every = similarities_of(vectors, queries)
    assert np.allclose(every, vectors.astype(np.float64) @ queries.astype(np.float64).T, rtol=0, atol=1e-12)
    for num in (1, 2, 3, 5, 9, 33):
        rows = rng.integers(0, 70, num)
        assert (similarities_of(vectors[rows], queries) == every[rows]).all()
        for which in (0, 16):
            assert (similarities_of(vectors[rows], queries[which : which + 1])[:, 0] == every[rows, which]).all()


@pytest.mark.parametrize("num", [150, 500, 900, 3000])
@pytest.mark.parametrize("threads", [1, 2])
def test_equal_rows_stand_by_id_among_few_and_among_more(num: int, threads: int) -> None:
    """In each way that several queries among rows without codes can take."""
    rng = np.random.default_rng(num)
    vectors = rng.standard_normal((num, 24), dtype=np.float32)
    vectors[rng.permutation(num)[:40]] = vectors[0]
    columns = Columns(rng.permutation(num), np.zeros(num), np.zeros(num, np.uint16), np.zeros(num, np.int64))
    queries = np.concatenate([vectors[:1], rng.standard_normal((9, 24), dtype=np.float32)])
    index = Index(24, threads)
    index.add(vectors, columns)
    true = similarities_of(vectors, queries)
    for asked in (queries, queries[:1]):
        for which, answer in enumerate(index.search(asked, 20)):
            assert answer.ids.tolist() == columns.ids[np.lexsort((columns.ids, -true[:, which]))][:20].tolist()
            assert answer.similarities.tolist() == np.sort(true[:, which])[::-1][:20].tolist()
    index.close()


@pytest.mark.parametrize("num_queries", [1, 2, 3, 4, 7])
def test_every_way_gives_the_same_scores(num_queries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where rows do not come out even, and are read ahead in several parts."""
    monkeypatch.setattr("resight.gallery.search.blocks.READ_AHEAD", 1000)
    rng = np.random.default_rng(num_queries)
    queries = Queries(rng.standard_normal((num_queries, 40), dtype=np.float32))
    for num in (1, 3, 4, 9, 203):
        block = Block.of(rng.standard_normal((num, 40), dtype=np.float32), columns_of(num))
        true = block.codes.astype(np.int32) @ queries.quantized[1].astype(np.int32).T
        for way in queries.ways:
            monkeypatch.setattr("resight.gallery.search.blocks.WORTH_TRYING", 0)
            monkeypatch.setattr("resight.gallery.search.blocks.Pace.choice", lambda pace, ways, way=way: way)
            assert (block.scores(queries, slice(None)) == true).all()


def test_the_way_that_was_fastest_is_taken_and_the_others_are_tried_again() -> None:
    ways = [Way(beside, ahead) for beside in (1, 2) for ahead in (False, True)]
    pace, taken = Pace(), []
    for _ in range(400):
        taken.append(pace.choice(ways))
        pace.tell(taken[-1], 1.0 if taken[-1] == ways[2] else 1.5)
    assert set(taken[:12]) == set(ways)
    assert taken.count(ways[2]) > 350
    assert set(taken[100:]) == set(ways)
    for _ in range(600):  # another one is faster now
        taken.append(pace.choice(ways))
        pace.tell(taken[-1], 0.7 if taken[-1] == ways[1] else 1.2)
    assert taken[-300:].count(ways[1]) > 250


@pytest.mark.parametrize("in_blocks", [False, True])
def test_one_query_among_look_alikes_nearer_than_a_first_pass_can_tell(
    in_blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resight.gallery.search.exact.AT_HAND", 0)
    monkeypatch.setattr("resight.gallery.search.index.FEW_TO_LOOK_AT", 0 if in_blocks else 5000)
    rng = np.random.default_rng(5)
    spread = 1e-2 if in_blocks else 1e-7
    vectors = (rng.standard_normal(64) + spread * rng.standard_normal((2000, 64))).astype(np.float32)
    query = rng.standard_normal((1, 64), dtype=np.float32)
    columns = columns_of(2000)
    index = Index(64, threads=1)
    (index.add_block if in_blocks else index.add)(vectors.copy(), columns)
    true = similarities_of(vectors, query)[:, 0]
    assert len(np.unique(true)) > 1000
    assert index.search(query, 20)[0].ids.tolist() == columns.ids[np.lexsort((columns.ids, -true))][:20].tolist()
    index.close()


def test_zones_pass_over_rows_and_take_whole_runs() -> None:
    num = 5 * ZONE_ROWS + 10
    times = np.arange(num, dtype=np.float64)
    times[3 * ZONE_ROWS] = np.nan
    cameras = np.repeat(np.array([1, 1, 2, 3, 3, 4], np.uint16), ZONE_ROWS)[:num]
    zones = Zones.of(Columns(np.arange(num), times, cameras, np.zeros(num, np.int64)))
    z = ZONE_ROWS
    assert zones.runs(Selection(cameras=np.array([1], np.uint16))) == [Run(0, 0, 2 * z, True)]
    assert zones.runs(Selection(cameras=np.array([1, 4], np.uint16))) == [
        Run(0, 0, 2 * z, True),
        Run(0, 5 * z, num, True),
    ]
    assert zones.runs(Selection(cameras=np.array([9], np.uint16))) == []
    assert zones.runs(Selection(after=float(z), before=float(3 * z))) == [Run(0, z, 3 * z, True)]
    assert zones.runs(Selection(after=float(z), before=float(3 * z + 5))) == [Run(0, z, 4 * z, False)]
    assert zones.runs(Selection(after=0.0)) == [Run(0, 0, num, False)]  # a time in it is unknown
    assert zones.runs(Selection(never=np.array([3]))) == [Run(0, 0, num, False)]
    both = Zones.joined([zones, zones])
    assert both.runs(Selection(before=5.0)) == [Run(0, 0, z, False), Run(1, 0, z, False)]


def test_what_is_removed_is_in_no_array() -> None:
    vectors = np.random.default_rng(1).standard_normal((300, 16)).astype(np.float32)
    index = Index(16)
    index.add(vectors, columns_of(300))
    index.remove_from_tail(np.array([15, 16, 250, 9999]))
    assert len(index) == 297
    assert not {15, 16, 250} & set(index.tail_ids.tolist())
    held = index._tail._rows.tobytes()
    assert not any(vectors[number - 10].tobytes() in held for number in (15, 16, 250))
    assert vectors[0].tobytes() in held
    index.close()


def test_people_are_the_same_whether_counted_anew_or_kept_up() -> None:
    rng = np.random.default_rng(0)
    kept, codes = Index(4), np.zeros(0, np.int64)
    for size in (0, 5, 1, 40, 200):
        new = rng.integers(-20, 60, size)  # 0 is nobody
        codes = np.concatenate([codes, new])
        vectors = rng.standard_normal((size, 4), dtype=np.float32)
        columns = Columns(np.arange(size), np.zeros(size), np.zeros(size, np.uint16), new)
        kept.add(vectors, columns)
        people = kept.people()
        assert people.codes.tolist() == sorted(set(codes.tolist()) - {0})
        assert people.alone == np.count_nonzero(codes == 0)
        asked = np.arange(-25, 70)
        assert people.holds(asked).tolist() == [code in set(people.codes.tolist()) for code in asked.tolist()]
    kept.close()
