"""Keeps a download URL valid: reads its expiry, and asks the vendor for a new URL before that.

Only another URL of the same file is requested; this never starts vendor work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

from clipferry.transfer.errors import NotThere, SourceChanged
from clipferry.vendors.contract import Remote

MARGIN = timedelta(seconds=60)  # renew so long before the expiry; a URL with a shorter life after 4/5 of it


def expiry(url: str, now: datetime) -> datetime | None:
    """When a signed URL expires, by its parameters; None when they do not say.

    `Expires` (OSS and S3 V2 signatures, epoch seconds), `X-Amz-Date` with `X-Amz-Expires`, `x-oss-date` with
    `x-oss-expires`, and the epoch in front of `auth_key` (CDN type A) when it lies ahead: one that lies behind is the
    moment of signing, which is how Polyv uses it, and says nothing about the end.
    """
    query = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
    for prefix in ("x-amz", "x-oss"):
        if ends := _signed_for(query.get(f"{prefix}-date", ""), query.get(f"{prefix}-expires", "")):
            return ends
    if ends := _epoch(query.get("expires", "")) or _epoch(query.get("x-oss-expires", "")):
        return ends
    ahead = _epoch(query.get("auth_key", "").partition("-")[0])
    return ahead if ahead and ahead > now else None


def _signed_for(date: str, seconds: str) -> datetime | None:
    try:
        return datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) + timedelta(seconds=int(seconds))
    except (ValueError, OverflowError):
        return None


def _epoch(text: str) -> datetime | None:
    if not text.isdecimal() or not 9 <= len(text) <= 11:  # years 1973 to 5138: an epoch, not a duration
        return None
    return datetime.fromtimestamp(int(text), UTC)


class Link:
    """The present URL of one file, shared by all connections that read it."""

    def __init__(self, locate: Callable[[], Remote | None], clock: Callable[[], datetime] | None = None) -> None:
        self._locate = locate
        self._now = clock or (lambda: datetime.now(UTC))
        self._lock = threading.Lock()
        self._remote: Remote | None = None
        self._renew_at: datetime | None = None

    def current(self) -> Remote:
        """A URL that stays valid for some time. Raises NotThere and the errors of `locate`."""
        with self._lock:
            if self._remote is None or (self._renew_at is not None and self._now() >= self._renew_at):
                return self._ask()
            return self._remote

    def renew(self, stale: Remote) -> Remote:
        """Another URL after `stale` was refused. All callers with the same stale URL get the same new one."""
        with self._lock:
            return self._ask() if self._remote is stale or self._remote is None else self._remote

    def _ask(self) -> Remote:
        before, remote = self._remote, self._locate()
        if remote is None:
            self._remote = None
            raise NotThere("the vendor has no URL for the file at the moment")
        if before is not None and _differ(before, remote):
            raise SourceChanged("the vendor now declares another size or MD5")
        now = self._now()
        ends = min((end for end in (remote.expires_at, expiry(remote.url, now)) if end), default=None)
        if ends is None or ends <= now:  # unknown, or a clock is wrong: the source's refusal will tell
            self._renew_at = None
        else:
            self._renew_at = max(ends - MARGIN, now + (ends - now) * 4 / 5)
        self._remote = remote
        return remote


def _differ(one: Remote, other: Remote) -> bool:
    """Whether the vendor's facts about the file differ; a missing fact does not count."""
    if one.size and other.size and one.size != other.size:
        return True
    return bool(one.md5 and other.md5 and one.md5.lower() != other.md5.lower())
