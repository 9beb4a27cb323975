"""What all pages share: one self-contained file, light and dark, for a laptop and a phone, that requests nothing."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from resight.core.errors import UnreadableImage
from resight.core.images import decode_image
from resight.data.crops import Crop

THUMBNAIL_PX = (128, 96)  # at most so high and so wide
SHEET_CELL_PX = (128, 64)


@dataclass(frozen=True)
class Table:
    """Cells ready to print; the first of each row names it."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Plot:
    """A drawing as SVG, and what it shows, for those who cannot see it too."""

    caption: str
    svg: str


def render(template: str, **values: Any) -> str:
    """The page of a template in templates/. Everything is escaped."""
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
    """JSON that can stand inside a script element, whatever names it holds."""
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def thumbnail(crop: Crop) -> bytes:
    """A small JPEG; a picture that cannot be read is a grey one."""
    try:
        pixels = decode_image(crop.read(), crop.name)
    except UnreadableImage:
        pixels = np.full((*SHEET_CELL_PX, 3), 128, np.uint8)
    picture = Image.fromarray(pixels)
    picture.thumbnail(THUMBNAIL_PX[::-1], Image.Resampling.BILINEAR)
    return _jpeg(picture)


def data_uri(jpeg: bytes) -> str:
    """For an image's src."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def contact_sheet(crops: Sequence[Crop], columns: int) -> Image.Image:
    """Crops row by row, each brought to one size; empty cells are white."""
    height, width = SHEET_CELL_PX
    rows = -(-len(crops) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    for place, crop in enumerate(crops):
        picture = Image.fromarray(decode_image(crop.read(), crop.name))
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        sheet.paste(picture, (place % columns * width, place // columns * height))
    return sheet


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=80)
    return out.getvalue()
