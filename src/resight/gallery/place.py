"""Where a gallery is, in words."""

from __future__ import annotations

from pathlib import Path
from re import sub


def told_place(place: str | Path) -> str:
    """The place without a password, for messages."""
    return sub(r"//.*@", "//", str(place))
