"""The query of `GET /jobs`, and the token that goes on from a page. Pure.

A token names where the last page ended and which listing it belongs to; one that was altered, or that comes with
other filters, is refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from clipferry.jobs import JobStatus
from clipferry.redaction import redact
from clipferry.store.job_records import PAGE_MAX, Listing
from clipferry.vendors import VENDORS

LIMIT_DEFAULT = 25
NAME_SHOWN = 100  # characters of an unknown parameter's name
_KEY = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z#[0-9A-Z]{26}$")
PARAMETERS = frozenset({"vendor", "status", "label", "schedule", "batch", "since", "until", "limit", "next_token"})


class BadQuery(Exception):
    """A query parameter that cannot be. Its name is the user's to choose: no URL in it keeps its query."""

    def __init__(self, parameter: str, detail: str) -> None:
        self.parameter, self.detail = redact(parameter)[:NAME_SHOWN], detail
        super().__init__(f"{self.parameter} {detail}")


@dataclass(frozen=True)
class Query:
    listing: Listing
    limit: int
    before: str | None


def parse_query(parameters: Mapping[str, str]) -> Query:
    """`vendor`, `status`, `label` (key=value), `schedule`, `batch`, `since`, `until` (ISO 8601), `limit`, `next_token`.

    Raises BadQuery.
    """
    for name in sorted(set(parameters) - PARAMETERS):
        raise BadQuery(name, "is not a known parameter")
    vendor, status = parameters.get("vendor"), parameters.get("status")
    if vendor is not None and vendor not in VENDORS:
        raise BadQuery("vendor", f"must be one of {', '.join(VENDORS)}")
    if status is not None and status not in JobStatus.__members__:
        raise BadQuery("status", f"must be one of {', '.join(JobStatus)}")
    listing = Listing(
        vendor=vendor,
        status=JobStatus(status) if status else None,
        tag=_tag(parameters),
        since=_moment(parameters, "since"),
        until=_moment(parameters, "until"),
    )
    if listing.since and listing.until and listing.since > listing.until:
        raise BadQuery("since", "must not be after until")
    token = parameters.get("next_token")
    return Query(listing, parse_limit(parameters.get("limit")), _read_token(token, listing) if token else None)


def page_token(query: Query, last: str) -> str:
    """Opaque to users."""
    text = json.dumps([last, _mark(last, query.listing)])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_token(token: str, listing: Listing) -> str:
    try:
        last, mark = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (ValueError, TypeError, RecursionError):
        raise BadQuery("next_token", "is not one of ours") from None
    if not isinstance(last, str) or not _KEY.match(last) or mark != _mark(last, listing):
        raise BadQuery("next_token", "is not one of ours, or belongs to a listing with other filters")
    return last


def _mark(last: str, listing: Listing) -> str:
    return hashlib.sha256(f"{last}|{listing}".encode()).hexdigest()[:16]


def _tag(parameters: Mapping[str, str]) -> str | None:
    given = [name for name in ("label", "schedule", "batch") if name in parameters]
    if len(given) > 1:
        raise BadQuery(given[1], f"cannot be combined with {given[0]}")
    if not given:
        return None
    value = parameters[given[0]]
    if given[0] == "label" and not re.match(r"^[^=]+=", value):
        raise BadQuery("label", "must be key=value")
    return f"{given[0]}#{value}"


def _moment(parameters: Mapping[str, str], name: str) -> datetime | None:
    if name not in parameters:
        return None
    try:
        moment = datetime.fromisoformat(parameters[name])
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadQuery(name, "must be a time in ISO 8601, such as 2026-01-31T08:00:00Z") from None


def parse_limit(text: str | None) -> int:
    """Raises BadQuery."""
    if text is None:
        return LIMIT_DEFAULT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= PAGE_MAX:
        raise BadQuery("limit", f"must be a whole number from 1 to {PAGE_MAX}")
    return int(text)
