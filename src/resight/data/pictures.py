"""Pictures without identities: files, and folders of them."""

from __future__ import annotations

from pathlib import Path

from resight.core.errors import DatasetError
from resight.data.crops import UNKNOWN_PID, Crop
from resight.data.listing import files_below

SUFFIXES = frozenset([".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"])
NOT_READ = frozenset([".heic", ".heif", ".avif", ".jxl", ".jp2"])  # pictures all the same: named, not passed over


def open_pictures(*paths: str | Path) -> list[Crop]:
    """The pictures named, and those in the folders named, at any depth, sorted by path; pid and camid are -1. Hidden
    files, bins and thumbnails are passed over.

    Raises DatasetError for a folder without any, or one that cannot be read.
    """
    crops: list[Crop] = []
    for path in map(Path, paths):
        found = sorted(filter(is_picture, files_below(path))) if path.is_dir() else [path]
        if not found:
            raise DatasetError(f"{path} holds no pictures")
        crops.extend(Crop(str(p), UNKNOWN_PID, -1, path=p) for p in found)
    return crops


def is_picture(path: Path) -> bool:
    """Whether its suffix is that of a picture."""
    return path.suffix.lower() in SUFFIXES | NOT_READ
