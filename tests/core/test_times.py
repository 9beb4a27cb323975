"""Times as text: what is a date, what is seconds, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from resight.core.errors import ConfigError
from resight.core.times import names_zone, parse_time
from resight.gallery.arguments import limit_of

EIGHT = datetime(2026, 3, 1, 8, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T08:00:00Z",
        "20260301T0800Z",
        "20260301t09:00+01:00",
        "2026-03-01 08:00Z",
        " 1772352000 ",
        "1.772352e9",
    ],
)
def test_a_moment_in_each_form(text: str) -> None:
    assert parse_time(text) == EIGHT
    assert names_zone(text)


def test_eight_digits_are_a_date() -> None:
    day = datetime(2026, 3, 1)
    assert parse_time("20260301") == day.timestamp()  # of this machine's zone, as 2026-03-01
    assert parse_time("20260301", UTC) == parse_time("20260301", UTC, counted=True) == EIGHT - 8 * 3600
    assert not names_zone("20260301")


@pytest.mark.parametrize("text", ["2026", "1999", "202603", "20261301", "2026030108", "202603010800", "20260301080000"])
def test_digits_that_may_be_a_date_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=rf"write a date as 2026-03-01.*seconds as {text}\.0"):
        parse_time(text)
    assert parse_time(f"{text}.0") == float(text)


@pytest.mark.parametrize("text", ["0", "2.5", ".5", "-3", "33", "1800", "2400", "100000", "1772352000", "1999999999"])
def test_seconds_are_seconds(text: str) -> None:
    assert parse_time(text) == float(text)


@pytest.mark.parametrize("text", ["1999", "2026", "202603", "2026030108"])
def test_seconds_of_a_table_may_look_like_a_year(text: str) -> None:
    assert parse_time(text, counted=True) == float(text)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "nan", "inf", "1e999", "1_000", "2026-03", "2026-03-01+01:00", "2026-03-01-05:00"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ConfigError, match="is no time"):
        parse_time(text)


def test_a_filter_takes_no_digits_of_a_date_for_seconds() -> None:
    with pytest.raises(ConfigError, match="20260301 is a date"):
        limit_of(20260301)
    assert limit_of(2026.0) == 2026.0
