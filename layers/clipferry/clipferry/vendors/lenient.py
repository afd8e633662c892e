"""Reads values that vendors send. Each function accepts any JSON value and never raises.

Replies do not keep to the documented types: numbers arrive as strings, objects as null, lists as single objects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from clipferry.redaction import redact

_LONGEST_NUMBER = 18  # digits; a longer number is not a size, count or time
_LAST_SECOND = 4_102_444_799  # 2099-12-31T23:59:59Z; a later time is a mistake in units
_LONGEST_VALUE = 16_384  # characters; a longer text is not a name, id or URL, and is too long for a row
_LONGEST_TEXT = 200  # characters of a vendor's message that are shown


def integer(value: Any) -> int | None:
    """A whole number of at least 0, from a number or a string of digits; None for any other value."""
    if isinstance(value, str):
        value = value.strip()
        return int(value) if value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    whole = math.isfinite(value) and value == int(value) and 0 <= value < 10**_LONGEST_NUMBER
    return int(value) if whole else None


def text(value: Any) -> str:
    """A trimmed string, or a number as a string; empty for any other value, and for a text that is too long."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = integer(value)
        return "" if found is None else str(found)
    return value.strip() if isinstance(value, str) and len(value) <= _LONGEST_VALUE else ""


def mapping(value: Any) -> Mapping[str, Any]:
    """The object; an empty object for any other value."""
    return value if isinstance(value, dict) else {}


def entries(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; a single object becomes a list of one."""
    if isinstance(value, dict):
        return [value]
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def hostname(url: str) -> str:
    """The host of a URL; empty when there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def file_name(url: str) -> str:
    """The last segment of a URL's path, decoded; empty when there is none."""
    try:
        return unquote(urlsplit(url).path).rpartition("/")[2]
    except ValueError:
        return ""


def message(value: Any) -> str:
    """A vendor's message as it may be shown: printable, at most _LONGEST_TEXT characters, no queries of URLs."""
    shown = "".join(c if c.isprintable() else " " for c in redact(text(value)))
    return shown if len(shown) <= _LONGEST_TEXT else shown[: _LONGEST_TEXT - 1] + "…"


def from_epoch(seconds: float | None) -> datetime | None:
    """UTC time of epoch seconds; None for None, and for a time outside the years 1970 to 2099."""
    if seconds is None or not 0 <= seconds <= _LAST_SECOND:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def iso_time(value: Any) -> datetime | None:
    """UTC time of `2021-11-07T10:03:37Z`, or of `2021-11-26 21:47:37`, which counts as UTC; None for other values."""
    try:
        found = datetime.fromisoformat(text(value))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def http_date(value: str | None) -> datetime | None:
    """UTC time of a `Date` header (RFC 9110 §5.6.7); None when it is missing or not a date."""
    try:
        found = parsedate_to_datetime(value or "")
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
