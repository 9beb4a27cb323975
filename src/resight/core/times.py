"""Times and periods as text."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from resight.core.errors import ConfigError

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_time(text: str) -> float:
    """Seconds since 1970, of those or of ISO 8601. Without a zone it is local time. Raises ConfigError.

    Example:
        >>> parse_time("2026-03-01T08:00:00Z")
        1772352000.0
    """
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise ConfigError(f"{text!r} is no time, such as 2026-03-01T08:00:00+01:00 or seconds since 1970") from None


def names_zone(text: str) -> bool:
    """Whether the text of a time, which `parse_time` takes, says in which zone it is, as seconds since 1970 do.

    Example:
        >>> names_zone("2026-03-01T08:00:00Z"), names_zone("2026-03-01T08:00:00")
        (True, False)
    """
    try:
        float(text)
    except ValueError:
        return datetime.fromisoformat(text).tzinfo is not None
    return True


def format_time(seconds: float | None) -> str:
    """ISO 8601, UTC; a dash if it is unknown.

    Example:
        >>> format_time(1772352000.0)
        '2026-03-01T08:00:00Z'
    """
    if seconds is None:
        return "-"
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g}"


def parse_period_s(text: str) -> float:
    """Seconds, of a number with a unit: s, m, h, d or w. Raises ConfigError.

    Example:
        >>> parse_period_s("30d")
        2592000.0
    """
    match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*([smhdw])\s*", text)
    if not match:
        raise ConfigError(f"{text!r} is no period, such as 30d, 12h or 2w")
    return float(match[1]) * UNITS_S[match[2]]
