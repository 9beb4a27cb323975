from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from resight.core.records import EmbeddedCrops
from resight.data.crops import Crop, Dataset, Problem, camids_of, pids_of
from resight.data.doctor.doctor import examine
from resight.evaluation.compare import compare
from resight.evaluation.decisions.calibrate import calibrate
from resight.evaluation.decisions.verification import verify
from resight.evaluation.parts.strips import Deletion, Faithfulness, strip_importance
from resight.report.calibration import calibration_page, thresholds_table
from resight.report.compare import ComparedModel, comparison_page
from resight.report.doctor import DoubtfulLabel, doctor_page, sample_sheet
from resight.report.page import Table, contact_sheet, thumbnail
from resight.report.ranked_lists import choose_queries

WITHOUT = Deletion((0.1, 0.2), (0.4, 0.5), (0.6, 0.7))
HOSTILE = "</script><img src=x onerror=alert(1)>'\"&"


class Elements(HTMLParser):
    """What a browser would see: elements with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag in tags]


def check_it_stands_alone(html: str) -> Elements:
    """No request to the outside: nothing to load but data, and a policy that would stop it."""
    page = Elements(html)
    for attributes in page.of("img", "script", "link", "iframe", "source", "use", "image", "a"):
        for name in ("src", "href", "xlink:href", "srcset"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#")), attributes
    assert not page.of("link", "iframe", "a")
    assert "@import" not in html
    assert not re.search(r"url\((?!#|\"?data:)", html)
    (policy,) = [m["content"] for m in page.of("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy).startswith("default-src 'none'")
    assert all("onerror" not in attributes for _, attributes in page.found)
    return page


def embedded(crops: tuple[Crop, ...], seed: int) -> EmbeddedCrops:
    """Around a place for each person, so that most but not all is found."""
    pids = pids_of(crops)
    rng = np.random.default_rng(seed)
    embeddings = np.random.default_rng(0).normal(size=(20_000, 8))[pids] + rng.normal(size=(len(pids), 8))
    content_hashes = np.arange(len(crops), dtype=np.uint64)
    return EmbeddedCrops(
        embeddings.astype(np.float32), pids, camids_of(crops), content_hashes, tuple(crop.name for crop in crops)
    )


def comparison(city: Dataset, name: str = "second", most: int = 300) -> str:
    models = []
    for place, title in ((1, "first"), (2, name)):
        query, gallery = embedded(city.query, place), embedded(city.gallery, place + 10)
        importance = strip_importance(query, gallery, 4, "market1501") if place == 2 else None
        faithful = Faithfulness((0.9, 0.8), WITHOUT, WITHOUT) if place == 2 else None
        models.append(ComparedModel(title, query, gallery, 4 if place == 2 else 1, importance, faithful))
    first, second = models
    found = [
        compare((first.query, first.gallery), (second.query, second.gallery), protocol)
        for protocol in ("market1501", "top10")
    ]
    table = Table(f"More {name}", ("", "x"), (("y", name),))
    return comparison_page(
        f"first and {name}", [name], (first, second), found, city.query, city.gallery, most=most, more_tables=[table]
    )


def lists_of(html: str) -> dict[str, list[dict[str, object]]]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert match is not None
    values: dict[str, list[dict[str, object]]] = json.loads(match[1])
    return values


def test_the_comparison_holds_every_query_and_each_picture_once(small_city: Dataset) -> None:
    html = comparison(small_city)
    check_it_stands_alone(html)
    data = lists_of(html)
    assert len(data["queries"]) == len(small_city.query)
    assert len(data["pictures"]) <= len(small_city.query) + len(small_city.gallery)
    for query in data["queries"]:
        assert query["o"] in ("gained", "lost", "both wrong", "both right")
        for place, found in enumerate(query["m"]):  # type: ignore[arg-type, var-annotated]
            assert len(found["a"]) == 10
            similarities = [answer[1] for answer in found["a"]]
            assert similarities == sorted(similarities, reverse=True)
            for _, similarity, relevant, strips, losses in found["a"]:
                assert relevant in (0, 1)
                assert len(strips) == len(losses) == (4 if place else 0)
                if place:
                    assert np.mean(strips) == pytest.approx(similarity, abs=0.002)
    for text in ("most important strip painted over", "-0.800", "within noise", "market1501, rank-1"):
        assert text in html


def test_people_and_cameras_are_called_what_the_data_call_them(small_city: Dataset) -> None:
    def named(crop: Crop) -> Crop:
        return replace(crop, person=f"Zoë </script> 王 {crop.pid}" + "x" * 90, camera="door")

    city = replace(small_city, query=(*map(named, small_city.query),), gallery=(*map(named, small_city.gallery),))
    html = comparison(city)
    check_it_stands_alone(html)
    pictures: list[Any] = [*lists_of(html)["pictures"]]
    for _, person, camera in pictures:
        assert person.startswith("Zoë </script> 王 ")
        assert person.endswith("…" + "x" * 20)
        assert len(person) == 40
        assert camera == "door"
    plain: list[Any] = [*lists_of(comparison(small_city))["pictures"]]
    assert {person for _, person, _ in plain} <= {str(crop.pid) for crop in (*small_city.query, *small_city.gallery)}
    assert 'alt="person Zoë &lt;/script&gt; 王' in doctor_page(examine(replace(city, train=city.query)))


def test_a_large_set_of_queries_is_cut_to_those_that_matter(small_city: Dataset) -> None:
    html = comparison(small_city, most=5)
    assert len(lists_of(html)["queries"]) == 5
    assert f"5 of {len(small_city.query)} scored queries" in html


def test_which_queries_are_chosen() -> None:
    gains = [0.0, 0.9, -0.8, 0.1, 0.0, 0.05]
    outcomes = ["both right", "gained", "lost", "both right", "both wrong", "both wrong"]
    assert choose_queries(gains, outcomes, 3) == [1, 2, 3]
    assert choose_queries(gains, outcomes, 5) == [0, 1, 2, 3, 5]  # one of those that both get wrong
    assert choose_queries(gains, outcomes, 50) == [0, 1, 2, 3, 4, 5]


def test_hostile_names_stay_text(small_city: Dataset) -> None:
    elements = check_it_stands_alone(comparison(small_city, HOSTILE))
    assert all(attributes.get("src") != "x" for attributes in elements.of("img"))
    crop = replace(small_city.query[0], name=HOSTILE)
    bad = replace(small_city, name=HOSTILE, gallery=(crop, *small_city.gallery), problems=(Problem(HOSTILE, HOSTILE),))
    page = doctor_page(examine(bad), [DoubtfulLabel(crop, 3, 0.5, (crop,), (crop,))], HOSTILE)
    elements = check_it_stands_alone(page)
    assert all(str(attributes.get("src")).startswith("data:") for attributes in elements.of("img"))
    assert not elements.of("script")


def test_names_that_are_not_utf8_are_shown_all_the_same(small_city: Dataset) -> None:
    odd = replace(small_city.query[0], name=b"odd_\xff.jpg".decode("utf-8", "surrogateescape"))
    html = doctor_page(examine(replace(small_city, gallery=(*small_city.gallery, odd))))
    assert "odd_\\udcff.jpg" in html.encode().decode()


def test_the_doctors_page_says_all_findings(small_city: Dataset) -> None:
    copy = replace(small_city.query[0], name="copy.jpg")
    diagnosis = examine(replace(small_city, gallery=(*small_city.gallery, copy)))
    html = doctor_page(diagnosis)
    check_it_stands_alone(html)
    for finding in diagnosis.findings:
        assert f"{finding.severity}: {finding.code}" in html
    assert "Labels that are likely wrong" not in html
    assert "<svg" in html
    assert str(diagnosis.advice.command) in html
    nothing = examine(replace(small_city, train=(), query=(), gallery=()))
    check_it_stands_alone(doctor_page(nothing))


def test_pages_can_be_read_in_the_dark_and_by_keyboard(small_city: Dataset) -> None:
    for html in (comparison(small_city), doctor_page(examine(small_city))):
        assert "prefers-color-scheme: dark" in html
        assert "#010203" not in html  # the drawings take the page's ink
        assert "currentColor" in html
        elements = Elements(html)
        scrolled = [a for tag, a in elements.found if tag == "div" and "scroll" in (a.get("class") or "")]
        assert scrolled
        assert all(a.get("tabindex") == "0" and a.get("aria-label") for a in scrolled)
        assert all("alt" in attributes for attributes in elements.of("img"))


def test_the_same_input_gives_the_same_page(small_city: Dataset) -> None:
    assert comparison(small_city) == comparison(small_city)


def test_a_sheet_of_people_of_any_size_and_number(small_city: Dataset) -> None:
    sheet = sample_sheet(examine(small_city))
    assert sheet is not None
    assert sheet.size == (12 * 64, 8 * 128)
    assert sample_sheet(examine(replace(small_city, train=(), query=(), gallery=()))) is None
    assert contact_sheet(small_city.query[:1], 1).size == (64, 128)


def test_a_picture_that_vanished_is_a_grey_one(small_city: Dataset) -> None:
    assert thumbnail(small_city.query[0])[:2] == thumbnail(Crop("gone", 1, 1))[:2] == b"\xff\xd8"


def test_the_calibrations_page(small_city: Dataset) -> None:
    crops = embedded((*small_city.train, *small_city.query, *small_city.gallery), 1)
    fitted = calibrate(crops, data=HOSTILE, rights=HOSTILE, date="2026-11-23")
    html = calibration_page(HOSTILE, fitted, verify(crops, crops, bootstrap_samples=5))
    page = check_it_stands_alone(html)
    assert len(page.of("svg")) == 4
    assert HOSTILE not in html
    assert "refused" in html  # 20 people support no false accept rate of 1e-4
    rows = thresholds_table(fitted.calibration).rows
    index = fitted.calibration.accept_index(0.1)
    assert index is not None
    assert rows[0][1] == f"{fitted.calibration.thresholds[index]:.3f}"
    assert rows[0][1] in html
