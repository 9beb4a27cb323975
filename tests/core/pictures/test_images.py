"""Every kind of file has one defined outcome."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from resight.core.errors import UnreadableImage
from resight.core.pictures import images
from resight.core.pictures.cells import shows_nothing
from resight.core.pictures.images import content_id, decode_image, resize_image, size_of

# What images.py found when it was imported: the module, or None.
SIMPLEJPEG: Any = vars(images)["simplejpeg"]
needs_simplejpeg = pytest.mark.skipif(SIMPLEJPEG is None, reason="simplejpeg is not installed")


def picture(height: int = 37, width: int = 23, seed: int = 0) -> Image.Image:
    """Smooth colours, as photographs have."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


JPEGS: dict[str, Callable[[], bytes]] = {
    "4:2:0": lambda: encoded(picture(), "JPEG", subsampling=2),
    "4:2:2": lambda: encoded(picture(), "JPEG", subsampling=1),
    "4:4:4": lambda: encoded(picture(), "JPEG", subsampling=0),
    "progressive": lambda: encoded(picture(), "JPEG", progressive=True),
    "grey": lambda: encoded(picture().convert("L"), "JPEG"),
    "low quality": lambda: encoded(picture(128, 48), "JPEG", quality=20),
    "one pixel": lambda: encoded(picture(1, 1), "JPEG"),
}


@needs_simplejpeg
@pytest.mark.parametrize("kind", JPEGS)
def test_both_jpeg_decoders_give_the_same_pixels(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = JPEGS[kind]()
    fast = decode_image(data)
    monkeypatch.setattr(images, "simplejpeg", None)
    np.testing.assert_array_equal(fast, decode_image(data))


@needs_simplejpeg
@pytest.mark.parametrize("sampling", ["444", "422", "420", "440", "411", "Gray"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 17), (17, 1), (7, 5), (33, 64), (129, 47)])
def test_both_decoders_agree_at_odd_sizes(
    sampling: str, height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.array(picture(height, width))
    if sampling == "Gray":
        data = SIMPLEJPEG.encode_jpeg(np.ascontiguousarray(pixels[..., :1]), 75, "GRAY", sampling)
    else:
        data = SIMPLEJPEG.encode_jpeg(pixels, 75, "RGB", sampling)
    with monkeypatch.context() as without_pillow:  # which is not to be compared with itself
        without_pillow.delattr(images, "decode_by_pillow")
        fast = decode_image(data)
    monkeypatch.setattr(images, "simplejpeg", None)
    np.testing.assert_array_equal(fast, decode_image(data))


@needs_simplejpeg
@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["4:2:0", "4:2:2", "progressive"]), st.data())
def test_both_decoders_agree_on_damage(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(JPEGS[kind]())
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(st.integers(2, len(damaged) - 1))] = data.draw(st.integers(0, 255))

    def outcome() -> object:
        try:
            return content_id(decode_image(bytes(damaged)))
        except UnreadableImage:
            return "unreadable"

    fast = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "simplejpeg", None)
        assert outcome() == fast


def test_png_is_lossless_and_the_suffix_does_not_matter() -> None:
    expected = np.asarray(picture())
    np.testing.assert_array_equal(decode_image(encoded(picture(), "PNG"), "lies.jpg"), expected)


def test_grey_becomes_three_equal_channels() -> None:
    pixels = decode_image(encoded(picture().convert("L"), "PNG"))
    assert pixels.shape == (37, 23, 3)
    assert (pixels == pixels[..., :1]).all()


def test_sixteen_bits_are_scaled_to_eight() -> None:
    values = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    pixels = decode_image(encoded(Image.fromarray(values), "PNG"))
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_cmyk_becomes_rgb() -> None:
    red = Image.new("RGB", (8, 8), (220, 30, 40)).convert("CMYK")
    r, g, b = decode_image(encoded(red, "JPEG", quality=95))[4, 4].tolist()
    assert r > 180
    assert max(g, b) < 90


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_shows_mid_grey(mode: str) -> None:
    image = Image.new("RGBA", (4, 4), (255, 255, 255, 0))
    image.putpixel((0, 0), (0, 0, 0, 255))
    flat = image.convert(mode)
    if mode == "P":  # the entry of the palette that is transparent
        flat = Image.fromarray(np.array([[1, 0, 0, 0]] + 3 * [[0, 0, 0, 0]], np.uint8)).convert("P")
    data = encoded(flat, "PNG", **({"transparency": 0} if mode == "P" else {}))
    pixels = decode_image(data)
    assert np.unique(pixels[1:]).tolist() == [128]


