"""A page of ranked lists: each query beside what each model found, right and wrong marked by colour and sign."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from resight.core.errors import UnreadableImage
from resight.data.crops import Crop


@dataclass(frozen=True)
class Answer:
    """One row of a ranked list: the gallery's crop, its similarity to the query, whether it is the person."""

    crop: Crop
    similarity: float
    relevant: bool


@dataclass(frozen=True)
class RankedQuery:
    """A query and, for each model by name, its nearest gallery crops, best first."""

    query: Crop
    answers: dict[str, tuple[Answer, ...]]

    def disagreement(self) -> int:
        """How far apart the models place the first right answer; a list without one counts as one longer."""
        places = [
            next((place for place, answer in enumerate(found) if answer.relevant), len(found))
            for found in self.answers.values()
        ]
        return max(places) - min(places)


@dataclass(frozen=True)
class FiguresRow:
    """One line of the page's table, its cells ready to print."""

    name: str
    cells: tuple[str, ...]


def ranked_page(
    title: str,
    paragraphs: Sequence[str],
    headings: Sequence[str],
    figures: Sequence[FiguresRow],
    queries: Sequence[RankedQuery],
) -> str:
    """One self-contained HTML page; pictures are embedded as they are."""
    environment = Environment(
        loader=PackageLoader("resight.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["picture"] = _picture
    template = environment.get_template("ranked.html")
    return template.render(title=title, paragraphs=paragraphs, headings=headings, figures=figures, queries=queries)


def _picture(crop: Crop) -> str:
    """A data URI, its type told by content."""
    data = crop.read()
    kinds = {b"\xff\xd8": "jpeg", b"\x89P": "png", b"BM": "bmp", b"RI": "webp", b"GI": "gif"}
    kind = kinds.get(data[:2])
    if kind is None:
        raise UnreadableImage(crop.name, "no browser shows this kind of picture")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
