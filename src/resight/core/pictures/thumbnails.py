"""Small pictures to look at: upright, and without the metadata of what they were made from."""

from __future__ import annotations

import io

from PIL import Image

from resight.core.pictures.images import Pixels, decode_image

QUALITY = 80


def thumbnail(data: bytes, name: str, size: tuple[int, int]) -> bytes:
    """A JPEG of an encoded picture, at most `size` (height, width) pixels. It is made from the pixels alone, so that it
    is upright and has no EXIF. Raises UnreadableImage."""
    return small_jpeg(decode_image(data, name), size)


def small_jpeg(pixels: Pixels, size: tuple[int, int]) -> bytes:
    """(h, w, 3) uint8 RGB as a JPEG of at most `size` (height, width) pixels."""
    picture = Image.fromarray(pixels)
    picture.thumbnail(size[::-1], Image.Resampling.BILINEAR)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()
