from __future__ import annotations

import re
from dataclasses import replace

import pytest

from resight.core.errors import UnreadableImage
from resight.data.crops import Crop, Dataset
from resight.report.ranked import Answer, FiguresRow, RankedQuery, ranked_page


def queries(city: Dataset) -> list[RankedQuery]:
    right, wrong = Answer(city.gallery[0], 0.9, True), Answer(city.gallery[1], 0.8, False)
    return [RankedQuery(city.query[0], {"first": (right, wrong), "second": (wrong, right)})]


def page(city: Dataset) -> str:
    return ranked_page("A <title>", ["Some & words"], ["", "rank-1"], [FiguresRow("first", ("0.5",))], queries(city))


def test_the_page_stands_alone(small_city: Dataset) -> None:
    html = page(small_city)
    assert html.count("data:image/jpeg;base64,") == 5
    assert not re.search(r"(src|href)=[\"'](?!data:)", html)
    assert "http" not in html
    assert "A &lt;title&gt;" in html
    assert "Some &amp; words" in html


def test_right_and_wrong_differ_by_more_than_colour(small_city: Dataset) -> None:
    html = page(small_city)
    assert (html.count("✓ 0.90"), html.count("✗ 0.80")) == (2, 2)
    assert html.count('alt="right: ') == html.count('alt="wrong: ') == 2
    assert "dashed" in html


def test_disagreement_is_the_distance_of_first_right_answers(small_city: Dataset) -> None:
    (query,) = queries(small_city)
    assert query.disagreement() == 1
    none = RankedQuery(query.query, {"first": query.answers["first"], "second": query.answers["second"][:1]})
    assert none.disagreement() == 1


def test_a_picture_that_no_browser_shows(small_city: Dataset) -> None:
    odd = Crop("odd.tif", 1, 1, data=b"II*\x00")
    with pytest.raises(UnreadableImage, match="browser"):
        ranked_page("t", [], [], [], [replace(queries(small_city)[0], query=odd)])
