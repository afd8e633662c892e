"""Retry-After: what a server may ask for, and how much of it is believed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from clipferry.outbound.retry_after import retry_after
from clipferry.pacing.poll_plan import RETRY_AFTER_MAX

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Sat, 21 Nov 2026 02:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 02:00:30 +0000", 30.0),
        ("Saturday, 21-Nov-26 02:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 01:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        (None, None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("Sat, 21 Nov", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value", ["86401", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 -2359"]
)
def test_no_server_is_left_alone_for_more_than_a_day(value: str) -> None:
    assert retry_after(value, NOW) in (RETRY_AFTER_MAX, None)
    assert RETRY_AFTER_MAX == 86_400


def test_without_a_moment_of_its_own_a_date_is_seen_from_now() -> None:
    assert retry_after("Fri, 31 Dec 9999 23:59:59 GMT") == RETRY_AFTER_MAX
    assert retry_after("Sat, 01 Jan 2000 00:00:00 GMT") == 0.0
