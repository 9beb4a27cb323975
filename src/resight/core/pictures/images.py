"""Decoding and resizing of single pictures. Their content decides what they are, never their suffix."""

from __future__ import annotations

import hashlib
import io
import re
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from resight.core.errors import UnreadableImage

try:
    import simplejpeg
except ImportError:  # Pillow reads the same pixels, at 0.4 times the speed
    simplejpeg = None

Pixels = npt.NDArray[np.uint8]

# Bilinear and bicubic as Pillow has them, which look at every pixel that a smaller picture covers; and bilinear
# between the four nearest pixels, as OpenCV's INTER_LINEAR.
RESIZE_RULES = ("bilinear-antialias", "bicubic-antialias", "bilinear")
MAX_PIXELS = 64_000_000
MIN_ASPECT, MAX_ASPECT = 1.2, 5.0  # height / width of a standing person, generously
ENOUGH = "of one person some hundred pixels of height are enough"
FULL_16_BITS = 1 << 15  # a picture whose brightest value is less does not use its 16 bits
PAPER = 128  # what shows through where a picture is transparent
# Nothing else is opened: Pillow hands EPS, for one, to Ghostscript, a program of its own.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_LOADING = tuple(threading.Lock() for _ in range(64))
# What people have in place of pictures: how it begins, what it is, and what to do.
_TO_JPEG = "convert it to JPEG"
_FOREIGN: tuple[tuple[re.Pattern[bytes], str, str], ...] = tuple(
    (re.compile(start, re.DOTALL | re.IGNORECASE), what, do)
    for start, what, do in (
        (rb"....ftyp(hei|hev|heif|mif1|msf1)", "a HEIF picture (HEIC, as phones take)", _TO_JPEG),
        (rb"....ftypavi[fs]", "an AVIF picture", _TO_JPEG),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL picture", _TO_JPEG),
        (rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  ", "a JPEG 2000 picture", _TO_JPEG),
        (rb"8BPS", "a Photoshop document", _TO_JPEG),
        (
            rb"%!PS|%PDF|\s*(<\?xml[^>]*>\s*)?<svg",
            "not a picture but a drawing or document (PostScript, PDF or SVG)",
            _TO_JPEG,
        ),
        (rb"....ftyp|RIFF....AVI |\x1a\x45\xdf\xa3", "a video", "cut its frames into pictures"),
        (rb"version https://git-lfs", "a pointer of Git LFS", "`git lfs pull` fetches the picture"),
        (rb"\s*<(!doctype )?html", "a web page", "it was likely saved in place of the picture: fetch that again"),
    )
)
# A JPEG with one of these anywhere may have to be turned, which is left to Pillow.
TURNED = (b"Exif\x00\x00", b"tiff:Orientation")


def is_one(pictures: Any) -> bool:
    """Whether this is one picture (path, bytes, PIL image, array) and not several."""
    if isinstance(pictures, np.ndarray):
        return pictures.ndim < 4
    return isinstance(pictures, str | Path | bytes | bytearray | memoryview | Image.Image) or _is_open(pictures)


def content_of(picture: Any) -> Any:
    """What an open file, an io.BytesIO or the like holds from where it stands; any other picture as it is. In place of
    one that was opened as text, or cannot be read, an UnreadableImage."""
    if not _is_open(picture):
        return picture
    name = str(getattr(picture, "name", None) or f"the {type(picture).__name__}")
    try:
        data = picture.read()
    except (OSError, ValueError) as error:  # of a closed file, and of one that is no text
        return UnreadableImage(name, f"it cannot be read ({error})")
    if not isinstance(data, bytes | bytearray | memoryview):
        return UnreadableImage(name, 'it gives no bytes: open it for reading bytes, "rb"')
    return bytes(data) or UnreadableImage(name, "there is nothing left to read in it; seek(0) begins anew")


def _is_open(picture: Any) -> bool:
    """Whether it is an open file, or reads like one."""
    return callable(getattr(picture, "read", None)) and not isinstance(picture, Path | Image.Image | np.ndarray)


def decode_image(data: bytes, name: str = "image") -> Pixels:
    """The picture as (h, w, 3) uint8 RGB.

    Grey becomes three equal channels, CMYK is converted, transparency shows mid-grey, 16 bits and floats are scaled
    to 8 bits (those that take a small part of their range are stretched over it), EXIF rotation is undone, of an
    animation the first frame is taken. Raises UnreadableImage for anything empty, truncated, corrupt, larger than
    MAX_PIXELS, or none of FORMATS. Any number of threads may call it.
    """
    if not data:
        raise UnreadableImage(name, "the file is empty")
    if simplejpeg is not None and data[:2] == b"\xff\xd8" and not any(mark in data for mark in TURNED):
        pixels = _decode_plain_jpeg(data, name)
        if pixels is not None:
            return pixels
    return decode_by_pillow(data, name)


def resize_image(pixels: Pixels, height: int, width: int, rule: str = "bilinear-antialias") -> Pixels:
    """(height, width, 3) uint8, by one of RESIZE_RULES; a picture of that size already is left untouched."""
    if pixels.shape[:2] == (height, width):
        return pixels
    if rule == "bilinear":
        return _between_nearest(pixels, height, width)
    kind = Image.Resampling.BICUBIC if rule == "bicubic-antialias" else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(pixels).resize((width, height), kind))


def _between_nearest(pixels: Pixels, height: int, width: int) -> Pixels:
    values: npt.NDArray[np.float32] = pixels.astype(np.float32)
    for axis, size in ((0, height), (1, width)):
        length = values.shape[axis]
        places = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        below = np.minimum(places.astype(np.int64), max(length - 2, 0))
        shape = [1, 1, 1]
        shape[axis] = size
        share = (places - below).astype(np.float32).reshape(shape)
        above = np.minimum(below + 1, length - 1)
        values = values.take(below, axis) * (1 - share) + values.take(above, axis) * share
    rounded: Pixels = np.floor(values + 0.5).astype(np.uint8)
    return rounded


