"""The query of `GET /jobs`, and the token of the next page. Pure.

A token says where the last page ended and to which listing it belongs. A token that was changed, or that comes with
other filters, is refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from clipferry.intake.characters import unseen
from clipferry.jobs.statuses import JobStatus
from clipferry.redaction import redact
from clipferry.store.job_records import PAGE_MAX, Listing
from clipferry.vendors import VENDORS

LIMIT_DEFAULT = 25
VALUE_MAX = 1024  # bytes of a parameter; a key of the table may have 2,048
TOKEN_MAX = 4096  # bytes of a token; a token of EventBridge Scheduler has up to 2,048
NAME_SHOWN = 100  # characters of an unknown parameter's name
_KEY = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z#[0-9A-Z]{26}$")
PARAMETERS = frozenset({"vendor", "status", "label", "schedule", "batch", "since", "until", "limit", "next_token"})


class BadQuery(Exception):
    """A query parameter is invalid. A user chose its name, so the name is redacted and cut."""

    def __init__(self, parameter: str, detail: str) -> None:
        self.parameter, self.detail = redact(parameter)[:NAME_SHOWN], detail
        super().__init__(f"{self.parameter} {detail}")


@dataclass(frozen=True)
class Query:
    listing: Listing
    limit: int
    before: str | None


def parse_query(given: Mapping[str, Sequence[str]]) -> Query:
    """`vendor`, `status`, `label` (key=value), `schedule`, `batch`, `since`, `until` (ISO 8601), `limit`, `next_token`.

    `label` may be given several times: then a job must have all of them. Raises BadQuery.
    """
    labels = _labels(given.get("label", ()))
    parameters = single_values(given, PARAMETERS, several=("label",))
    vendor, status = parameters.get("vendor"), parameters.get("status")
    if vendor is not None and vendor not in VENDORS:
        raise BadQuery("vendor", f"must be one of {', '.join(VENDORS)}")
    if status is not None and status not in JobStatus.__members__:
        raise BadQuery("status", f"must be one of {', '.join(JobStatus)}")
    listing = Listing(
        vendor=vendor,
        status=JobStatus(status) if status else None,
        tag=_tag(parameters, labels),
        labels=labels,
        since=_moment(parameters, "since"),
        until=_moment(parameters, "until"),
    )
    if listing.since and listing.until and listing.since > listing.until:
        raise BadQuery("since", "must not be after until")
    token = parameters.get("next_token")
    return Query(listing, parse_limit(parameters.get("limit")), _read_token(token, listing) if token else None)


def page_token(query: Query, last: str) -> str:
    """The token of the next page; users should not read it."""
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
    return hashlib.sha256("|".join((last, str(listing), *listing.labels[1:])).encode()).hexdigest()[:16]


def single_values(
    given: Mapping[str, Sequence[str]], known: Collection[str], several: Collection[str] = ()
) -> dict[str, str]:
    """The parameters of a query with one value each; the first value of those that may have `several`.

    Raises BadQuery for an unknown parameter, a value that is too long, and a second value.
    """
    for name in sorted(set(given) - set(known)):
        raise BadQuery(name, "is not a known parameter")
    for name, values in given.items():
        most = TOKEN_MAX if name == "next_token" else VALUE_MAX
        if any(unseen(value) or len(value.encode()) > most for value in values):
            raise BadQuery(name, f"must be at most {most} bytes of characters that can be seen")
        if len(values) > 1 and name not in several:
            raise BadQuery(name, "is given more than once")
    return {name: values[0] for name, values in given.items() if values}


def parse_file_query(given: Mapping[str, Sequence[str]]) -> int:
    """`files_after`, the id of a file: its number, 0 when it is not given. Raises BadQuery."""
    text = single_values(given, {"files_after"}).get("files_after", "f0")
    if not re.fullmatch(r"f[0-9]{1,9}", text):
        raise BadQuery("files_after", "must be the id of a file, such as f100")
    return int(text[1:])


def _labels(values: Sequence[str]) -> tuple[str, ...]:
    for value in values:
        if value.find("=") < 1:
            raise BadQuery("label", "must be key=value")
    return tuple(sorted(set(values)))


def _tag(parameters: Mapping[str, str], labels: Sequence[str]) -> str | None:
    """The tag that an index finds. Of several labels it is the first; the others are compared with each job."""
    given = [name for name in ("label", "schedule", "batch") if name in parameters]
    if len(given) > 1:
        raise BadQuery(given[1], f"cannot be combined with {given[0]}")
    if not given:
        return None
    return f"{given[0]}#{labels[0] if labels else parameters[given[0]]}"


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
