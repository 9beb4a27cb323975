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

    def first_hits(self) -> dict[str, int]:
        """For each model the 1-based place of its first right answer; one past the list where there is none."""
        return {
            model: next((i for i, answer in enumerate(found, 1) if answer.relevant), len(found) + 1)
            for model, found in self.answers.items()
        }


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
    return template.render(
        title=title, paragraphs=paragraphs, headings=headings, figures=figures, queries=queries
    )


def _picture(crop: Crop) -> str:
    """A data URI, its type told by content."""
    data = crop.read()
    kinds = {b"\xff\xd8": "jpeg", b"\x89P": "png", b"BM": "bmp", b"RI": "webp", b"GI": "gif"}
    kind = kinds.get(data[:2])
    if kind is None:
        raise UnreadableImage(crop.name, "no browser shows this kind of picture")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
