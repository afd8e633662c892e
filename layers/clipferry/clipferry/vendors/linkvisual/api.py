"""LinkVisual's replies (product `Linkvisual`, version 2018-01-20): recorded files and download states.

Parsing only: no call, no clock. Each function accepts any JSON value.

Pages: QueryRecordByRecordId, QueryRecord, QueryRecordDownloadUrl.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from clipferry.vendors import lenient
from clipferry.vendors.contract import LookStatus, VendorRefused
from clipferry.vendors.file_urls import FileUrl

#: Zone of times without one; an account may name another (`timezone_offset`).
CHINA = timezone(timedelta(hours=8))

STATUSES: Mapping[str, LookStatus] = {
    "-1": LookStatus.FAILED,
    "0": LookStatus.READY,
    "1": LookStatus.RUNNING,
}


@dataclass(frozen=True)
class Segment:
    """One file of a recording, at most 30 minutes of it. Times are UTC."""

    name: str
    begin: datetime | None = None
    end: datetime | None = None

    @property
    def seconds(self) -> float:
        """Its length; 0 when the vendor gave no valid times."""
        return max(0.0, (self.end - self.begin).total_seconds()) if self.begin and self.end else 0.0

    def detail(self) -> dict[str, str]:
        """The segment as JSON; `from_detail` reads it."""
        moments = {"begin": self.begin, "end": self.end}
        return {key: moment.isoformat() for key, moment in moments.items() if moment}

    @classmethod
    def from_detail(cls, name: str, detail: Mapping[str, Any]) -> Segment:
        return cls(name, moment(detail.get("begin"), CHINA), moment(detail.get("end"), CHINA))


def segments(listing: Any, zone: timezone) -> list[Segment]:
    """The files of a listing by their begin, each name once."""
    found: dict[str, Segment] = {}
    for entry in lenient.entries(listing):
        name = lenient.text(entry.get("FileName"))
        if name:
            begin, end = moment(entry.get("BeginTime"), zone), moment(entry.get("EndTime"), zone)
            found.setdefault(name, Segment(name, begin, end))
    return in_order(found.values())


def in_order(found: Iterable[Segment]) -> list[Segment]:
    """The order of files: by their begin; files without a begin come last, as they were listed."""
    latest = datetime.max.replace(tzinfo=UTC)
    return sorted(found, key=lambda segment: segment.begin or latest)


def moment(value: Any, zone: timezone) -> datetime | None:
    """UTC time of `YYYY-MM-DD HH:mm:ss` in `zone`, of ISO 8601, or of epoch seconds or milliseconds."""
    number = lenient.integer(value)
    if number is not None:
        found = lenient.from_epoch(number / 1000 if number > 99_999_999_999 else number)
    else:
        try:
            local = datetime.fromisoformat(lenient.text(value))
            found = (local if local.tzinfo else local.replace(tzinfo=zone)).astimezone(UTC)
        except (ValueError, OverflowError):
            return None
    return found if found and 1970 < found.year < 9999 else None  # so that sums with it are still valid dates


def zone_of(offset: str) -> timezone:
    """The zone of an account's `timezone_offset` such as `+08:00` or `8`; China's when there is none.

    Raises VendorRefused (ACCOUNT_MALFORMED).
    """
    if not offset.strip():
        return CHINA
    found = re.fullmatch(r"([+-]?)(\d{1,2})(?::?(\d{2}))?", offset.strip())
    minutes = int(found[2]) * 60 + int(found[3] or 0) if found else 24 * 60
    if minutes >= 24 * 60:
        message = "the account's timezone_offset is not an offset such as +08:00"
        raise VendorRefused(message, kind="ACCOUNT_MALFORMED")
    return timezone(timedelta(minutes=-minutes if found and found[1] == "-" else minutes))


@dataclass(frozen=True)
class Download:
    """Data of QueryRecordDownloadUrl: how far the MP4 of one file is."""

    raw_status: str
    progress: int | None
    url: FileUrl

    @classmethod
    def parse(cls, data: Any) -> Download:
        reply = lenient.mapping(data)
        progress = lenient.integer(reply.get("Progress"))
        return cls(
            raw_status=_signed(reply.get("Status")),
            progress=None if progress is None else min(progress, 100),
            url=FileUrl.parse(reply.get("Url")),
        )

    @property
    def status(self) -> LookStatus:
        """READY needs Status 0, Progress 100 and a URL: a sample of the vendor has Status 0 at Progress 0.

        FAILED when the text cannot be a URL.
        """
        status = STATUSES.get(self.raw_status, LookStatus.UNKNOWN)
        if self.made and self.url.problem:
            return LookStatus.FAILED
        return LookStatus.RUNNING if status is LookStatus.READY and not (self.made and self.url.url) else status

    @property
    def made(self) -> bool:
        """Whether the MP4 exists; its URL may still be missing or invalid."""
        return STATUSES.get(self.raw_status) is LookStatus.READY and self.progress == 100

    @property
    def raw(self) -> str:
        """For people."""
        return (
            f"Status {self.raw_status or 'missing'}, Progress {'missing' if self.progress is None else self.progress}"
        )


def _signed(value: Any) -> str:
    """A whole number's decimal spelling, the sign kept; other texts as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return ""
    spelling = str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()
    number = lenient.integer(spelling.removeprefix("-"))
    if number is None:
        return lenient.message(spelling)
    return f"-{number}" if spelling.startswith("-") else str(number)
