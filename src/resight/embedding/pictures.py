"""Pictures as users have them, to pixels of a network's size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from resight.core.errors import ConfigError, UnreadableImage
from resight.core.files import read_regular
from resight.core.pictures.cells import NOTHING, shows_nothing
from resight.core.pictures.images import MAX_ASPECT, MIN_ASPECT, Pixels, decode_image, resize_image, rgb_of, size_of
from resight.core.pictures.preprocessing import CHANNEL_ORDERS, Preprocessing

Picture = str | Path | bytes | BinaryIO | Image.Image | npt.NDArray[np.uint8]
Box = Sequence[float]  # left, top, right, bottom in pixels
Item = TypeVar("Item")


def name_of(picture: Any, position: int) -> str:
    """What to call it: its path, or its place among the others."""
    return str(picture) if isinstance(picture, str | Path) else f"picture {position}"


def read_picture(picture: Any, name: str, channel_order: str = "rgb") -> Pixels:
    """(h, w, 3) uint8 RGB. channel_order: of arrays; OpenCV's are `bgr`. Raises UnreadableImage."""
    if isinstance(picture, UnreadableImage):
        raise picture
    if isinstance(picture, str | Path):
        try:
            return decode_image(read_regular(Path(picture)), name)
        except OSError as error:
            raise UnreadableImage(name, error.strerror or str(error)) from None
        except ValueError as error:  # a path with a null byte in it
            raise UnreadableImage(name, str(error)) from None
    if isinstance(picture, bytes | bytearray | memoryview):
        return decode_image(bytes(picture), name)
    if isinstance(picture, Image.Image):
        try:
            return rgb_of(picture)
        except Exception as error:  # Pillow decodes late, and raises whatever it meets in a damaged file
            raise UnreadableImage(name, f"damaged or truncated ({str(error) or type(error).__name__})") from None
    if isinstance(picture, np.ndarray):
        return _array(picture, name, channel_order)
    raise UnreadableImage(name, f"{type(picture).__name__} is no path, bytes, PIL image or array")


def shape_notes(pictures: Iterable[Any]) -> tuple[str, ...]:
    """What to say of each picture that is not of a standing person's shape: a whole frame, mostly."""
    told = []
    for position, picture in enumerate(pictures, 1):
        height, width = _size(picture) or (2, 1)
        if not MIN_ASPECT <= height / max(width, 1) <= MAX_ASPECT:
            told.append(
                f"{name_of(picture, position)}: {width} x {height} pixels are not of a standing person's shape; cut "
                "one person out of the picture"
            )
    return tuple(told)


def _size(picture: Any) -> tuple[int, int] | None:
    if isinstance(picture, np.ndarray):
        return picture.shape[0], picture.shape[1]
    if isinstance(picture, Image.Image):
        return picture.size[::-1]
    if isinstance(picture, str | Path):
        return size_of(Path(picture))
    return size_of(bytes(picture))


def cut_boxes(frame: Pixels, boxes: Iterable[Box], name: str = "frame") -> Iterator[Pixels | UnreadableImage]:
    """The crops of one frame. A box that reaches beyond the frame is cut at its edge.

    One that is outside altogether, or empty, is an UnreadableImage in its place.
    """
    height, width = frame.shape[:2]
    for position, box in enumerate(boxes):
        try:
            left, top, right, bottom = (round(float(side)) for side in box)
        except (TypeError, ValueError, OverflowError):
            yield UnreadableImage(f"{name}, box {position}", f"a box is left, top, right, bottom; this is {box!r}")
            continue
        crop = frame[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        if crop.size:
            yield crop
        else:
            where = f"{left}, {top}, {right}, {bottom}"
            yield UnreadableImage(f"{name}, box {position}", f"{where} is empty in a frame of {width} x {height}")


def check_channel_order(channel_order: str) -> None:
    """Raises ConfigError for an unknown one."""
    if channel_order not in CHANNEL_ORDERS:
        raise ConfigError(f"channel_order is one of {', '.join(CHANNEL_ORDERS)}, not {channel_order!r}")


@dataclass(frozen=True, eq=False)
class Decoded:
    """A batch. positions: (n,) of the pictures among all. pixels: (n, height, width, 3) uint8. problems: those that
    could not be read, with their positions."""

    positions: tuple[int, ...]
    names: tuple[str, ...]
    pixels: Pixels
    problems: tuple[tuple[int, UnreadableImage], ...]


def decode_batches(
    pictures: Iterable[Any], size: Preprocessing, batch_size: int, channel_order: str, pool: Executor
) -> Iterator[Decoded]:
    """Batch by batch, on the threads of the pool; an iterator without end is read as far as needed.

    A picture that shows nothing is one of the problems: whatever a network makes of it, all such are alike.
    """

    def decode(position: int, picture: Any) -> Pixels | UnreadableImage:
        try:
            pixels = read_picture(picture, name_of(picture, position), channel_order)
        except UnreadableImage as error:
            return error
        resized = resize_image(pixels, size.height, size.width, size.resize)
        return UnreadableImage(name_of(picture, position), NOTHING) if shows_nothing(resized[None])[0] else resized

    def collect(first: int, batch: list[Any]) -> Decoded:
        results = list(pool.map(decode, range(first, first + len(batch)), batch))
        good = [(first + i, r) for i, r in enumerate(results) if not isinstance(r, UnreadableImage)]
        bad = [(first + i, r) for i, r in enumerate(results) if isinstance(r, UnreadableImage)]
        pixels = np.stack([r for _, r in good]) if good else np.zeros((0, size.height, size.width, 3), np.uint8)
        names = tuple(name_of(batch[position - first], position) for position, _ in good)
        return Decoded(tuple(position for position, _ in good), names, pixels, tuple(bad))

    batch: list[Any] = []
    first = 0
    for picture in pictures:
        batch.append(picture)
        if len(batch) == batch_size:
            yield collect(first, batch)
            first, batch = first + len(batch), []
    if batch:
        yield collect(first, batch)


def ahead(items: Iterator[Item], most: int = 2) -> Iterator[Item]:
    """The same items; up to `most` of the next are made in a thread of their own while this one is in use."""
    done = object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        waiting = [pool.submit(next, items, done) for _ in range(most)]
        try:
            while (item := waiting.pop(0).result()) is not done:
                waiting.append(pool.submit(next, items, done))
                yield item  # type: ignore[misc]
        finally:
            for future in waiting:
                future.cancel()


def _array(picture: npt.NDArray[Any], name: str, channel_order: str) -> Pixels:
    if picture.dtype != np.uint8:
        raise UnreadableImage(name, f"an array of pixels is uint8, 0 to 255; this is {picture.dtype}")
    if picture.ndim == 2:
        picture = np.repeat(picture[:, :, None], 3, axis=2)
    if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise UnreadableImage(name, f"an array of pixels is (height, width, 3); this is {picture.shape}")
    return picture if channel_order == "rgb" else np.ascontiguousarray(picture[:, :, ::-1])
