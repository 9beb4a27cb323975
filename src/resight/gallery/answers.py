"""From what a store found to what a caller is told: decisions, and who it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from resight.core.calibration import Decision
from resight.embedding.model import Model
from resight.gallery.people import Links, person_of
from resight.gallery.records import Answer, Entry, Findings, Hit, Match

Decide = Callable[[float], Decision]


def decider(model: Model, num_people: int, false_positive_rate: float, false_negative_rate: float) -> Decide | None:
    """What a similarity means among so many people; None where the model is not calibrated."""
    calibration = model.calibration
    if calibration is None:
        return None
    rates = {"false_positive_rate": false_positive_rate, "false_negative_rate": false_negative_rate}
    return lambda similarity: calibration.decide_search(similarity, num_people, **rates)


def answers_of(
    found: Findings,
    nearest: Sequence[Sequence[Hit]],
    entries: Mapping[int, Entry],
    links: Links,
    decide: Decide | None,
) -> list[Answer]:
    """nearest: of each search, the most alike of all that may answer, shown or not; empty where none may."""

    def match_of(hit: Hit) -> Match:
        decision = decide(hit.similarity) if decide else None
        return Match(hit.similarity, decision, person_of(entries[hit.id], links), entries[hit.id])

    answers = []
    for hits, first in zip(found.answers, nearest, strict=True):
        # Another process may have removed one meanwhile.
        matches = tuple(match_of(hit) for hit in hits if hit.id in entries)
        best = next((match_of(hit) for hit in first if hit.id in entries), None)
        decision = best.decision if best else decide(-1.0) if decide else None
        answers.append(Answer(matches, decision, found.num_people, found.recall, best.person if best else ""))
    return answers
