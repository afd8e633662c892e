"""Reads `Retry-After`, for APIs and file servers. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from clipferry.pacing.poll_plan import RETRY_AFTER_MAX


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait by a Retry-After header (RFC 9110 §10.2.3): a number of seconds, or a date compared with `now`.

    The result is cut to 0 … RETRY_AFTER_MAX. None: there is no such header, or it cannot be read.
    """
    value = (value or "").strip()
    if value.isascii() and value.isdecimal():
        return min(float(value), RETRY_AFTER_MAX)
    try:
        moment = parsedate_to_datetime(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_MAX)