def test_an_alpha_channel_that_nobody_filled_hides_nothing() -> None:
    shown = np.asarray(picture())
    data = encoded(Image.fromarray(np.dstack([shown, np.zeros(shown.shape[:2], np.uint8)])), "PNG")
    assert np.array_equal(decode_image(data), shown)


@pytest.mark.parametrize("kind", ["float", "percent", "thermal", "12-bit", "int32"])
def test_what_is_not_of_8_or_full_16_bits_is_scaled(kind: str) -> None:
    grey = np.asarray(picture().convert("L")).astype(np.float64)
    every: dict[str, np.ndarray[Any, np.dtype[Any]]] = {
        "float": (grey / 255).astype(np.float32),
        "percent": grey.astype(np.float32),
        "thermal": (7000 + 4 * grey).astype(np.uint16),
        "12-bit": (16 * grey).astype(np.uint16),
        "int32": (grey * 1000 - 70_000).astype(np.int32),
    }
    read = decode_image(encoded(Image.fromarray(every[kind]), "TIFF"))[..., 0]
    stretched = 255 * (grey - grey.min()) / np.ptp(grey)
    expected = grey if kind in ("float", "percent") else stretched
    assert np.abs(read - expected).mean() < 2
    assert np.corrcoef(read.ravel(), grey.ravel())[0, 1] > 0.99


def test_floats_that_are_no_numbers_are_refused() -> None:
    values = np.full((4, 4), np.nan, np.float32)
    with pytest.raises(UnreadableImage, match="NaN or infinity"):
        decode_image(encoded(Image.fromarray(values), "TIFF"))


def test_what_shows_nothing() -> None:
    rng = np.random.default_rng(0)
    black, noise = np.zeros((64, 32, 3), np.uint8), rng.integers(100, 104, (64, 32, 3), np.uint8)
    assert shows_nothing(np.stack([black, black + 255, noise])).all()
    faint = black.copy()
    faint[:32] += 12
    resized = resize_image(np.asarray(picture()), 64, 32)
    assert not shows_nothing(np.stack([faint, resized])).any()


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (-1, -1)), (6, (0, -1)), (8, (-1, 0))])
def test_exif_rotation_is_undone(orientation: int, corner: tuple[int, int]) -> None:
    upright = np.full((16, 32, 3), 20, np.uint8)
    upright[:8, :8] = 250
    exif = Image.Exif()
    exif[0x0112] = orientation
    for format in ("JPEG", "PNG", "TIFF"):
        data = encoded(Image.fromarray(upright), format, exif=exif)
        pixels = decode_image(data)
        assert size_of(data) == pixels.shape[:2]
        assert pixels.shape[:2] == ((32, 16) if orientation in (6, 8) else (16, 32))
        assert pixels[corner].min() > 200


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def test_an_orientation_is_found_behind_long_headers() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(picture(20, 10), "JPEG", exif=exif)
    padded = data[:2] + segment(0xEE, b"z" * 65000) * 2 + data[2:]
    assert decode_image(padded).shape == (10, 20, 3)
    np.testing.assert_array_equal(decode_image(padded), decode_image(data))


def test_an_orientation_in_xmp_counts_too() -> None:
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'
    data = encoded(picture(20, 10), "JPEG")
    assert decode_image(data[:2] + segment(0xE1, xmp) + data[2:]).shape == (10, 20, 3)


