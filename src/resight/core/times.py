"""Times and periods as text."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, tzinfo

from resight.core.errors import ConfigError

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_ISO = re.compile(r"[0-9W-]{7,10}([Tt ].+)?")  # fromisoformat takes any sign in place of the T, those of zones too
_DIGITS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_DATE = 8


def parse_time(text: str, zone: tzinfo | None = None, *, counted: bool = False) -> float:
    """Seconds since 1970, of those or of ISO 8601. Eight digits that are a date are one.

    zone: of a text that names none; None: this machine's. counted: numbers that look like a year, or like digits of a
    date and a time, are seconds, as where they are counted from 0; otherwise they are refused.

    Raises ConfigError where it is no time, or cannot be told from one.

    Example:
        >>> parse_time("2026-03-01T08:00:00Z"), parse_time("20260301T0800Z"), parse_time("2.5")
        (1772352000.0, 1772352000.0, 2.5)
    """
    moment = _read(text.strip(), counted)
    if isinstance(moment, float):
        return moment
    try:
        return (moment if moment.tzinfo or zone is None else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise _no_time(text) from None


def names_zone(text: str) -> bool:
    """Whether the text of a time, which `parse_time` takes, says in which zone it is, as seconds since 1970 do.

    Example:
        >>> names_zone("2026-03-01T08:00:00Z"), names_zone("2026-03-01T08:00:00")
        (True, False)
    """
    moment = _read(text.strip(), counted=True)
    return isinstance(moment, float) or moment.tzinfo is not None


def date_of_digits(text: str) -> datetime | None:
    """The date of eight digits from 1900 to 2099, or None.

    Example:
        >>> date_of_digits("20260301"), date_of_digits("20261301")
        (datetime.datetime(2026, 3, 1, 0, 0), None)
    """
    return _moment_of_digits(text) if len(text) == _DATE else None


def format_time(seconds: float | None, timespec: str = "seconds") -> str:
    """ISO 8601, UTC; a dash if it is unknown. timespec: how exact, as `datetime.isoformat` has it.

    Example:
        >>> format_time(1772352000.0)
        '2026-03-01T08:00:00Z'
    """
    if seconds is None:
        return "-"
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
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


def _read(text: str, counted: bool) -> float | datetime:
    if date := date_of_digits(text):
        return date
    if _NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
        if _is_like_a_date(text, counted):
            raise ConfigError(
                f"{text} can be meant as a date or as seconds since 1970: write a date as 2026-03-01, a time as "
                f"2026-03-01T08:00Z, and seconds as {text}.0"
            )
        return number
    try:
        if _ISO.fullmatch(text):
            return datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        pass
    raise _no_time(text)


def _no_time(text: str) -> ConfigError:
    return ConfigError(f"{text!r} is no time, such as 2026-03-01T08:00:00+01:00 or seconds since 1970")


def _is_like_a_date(text: str, counted: bool) -> bool:
    """Whether these digits may be a date, or one with an error. Seconds since 1970 of today are not."""
    if len(text) == _DATE:
        return re.fullmatch(r"(19|20)[0-9]{6}", text) is not None
    if len(text) == 10 and not text.startswith("20"):  # seconds of 2001 to 2033
        return False
    return not counted and _moment_of_digits(text) is not None


def _moment_of_digits(text: str) -> datetime | None:
    if len(text) not in _DIGITS or re.fullmatch(r"(19|20)[0-9]+", text) is None:
        return None
    try:
        return datetime.strptime(text, _DIGITS[len(text)])
    except ValueError:
        return None
