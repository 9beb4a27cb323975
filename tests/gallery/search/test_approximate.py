"""Approximate search says what it finds, and is exact again where it would not be right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from resight import Gallery, open_gallery
from resight.core.errors import ConfigError, GalleryError
from resight.gallery.search import approximate
from tests.gallery.helpers import MODEL, pictures, unit

ROWS = unit(3000, seed=1)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with open_gallery(tmp_path / "site.db", MODEL) as opened:
        opened.add(pictures(ROWS), camera=["north", "south"] * 1500)
        yield opened


def test_the_recall_that_it_states_is_what_others_measure(gallery: Gallery) -> None:
    queries = unit(300, seed=2)
    exact = gallery.search_embeddings(queries, 10)
    assert {answer.recall for answer in exact} == {1.0}
    told = gallery.approximate(10, recall=0.9)
    assert told.recall >= 0.9
    assert (told.top_k, told.rows, told.searches) == (20, 3000, approximate.SAMPLE)  # what decisions look at
    found = gallery.search_embeddings(queries, 10)
    shares = [
        len({match.id for match in one} & {match.id for match in other}) / 10
        for one, other in zip(exact, found, strict=True)
    ]
    assert np.mean(shares) == pytest.approx(told.recall, abs=0.05)
    assert {answer.recall for answer in found} == {told.recall}
    for query, answer in zip(queries, found, strict=True):  # true similarities, in order
        true = [float(ROWS[match.id - 1].astype(np.float64) @ query) for match in answer]
        assert [match.similarity for match in answer] == pytest.approx(true, abs=1e-12)
        assert true == sorted(true, reverse=True)


def test_a_poor_graph_says_so(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = np.arange(1, 11), np.full(10, -1.0)
    monkeypatch.setattr(approximate.Graph, "_search", lambda self, queries, top, width: [nothing] * len(queries))
    told = gallery.approximate(10, recall=0.9)
    assert told.recall < 0.1
    assert told.width >= approximate.WIDEST


def test_what_is_added_is_found_at_once(gallery: Gallery) -> None:
    told = gallery.approximate()
    new = unit(1, seed=3)
    (number,) = gallery.add(pictures(new), camera="west")
    answer = gallery.search(pictures(new)[0], 1)
    assert answer[0].id == number
    assert answer.recall == told.recall


def test_filters_ranges_and_many_answers_are_exact(gallery: Gallery) -> None:
    gallery.approximate(10, recall=0.5)
    query = pictures(unit(1, seed=4))[0]
    assert gallery.search(query, 10, camera="north").recall == 1
    assert gallery.search(query, 21).recall == 1
    assert gallery.search(query, None, min_similarity=0.5).recall == 1
    assert all(match.similarity >= 0.9 for match in gallery.search(query, 10, min_similarity=0.9))


def test_what_is_forgotten_is_not_found_and_searches_are_exact_again(gallery: Gallery, tmp_path: Path) -> None:
    gallery.approximate(10, recall=0.5)
    with open_gallery(tmp_path / "site.db") as other:
        other.forget(id=7)
    answer = gallery.search(pictures(ROWS)[6], 10)
    assert answer.recall == 1
    assert all(match.id != 7 for match in answer)


def test_equal_rows_count_as_found_whichever_they_are(tmp_path: Path) -> None:
    rows = np.repeat(unit(40, seed=6), 25, axis=0)  # of 25 equal ones any 20 are right
    with open_gallery(tmp_path / "site.db", MODEL) as gallery:
        gallery.add(pictures(rows), camera="north")
        assert gallery.approximate(20).recall >= 0.9
    with open_gallery(tmp_path / "one.db", MODEL) as gallery:
        gallery.add(pictures(unit(1)), camera="north")
        assert gallery.approximate().recall == 1


def test_what_cannot_be(tmp_path: Path, postgres: str) -> None:
    with open_gallery(tmp_path / "empty.db", MODEL) as empty:
        with pytest.raises(GalleryError, match="nothing in the gallery"):
            empty.approximate()
        with pytest.raises(ConfigError, match="recall"):
            empty.approximate(recall=2)
        for top in (None, 1.5, "x", 0, True):
            with pytest.raises(ConfigError, match=r"top_k"):
                empty.approximate(top)  # type: ignore[arg-type]
    with open_gallery(f"{postgres}approximate", MODEL) as other, pytest.raises(ConfigError, match="in a file"):
        other.approximate()
