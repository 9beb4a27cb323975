from __future__ import annotations

from resight.core.calibration import IF_ANYBODY, Decision, Rate
from resight.gallery.results import SearchResult
from resight.service.api.answers import search_out


def test_who_it_is_if_anybody_is_said_with_how_often_it_is_somebody_else() -> None:
    decision = Decision(IF_ANYBODY, Rate(0.02, 0.01, 0.05))
    told = search_out(SearchResult((), decision, 75, person="7", named=("7", "12")))
    assert told.named == ["7", "12"]
    assert told.verdict == "7 or 12, if anybody"
    assert told.sentence == (
        "This is 7 or 12, if it is anybody here. Among 75 people, searches for one of them name somebody else in "
        "2.0% (1.0% to 5.0%)."
    )
