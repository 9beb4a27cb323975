"""The figures against the oracle, and against cases worked by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resight.core.errors import ConfigError, DataError, EmbeddingError
from resight.core.records import EmbeddedCrops
from resight.evaluation.evaluate import Evaluation, evaluate, evaluate_distmat, rankings
from resight.evaluation.metrics import METRICS, Metric, by_whole_rankings
from resight.evaluation.protocols import PROTOCOLS, Rows
from tests.oracles import scoring

MAX_RANK = 12


def rows(pids: list[int], camids: list[int], content_hashes: list[int] | None = None) -> Rows:
    given_contents = content_hashes if content_hashes is not None else list(range(len(pids)))
    return Rows(np.array(pids, np.int64), np.array(camids, np.int64), np.array(given_contents, np.uint64))


def scored(distances: Any, query: Rows, gallery: Rows, protocol: str = "market1501", **options: Any) -> Evaluation:
    distmat = np.array(distances, np.float32).reshape(len(query), len(gallery))
    return evaluate_distmat(distmat, query, gallery, protocol, **options)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[list[float]], list[scoring.Row], list[scoring.Row]]:
    """Few distances and few ids, so that ties, junk, distractors and doubles are common."""

    def row(low_pid: int) -> st.SearchStrategy[scoring.Row]:
        return st.builds(scoring.Row, st.integers(low_pid, 3), st.integers(0, 2), st.integers(0, 6))

    query = draw(st.lists(row(1), min_size=1, max_size=6))
    gallery = draw(st.lists(row(-1), min_size=1, max_size=25))
    value = st.integers(0, 5).map(lambda i: i / 4)
    distances = draw(
        st.lists(
            st.lists(value, min_size=len(gallery), max_size=len(gallery)), min_size=len(query), max_size=len(query)
        )
    )
    return distances, query, gallery


@settings(max_examples=400, deadline=None)
@given(cases(), st.sampled_from(sorted(PROTOCOLS)))
def test_equals_the_oracle(case: tuple[list[list[float]], list[scoring.Row], list[scoring.Row]], protocol: str) -> None:
    distances, query, gallery = case
    expected = scoring.score(distances, query, gallery, protocol, MAX_RANK)
    ours = (
        rows([r.pid for r in query], [r.camid for r in query], [r.content for r in query]),
        rows([r.pid for r in gallery], [r.camid for r in gallery], [r.content for r in gallery]),
    )
    if expected is None:
        with pytest.raises(DataError, match="counts under"):
            scored(distances, *ours, protocol, max_rank=MAX_RANK)
        return
    found = scored(distances, *ours, protocol, max_rank=MAX_RANK)
    np.testing.assert_allclose(found.cmc, expected.rank, atol=1e-12)
    assert found.mean_ap == pytest.approx(expected.mean_ap, abs=1e-12)
    assert found.mean_inp == (None if expected.mean_inp is None else pytest.approx(expected.mean_inp, abs=1e-12))
    assert (found.num_scored, found.num_skipped, found.num_junk) == (expected.scored, expected.skipped, expected.junk)


def test_by_hand() -> None:
    # Person 1, camera 1. In order of distance: junk (same camera), right, wrong, right, distractor.
    gallery = rows([1, 1, 2, 1, 0], [1, 2, 2, 3, 2])
    found = scored([[0.1, 0.2, 0.3, 0.4, 0.5]], rows([1], [1], [99]), gallery)
    assert found.num_junk == 1
    assert found.rank(1) == 1.0
    assert found.mean_ap == pytest.approx((1 / 1 + 2 / 3) / 2)  # hits at places 1 and 3
    assert found.mean_inp == pytest.approx(2 / 3)  # two right ones, the last at place 3


def test_a_query_without_a_match_is_skipped_and_counted() -> None:
    found = scored([[0.1, 0.2], [0.2, 0.1]], rows([1, 7], [1, 1]), rows([1, 2], [2, 2]))
    assert (found.num_query, found.num_scored, found.num_skipped) == (2, 1, 1)
    assert found.rank(1) == 1.0
    assert found.query_index.tolist() == [0]


def test_all_junk_is_an_error_that_names_a_way_out() -> None:
    with pytest.raises(DataError, match="no-camera"):
        scored([[0.1, 0.2]], rows([1], [1]), rows([1, 1], [1, 1]))


def test_fewer_gallery_rows_than_ranks_leave_the_curve_flat() -> None:
    found = scored([[0.3, 0.1, 0.2]], rows([1], [1]), rows([1, 2, 3], [2, 2, 2]), max_rank=50)
    assert found.cmc.shape == (50,)
    assert found.cmc[:4].tolist() == [0.0, 0.0, 1.0, 1.0]
    assert found.rank(50) == 1.0


def test_ties_stand_in_the_order_of_the_gallery() -> None:
    wrong_first = scored([[0.5, 0.5]], rows([1], [1]), rows([2, 1], [2, 2]))
    right_first = scored([[0.5, 0.5]], rows([1], [1]), rows([1, 2], [2, 2]))
    assert (wrong_first.rank(1), right_first.rank(1)) == (0.0, 1.0)


def test_report_scoring_divides_by_the_hits_among_the_ten() -> None:
    # Twelve rows; right ones at places 2, 5 and 12: only two are among the ten.
    pids = [9] * 12
    for place in (2, 5, 12):
        pids[place - 1] = 1
    found = scored([np.arange(12) / 12], rows([1], [1]), rows(pids, [1] * 12), "top10")
    assert found.mean_ap == pytest.approx((1 / 2 + 2 / 5) / 2)
    assert found.num_junk == 0
    assert found.mean_inp is None
    market = scored([np.arange(12) / 12], rows([1], [1]), rows(pids, [2] * 12), "market1501")
    assert market.mean_ap == pytest.approx((1 / 2 + 2 / 5 + 3 / 12) / 3)


def test_report_scoring_counts_a_query_without_hits_as_zero() -> None:
    found = scored([[0.1], [0.1]], rows([1, 2], [1, 1]), rows([1], [1]), "top10")
    assert (found.rank(1), found.mean_ap, found.num_skipped) == (0.5, 0.5, 0)


def test_no_camera_leaves_out_the_picture_itself_only() -> None:
    gallery = rows([1, 1, 2], [1, 1, 1], [7, 8, 9])
    found = scored([[0.0, 0.3, 0.2]], rows([1], [1], [7]), gallery, "no-camera")
    assert found.num_junk == 1
    assert found.rank(1) == 0.0  # the double is out, person 2 is nearer than the other picture of person 1
    assert found.mean_ap == pytest.approx(1 / 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_errors(bad: float) -> None:
    with pytest.raises(EmbeddingError, match="row 1"):
        scored([[0.1, 0.2], [0.1, bad]], rows([1, 1], [1, 1]), rows([1, 1], [2, 2]))


def test_wrong_shapes_and_nothing_at_all() -> None:
    with pytest.raises(EmbeddingError, match="distmat is"):
        evaluate_distmat(np.zeros((2, 2), np.float32), rows([1], [1]), rows([1, 2], [2, 2]))
    with pytest.raises(DataError, match="nothing to score"):
        scored([], rows([], []), rows([1], [1]))
    with pytest.raises(ConfigError, match="Known: market1501, no-camera, top10"):
        scored([[0.1]], rows([1], [1]), rows([1], [2]), "nonsense")


def crops(embeddings: list[list[float]], pids: list[int], camids: list[int]) -> EmbeddedCrops:
    n = len(pids)
    content_hashes = np.arange(n, dtype=np.uint64)
    names = tuple(f"crop {i}" for i in range(n))
    return EmbeddedCrops(np.array(embeddings, np.float32), np.array(pids), np.array(camids), content_hashes, names)


def test_from_embeddings_by_both_distances() -> None:
    query = crops([[1, 0]], [1], [1])
    gallery = crops([[9, 1], [1, 0.5], [0, 1]], [1, 2, 1], [2, 2, 2])
    assert evaluate(query, gallery, distance="cosine").rank(1) == 1.0
    assert evaluate(query, gallery, distance="euclidean").rank(1) == 0.0
    with pytest.raises(ConfigError, match="Known: cosine, euclidean"):
        evaluate(query, gallery, distance="manhattan")
    with pytest.raises(EmbeddingError, match="two models"):
        evaluate(crops([[1, 0, 0]], [1], [1]), gallery)


def test_an_embedding_with_nan_names_its_crop() -> None:
    with pytest.raises(EmbeddingError, match="crop 1"):
        crops([[1, 0], [np.nan, 0]], [1, 1], [1, 1])


def test_ranked_lists_show_what_was_scored() -> None:
    query = crops([[1, 0]], [1], [1])
    gallery = crops([[1, 0], [1, 0.1], [1, 0.2]], [1, 2, 1], [1, 2, 2])
    (found,) = rankings(query, gallery, top=5)
    assert found.gallery_index.tolist() == [1, 2]  # row 0 is junk
    assert found.relevant.tolist() == [False, True]
    assert found.similarity[0] == pytest.approx(1 / np.sqrt(1.01), abs=1e-6)


def test_json_holds_protocol_counts_and_intervals() -> None:
    found = scored([[0.1, 0.2], [0.2, 0.1]], rows([1, 2], [1, 1]), rows([1, 2], [2, 2]))
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert values["schema"] == "resight.evaluation/1"
    assert values["protocol"] == "market1501"
    assert values["num_scored"] == 2
    assert values["mean_ap_interval"] == {"low": pytest.approx(0.012, abs=1e-3), "high": 1.0}  # of two queries
    with pytest.raises(ConfigError, match="max_rank"):
        found.rank(51)


def test_the_old_name_of_a_protocol_is_taken_with_a_warning() -> None:
    with pytest.warns(FutureWarning, match="protocol report is called top10 now"):
        found = scored([[0.1], [0.1]], rows([1, 2], [1, 1]), rows([1], [1]), "report")
    assert found.protocol == "top10"
    assert found.mean_ap == 0.5


def test_the_table_gives_the_ranks_that_papers_give() -> None:
    found = scored([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]], rows([1], [1]), rows([2, 2, 2, 2, 2, 1], [2] * 6), max_rank=10)
    assert list(found.cells()) == ["rank-1", "rank-5", "rank-10", "mAP", "mINP"]
    assert [found.cells()[title][:5] for title in ("rank-1", "rank-5", "rank-10")] == ["0.000", "0.000", "1.000"]


def test_a_metric_is_a_function_and_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is added to METRICS is measured, told with its interval, and left out where a protocol has none."""
    share = Metric("hits in 3", lambda hits, num_relevant: (hits < 3).sum() / 3, by_whole_rankings)
    monkeypatch.setitem(METRICS, "hits_in_3", share)
    found = scored([[0.1, 0.2, 0.3, 0.4]], rows([1], [1]), rows([1, 2, 1, 1], [2, 2, 2, 2]))
    assert found.metrics["hits_in_3"].per_query.tolist() == [2 / 3]
    assert found.cells()["hits in 3"] == "0.667 [0.000, 1.000]"
    assert found.to_dict()["hits_in_3_interval"] == {"low": 0.0, "high": 1.0}
    top10 = scored([[0.1]], rows([1], [1]), rows([1], [1]), "top10")
    assert (top10.cells()["hits in 3"], top10.to_dict()["hits_in_3"]) == ("-", None)