def rgb_of(picture: Image.Image) -> Pixels:
    """An opened picture's pixels, by the rules of `decode_image`: (h, w, 3) uint8."""
    with _LOADING[(id(picture) >> 4) % len(_LOADING)]:  # Pillow decodes late, and one may be given several times
        turned = ImageOps.exif_transpose(picture)
    return np.asarray(_to_rgb(turned))


def content_id(pixels: Pixels) -> int:
    """64 bits that are equal where shape and pixels are."""
    digest = hashlib.sha256(repr(pixels.shape).encode())  # processors have instructions for it
    digest.update(np.ascontiguousarray(pixels).data)
    return int.from_bytes(digest.digest()[:8], "little")


class _Quiet:
    """No warnings while any thread is inside. `catch_warnings` alone swaps a list that all threads share: those
    that overlap put back each other's, and the process stays silent, or warns in the midst of a picture."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


_QUIET = _Quiet()


def _decode_plain_jpeg(data: bytes, name: str) -> Pixels | None:
    """simplejpeg, set to Pillow's pixels; None where Pillow must look (CMYK, damage)."""
    try:
        height, width, colourspace, _ = simplejpeg.decode_jpeg_header(data)
        if colourspace not in ("YCbCr", "Gray"):
            return None
        _check_size(width, height, name)
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", fastdct=False, fastupsample=False)
    except ValueError:
        return None
    return pixels


def decode_by_pillow(data: bytes, name: str) -> Pixels:
    """As `decode_image`, by Pillow alone, whatever else is installed."""
    try:
        with _QUIET, Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            _check_size(*picture.size, name)
            return rgb_of(picture)
    except UnreadableImage:
        raise
    except Image.DecompressionBombError:
        raise UnreadableImage(name, f"more than {MAX_PIXELS:,} pixels are not decoded") from None
    except UnidentifiedImageError:
        raise UnreadableImage(name, _told(data)) from None
    except Exception as error:  # Pillow's plugins raise whatever they meet in a damaged file
        raise UnreadableImage(name, f"damaged or truncated ({str(error) or type(error).__name__})") from None


def _told(data: bytes) -> str:
    """What is there in place of a picture, and what to do."""
    for start, what, do in _FOREIGN:
        if start.match(data):
            return f"{what}, which is not read: {do}"
    return f"not a picture of any known kind ({', '.join(FORMATS)})"


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        return Image.fromarray(_to_8_bits(np.asarray(picture).astype(np.float64), picture.mode == "F")).convert("RGB")
    if picture.has_transparency_data:
        above = picture.convert("RGBA")
        if above.getchannel("A").getextrema() == (0, 0):  # a fourth channel that nobody filled
            return above.convert("RGB")
        below = Image.new("RGBA", above.size, (PAPER, PAPER, PAPER, 255))
        return Image.alpha_composite(below, above).convert("RGB")
    return picture.convert("RGB")


def _to_8_bits(values: npt.NDArray[np.float64], floats: bool) -> Pixels:
    """(h, w) of any range. Fractions of 1, 8 bits and full 16 bits keep their scale; else the range is stretched, of
    which 0.1% at either end (dead pixels) is cut off: the counts of a thermal camera take a small part of 16 bits."""
    if not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinity")
    low, high = float(values.min()), float(values.max())
    if floats and low >= 0 and high <= 1:
        scaled = 255 * values
    elif low >= 0 and high <= 255:
        scaled = values
    elif low >= 0 and FULL_16_BITS <= high <= 65535 and high - low >= FULL_16_BITS / 4:
        scaled = np.floor(values / 256)
    elif high > low:
        bottom, top = np.percentile(values, (0.1, 99.9))
        bottom, top = (bottom, top) if top > bottom else (low, high)
        scaled = 255 * (values - bottom) / (top - bottom)
    else:
        scaled = np.full_like(values, PAPER)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise UnreadableImage(name, f"{width} x {height} pixels; more than {MAX_PIXELS:,} are not decoded")


def check_pixels(data: bytes, name: str, most: int) -> None:
    """Raises UnreadableImage for a picture that says of itself that it has more than `most` pixels, or that is none.
    Only its head is read."""
    too_many = f"more than {most:,} are not taken here: make it smaller, or cut the person out ({ENOUGH})"
    if not data:
        raise UnreadableImage(name, "the file is empty")
    try:
        with _QUIET, Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
    except UnidentifiedImageError:
        raise UnreadableImage(name, _told(data)) from None
    except Image.DecompressionBombError:
        raise UnreadableImage(name, f"of its pixels {too_many}") from None
    except Exception as error:  # as above
        raise UnreadableImage(name, f"damaged ({str(error) or type(error).__name__})") from None
    if width * height > most:
        raise UnreadableImage(name, f"{width} x {height} pixels; {too_many}")


def size_of(picture: bytes | Path) -> tuple[int, int] | None:
    """(height, width) of a picture as it is shown, from its head alone; None where that says nothing."""
    try:
        with _QUIET, Image.open(picture if isinstance(picture, Path) else io.BytesIO(picture), formats=FORMATS) as head:
            tags = getattr(head, "tag_v2", {})  # of a TIFF, whose size Pillow 13 has turned already
            width, height = (int(tags.get(tag, size)) for tag, size in zip((256, 257), head.size, strict=True))
            turned = head.getexif().get(ExifTags.Base.Orientation, 1) > 4
    except Exception:  # as above; whoever decodes it says what is wrong
        return None
    return (width, height) if turned else (height, width)
