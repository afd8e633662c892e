"""Reads IMS's replies: upload records and source files. The JSON often differs from its documentation.

Pages: IMS "GetUrlUploadInfos", "GetMediaInfo"; the statuses are in VOD's "Basic structures", to which both link.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from clipferry.vendors import lenient
from clipferry.vendors.alibaba.failures import said
from clipferry.vendors.contract import LookStatus, VendorUnavailable
from clipferry.vendors.file_urls import FileUrl
from clipferry.vendors.source_urls import Reading, reading

#: SUCCESS and Normal are READY here in the sense of "uploaded"; a file is ready once its URL is known as well.
STATUSES: Mapping[str, LookStatus] = {
    "PENDING": LookStatus.RUNNING,
    "PROCESSING": LookStatus.RUNNING,
    "DOWNLOADING": LookStatus.RUNNING,
    "DOWNLOAD_SUCCESS": LookStatus.RUNNING,
    "UPLOADING": LookStatus.RUNNING,
    "UPLOAD_SUCCESS": LookStatus.RUNNING,
    "DOWNLOAD_FAIL": LookStatus.FAILED,
    "UPLOAD_FAIL": LookStatus.FAILED,
    "SUCCESS": LookStatus.READY,
    "NORMAL": LookStatus.READY,  # a media's status, which the page's own sample shows for an upload
}
NO_ERROR = frozenset({"", "200"})
_FAILED = re.compile(r"FAIL(ED)?$", re.IGNORECASE)
_BETWEEN_QUOTED = re.compile(r"""['"]\s*,\s*['"]""")


@dataclass(frozen=True)
class Record:
    """One upload job, as GetUrlUploadInfos lists it."""

    job_id: str
    url: str = field(repr=False)  # the source; may be a signed one
    media_id: str
    raw_status: str
    error_code: str
    error_message: str
    size: int | None  # bytes
    created_at: datetime | None
    completed_at: datetime | None
    user_data: str = field(repr=False)

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> Record:
        return cls(
            job_id=lenient.text(entry.get("JobId")),
            url=lenient.text(entry.get("UploadURL")),
            media_id=lenient.text(entry.get("MediaId")),
            raw_status=lenient.message(entry.get("Status")),
            error_code=lenient.message(entry.get("ErrorCode")),
            error_message=said(entry.get("ErrorMessage")),
            size=lenient.integer(entry.get("FileSize")) or None,  # "0" until it is known
            created_at=lenient.iso_time(entry.get("CreationTime")),
            completed_at=lenient.iso_time(entry.get("CompleteTime")),
            user_data=lenient.text(entry.get("UserData")),
        )

    @property
    def status(self) -> LookStatus:
        status = STATUSES.get(self.raw_status.upper())
        if status is None:
            return LookStatus.FAILED if _FAILED.search(self.raw_status) else LookStatus.UNKNOWN
        if self.raw_status.upper() == "NORMAL" and self.error_code not in NO_ERROR:
            return LookStatus.UNKNOWN
        return status


@dataclass(frozen=True)
class Listing:
    """A GetUrlUploadInfos reply: the records, and the ids or URLs that do not exist."""

    records: list[Record]
    absent: frozenset[str]

    @classmethod
    def parse(cls, reply: Mapping[str, Any]) -> Listing:
        """Raises VendorUnavailable for a reply that has neither of the two lists."""
        if not reply.keys() & {"URLUploadInfoList", "NonExists"}:
            raise VendorUnavailable("GetUrlUploadInfos: a reply without any list.")
        records = [Record.parse(entry) for entry in lenient.entries(reply.get("URLUploadInfoList"))]
        return cls([r for r in records if r.job_id], frozenset(_absent(reply.get("NonExists"))))

    def lacks(self, url: str) -> bool:
        """Whether the reply says that this URL was never uploaded."""
        return any(reading(url, name) is not None for name in self.absent)

    def of(self, url: str) -> tuple[Reading | None, list[Record]]:
        """The records of one URL, which may have been uploaded many times, and how their URLs were recognised.

        Records whose URL matches most exactly count. When the reply says that this URL has no upload, records that may
        belong to another URL do not count.
        """
        read = [(how, record) for record in self.records if (how := reading(url, record.url)) is not None]
        best_reading = min((how for how, _ in read), default=None)
        if best_reading is None or (best_reading >= Reading.RECODED and self.lacks(url)):
            return None, []
        return best_reading, [record for how, record in read if how is best_reading]


def _absent(value: Any) -> Iterable[str]:
    """Names in a NonExists list, also in the sample's spelling `["['name', 'name']"]`."""
    if isinstance(value, list | tuple):
        for element in value:
            yield from _absent(element)
    elif isinstance(value, dict):
        yield from _absent(list(value.values()))
    else:
        bare = lenient.text(value).strip("[] ").strip("'\"")
        yield from (name.strip() for name in _BETWEEN_QUOTED.split(bare) if name.strip())


def best(records: Iterable[Record]) -> Record | None:
    """The newest record that succeeded; if none did, the newest record."""
    epoch = datetime.fromtimestamp(0, UTC)
    return max(records, key=lambda r: (r.status is LookStatus.READY, r.created_at or epoch), default=None)


@dataclass(frozen=True)
class Source:
    """The original file of a media."""

    url: FileUrl
    size: int | None  # bytes

    @classmethod
    def parse(cls, reply: Mapping[str, Any], media_id: str) -> Source | None:
        """None while GetMediaInfo does not show the original with a URL, or with something in its place.

        Raises VendorUnavailable for another media.
        """
        unusable, info = None, lenient.mapping(reply.get("MediaInfo"))
        if lenient.text(info.get("MediaId")) not in ("", media_id):
            raise VendorUnavailable(f"GetMediaInfo: a reply about another media than {media_id}.")
        for entry in lenient.entries(info.get("FileInfoList")):
            basic = lenient.mapping(entry.get("FileBasicInfo"))
            original = lenient.text(basic.get("FileType")).lower() == "source_file"
            normal = lenient.text(basic.get("FileStatus")).lower() in ("", "normal")
            source = cls(_https(FileUrl.parse(basic.get("FileUrl"))), lenient.integer(basic.get("FileSize")))
            if original and normal and source.url.url:
                return source
            if original and normal and source.url.problem:
                unusable = source
        return unusable


def _https(given: FileUrl) -> FileUrl:
    """The URL with https. OSS gives http URLs and answers on both; the signature does not include the scheme."""
    parts = urlsplit(given.url or "")
    oss = parts.scheme == "http" and (parts.hostname or "").endswith(".aliyuncs.com") and parts.port is None
    return FileUrl(parts._replace(scheme="https").geturl()) if oss else given