def test_an_animation_shows_its_first_frame() -> None:
    frames = [Image.new("RGB", (5, 5), colour) for colour in ((10, 20, 30), (200, 200, 200))]
    data = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert decode_image(data)[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"not a picture at all", "not a picture"),
        (b"\xff\xd8", "truncated|not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n", "not a picture"),
        (encoded(picture(200, 100), "JPEG")[:900], "truncated"),
        (encoded(picture(200, 100), "PNG")[:300], "truncated"),
    ],
)
def test_damaged_files_are_unreadable(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImage, match=reason) as caught:
        decode_image(data, "here.jpg")
    assert caught.value.name == "here.jpg"


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    for side in (10_000, 30_000):
        data = encoded(Image.new("1", (side, side)), "PNG")
        assert len(data) < 500_000
        with pytest.raises(UnreadableImage, match="64,000,000"):
            decode_image(data)


def test_a_jpeg_bomb_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(picture(8, 8), "JPEG")
    with monkeypatch.context() as patch:
        patch.setattr(images, "MAX_PIXELS", 63)
        with pytest.raises(UnreadableImage, match="8 x 8 pixels"):
            decode_image(data)
    frame = data.index(b"\xff\xc0")  # marker, length (2), bits (1), height (2), width (2)
    side = (9000).to_bytes(2, "big")
    with pytest.raises(UnreadableImage, match="9000 x 9000 pixels"):
        decode_image(data[: frame + 5] + side * 2 + data[frame + 9 :])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "WEBP"]), st.data())
def test_damage_never_raises_anything_else(format: str, data: st.DataObject) -> None:
    damaged = bytearray(encoded(picture(), format))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    try:
        pixels = decode_image(bytes(damaged[:cut]))
    except UnreadableImage:
        return
    assert pixels.ndim == 3
    assert pixels.dtype == np.uint8


def test_threads_leave_the_warnings_as_they_were() -> None:
    # Bytes of transparency beside a palette: Pillow warns of each such picture.
    image = Image.new("P", (64, 64))
    image.putpalette([10, 20, 30] * 256)
    data = encoded(image, "PNG", transparency=bytes([0, 255]))
    before = list(warnings.filters)
    failures: list[Exception] = []

    def work() -> None:
        try:
            for _ in range(20):
                decode_image(data)
        except Exception as error:
            failures.append(error)

    for _ in range(5):
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    assert list(warnings.filters) == before


def test_resizing_leaves_the_right_size_alone() -> None:
    pixels = np.asarray(picture())
    assert resize_image(pixels, 37, 23) is pixels
    assert resize_image(pixels, 128, 48).shape == (128, 48, 3)


def test_resizing_averages_what_it_leaves_out() -> None:
    # Black and white rows by turns: without antialias, whole rows of either would remain.
    stripes = np.zeros((128, 48, 3), np.uint8)
    stripes[::2] = 255
    smaller = resize_image(stripes, 16, 6)
    assert smaller.min() > 110
    assert smaller.max() < 145


def test_contents_are_equal_where_the_pixels_are() -> None:
    pixels = np.asarray(picture())
    assert content_id(pixels) == content_id(pixels.copy())
    assert content_id(pixels) != content_id(pixels.reshape(23, 37, 3))
    changed = pixels.copy()
    changed[0, 0, 0] ^= 1
    assert content_id(pixels) != content_id(changed)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF picture .*: convert it to JPEG"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0", "HEIF picture"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF picture.*JPEG"),
        (b"\xff\x0a\x00", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"%PDF-1.7", r"not a picture but a drawing .*SVG\)"),
        (b'<?xml version="1.0"?>\n<svg>', r"not a picture but a drawing .*SVG\)"),
        (b"\0\0\0\x20ftypisom\0\0\x02\0", "a video.*cut its frames"),
        (b"RIFF\x24\0\0\0AVI LIST", "a video"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"nothing of the kind", r"not a picture of any known kind \(JPEG, PNG, "),
    ],
)
def test_what_people_have_in_place_of_pictures_is_named(data: bytes, says: str) -> None:
    with pytest.raises(UnreadableImage, match=says):
        decode_image(data, "a.jpg")


def test_the_size_is_the_shown_one_from_the_head_alone() -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (30, 20)).save(file, "JPEG", exif=exif)
    assert size_of(file.getvalue()) == (30, 20) == decode_image(file.getvalue()).shape[:2]
    Image.new("RGB", (30, 20)).save(file := io.BytesIO(), "PNG")
    assert size_of(file.getvalue()[:60]) == (20, 30)
    assert size_of(b"GIF89a") is size_of(b"") is None
