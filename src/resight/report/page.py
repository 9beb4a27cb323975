"""What all pages share. A page is one self-contained file, light and dark, for a laptop and a phone; it loads
nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from resight.core.errors import UnreadableImage
from resight.core.pictures.images import decode_image
from resight.core.pictures.thumbnails import small_jpeg
from resight.data.crops import Crop

THUMBNAIL_PX = (128, 96)  # at most so high and so wide
SHEET_CELL_PX = (128, 64)


@dataclass(frozen=True)
class Table:
    """A table of text. The first cell of each row is the row's name."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Plot:
    """A drawing as SVG, and a caption that says what it shows, for those who cannot see it too."""

    caption: str
    svg: str


def render(template: str, **values: Any) -> str:
    """Fills a template of templates/. Text is escaped; drawings are not."""
    environment = Environment(
        loader=PackageLoader("resight.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thumbnail"] = lambda crop: data_uri(thumbnail(crop))
    environment.filters["drawing"] = lambda figure: Markup(figure.svg)  # drawn by us: no text of the user's is markup
    text = environment.get_template(template).render(**values)
    return text.encode("utf-8", "backslashreplace").decode()  # file names need not be UTF-8


def script_json(values: Any) -> Markup:
    """JSON that is safe inside a script element, whatever text it holds."""
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def thumbnail(crop: Crop) -> bytes:
    """A small JPEG of the crop; grey where it cannot be read."""
    try:
        pixels = decode_image(crop.read(), crop.name)
    except UnreadableImage:
        pixels = np.full((*SHEET_CELL_PX, 3), 128, np.uint8)
    return small_jpeg(pixels, THUMBNAIL_PX)


def data_uri(jpeg: bytes) -> str:
    """A JPEG as a data URI, for an image's src."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def contact_sheet(crops: Sequence[Crop], columns: int) -> Image.Image:
    """One picture of all crops, row by row, each resized to SHEET_CELL_PX; empty cells are white. Raises
    UnreadableImage where a crop cannot be read."""
    height, width = SHEET_CELL_PX
    rows = -(-len(crops) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    for place, crop in enumerate(crops):
        picture = Image.fromarray(decode_image(crop.read(), crop.name))
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        sheet.paste(picture, (place % columns * width, place // columns * height))
    return sheet
