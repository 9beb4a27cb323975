"""The ranked lists of two models, query by query, as the data of a page's script."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from resight.data.crops import Crop
from resight.report.page import script_json, thumbnail


@dataclass(frozen=True)
class Answer:
    """One answer in a ranked list. strips: what each strip adds to the similarity, times their number. losses: what the
    similarity loses when that strip of the query is replaced by the mean strip. Both are empty for models that are not
    sliced."""

    crop: Crop
    similarity: float
    relevant: bool
    strips: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()


@dataclass(frozen=True)
class FoundByModel:
    """One model's answers to one query, nearest first. ap: the query's average precision. importance: of each strip, of
    `strip_importance`; None where it is not known."""

    ap: float
    answers: tuple[Answer, ...]
    importance: tuple[float, ...] | None = None


@dataclass(frozen=True)
class ComparedQuery:
    """A query and both models' answers to it. outcome: one of evaluation.compare.OUTCOMES."""

    query: Crop
    outcome: str
    first: FoundByModel
    second: FoundByModel


def choose_queries(gains: Sequence[float], outcomes: Sequence[str], most: int) -> list[int]:
    """The rows of the `most` queries that a page shows: those on which the models differ most, in either direction, and
    for a fifth of the places, queries that both get wrong. gains: average precision by the second model less by the
    first, one a query. outcomes: one of OUTCOMES a query."""
    by_gain = sorted(range(len(gains)), key=lambda row: (-abs(gains[row]), row))
    hopeless = [row for row in by_gain if outcomes[row] == "both wrong"][: most // 5]
    rest = [row for row in by_gain if row not in set(hopeless)]
    return sorted(hopeless + rest[: most - len(hopeless)])


def lists_json(models: tuple[str, str], queries: Sequence[ComparedQuery]) -> Markup:
    """Each picture once, however often it is found: the page draws only the queries on view, and so stays usable
    at any size of the gallery."""
    pictures = _Pictures()
    rows = [
        {
            "p": pictures.place(item.query),
            "o": item.outcome,
            "m": [_found(found, pictures) for found in (item.first, item.second)],
        }
        for item in queries
    ]
    return script_json({"models": models, "pictures": pictures.shown, "queries": rows})


class _Pictures:
    """Each crop once: [base64 JPEG, person, camera], the latter as the data call them."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str, str]] = []
        self._places: dict[tuple[str, int], int] = {}

    def place(self, crop: Crop) -> int:
        key = (crop.name, crop.pid)
        if key not in self._places:
            self._places[key] = len(self.shown)
            jpeg = base64.b64encode(thumbnail(crop)).decode()
            self.shown.append((jpeg, crop.shown_person, crop.shown_camera))
        return self._places[key]


def _found(found: FoundByModel, pictures: _Pictures) -> dict[str, object]:
    return {
        "ap": round(found.ap, 4),
        "i": None if found.importance is None else _rounded(found.importance),
        "a": [
            [
                pictures.place(answer.crop),
                round(answer.similarity, 4),
                int(answer.relevant),
                _rounded(answer.strips),
                _rounded(answer.losses),
            ]
            for answer in found.answers
        ],
    }


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in values]
