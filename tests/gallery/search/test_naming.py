from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resight.core.calibration import RateCurve
from resight.gallery.gallery import Gallery
from resight.gallery.opening import open_gallery
from resight.gallery.records import Hit
from resight.gallery.search.naming import MOST_NAMED, named
from tests.gallery.helpers import CARD, DIM, EightValues, calibration

RATES = (0.2, 0.03)
MARGINS = replace(calibration(), margins=(0.0, 0.1), excluded=RateCurve(RATES, RATES, RATES))


def _filled(path: Path, similarities: list[float], pids: list[int], margins: bool = True) -> Gallery:
    """Entries of these similarities to the first axis."""
    rows = np.zeros((len(pids), DIM), np.float32)
    rows[:, 0] = similarities
    rows[:, 1] = np.sqrt(1 - rows[:, 0] ** 2)
    model = EightValues(replace(CARD, calibration=MARGINS if margins else calibration()))
    gallery = open_gallery(path, model, new=True)
    gallery.add_embeddings(rows, model=model.identity, camera="north", pid=pids)
    return gallery


@pytest.mark.parametrize("top_k", [1, 2, 5, None])
@pytest.mark.parametrize("least", [None, 0.65])
def test_an_unsure_search_names_who_is_within_the_margin(
    top_k: int | None, least: float | None, tmp_path: Path
) -> None:
    with _filled(tmp_path / "a.db", [0.7, 0.69, 0.62, 0.59], [1, 1, 2, 3]) as gallery:
        answer = gallery.search_embeddings(
            np.eye(1, DIM), top_k, min_similarity=least, false_positive_rate=0.01, false_negative_rate=0.05
        )[0]
        assert answer.named == ("1", "2")
        assert answer.verdict == "1 or 2, if anybody"
        assert answer.decision is not None
        assert answer.decision.verdict == "if anybody"
        assert answer.decision.rate == MARGINS.excluded.at(1)
        assert answer.to_dict()["named"] == ["1", "2"]
        assert answer.strangers is not None
        assert answer[0].verdict == "unsure"  # each row by itself is as before
        assert answer[0].probability is not None
        looser = gallery.search_embeddings(np.eye(1, DIM), top_k, false_negative_rate=0.2)[0]
        assert looser.verdict == "1, if anybody"


def test_who_is_known_or_nobody_or_one_of_many_is_not_named(tmp_path: Path) -> None:
    cases = {
        "known as 1": ([0.95, 0.94], [1, 2]),
        "nobody we know": ([0.1, 0.09], [1, 2]),
        "unsure": ([0.7, 0.69, 0.68, 0.67], [1, 2, 3, 4]),
    }
    for number, (verdict, given) in enumerate(cases.items()):
        with _filled(tmp_path / f"{number}.db", *given) as gallery:
            answer = gallery.search_embeddings(np.eye(1, DIM), false_positive_rate=0.01)[0]
            assert (answer.verdict, answer.named) == (verdict, ())


def test_without_margins_an_unsure_search_stays_so(tmp_path: Path) -> None:
    with _filled(tmp_path / "a.db", [0.7], [1], margins=False) as gallery:
        assert gallery.search_embeddings(np.eye(1, DIM))[0].verdict == "unsure"


def test_hits_that_do_not_reach_the_margin_name_nobody() -> None:
    hits = [Hit(number, 0.8 - 0.001 * number) for number in range(4)]
    assert named(hits, 4, 0.1, lambda hit: "one") == ()
    assert named(hits, None, 0.1, lambda hit: "one") == ("one",)
    assert named(hits, 5, 0.1, lambda hit: "one") == ("one",)
    assert named(hits, 4, 0.0015, lambda hit: str(hit.id)) == ("0", "1")
    assert len(named(hits, None, 0.1, lambda hit: str(min(hit.id, MOST_NAMED - 1)))) == MOST_NAMED
    assert named(hits, None, 0.1, lambda hit: str(hit.id)) == ()
