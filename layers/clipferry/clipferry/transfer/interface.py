"""The values that a transfer and its caller share: destination, options, results. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from clipferry.outbound.client import Outbound
    from clipferry.vendors.contract import Remote


class Code(StrEnum):
    """Why a copy, or one attempt at it, failed."""

    ADDRESS_REFUSED = "ADDRESS_REFUSED"  # scheme, host, address or redirect not allowed
    SOURCE_UNAVAILABLE = "SOURCE_UNAVAILABLE"  # network errors, 4xx, 5xx, errors in the protocol
    SOURCE_THROTTLED = "SOURCE_THROTTLED"  # 429 or 503 again and again
    SOURCE_REFUSED = "SOURCE_REFUSED"  # 401, 403 or 451, also for a new URL
    SOURCE_GONE = "SOURCE_GONE"  # reported ready, but still not found after the grace period
    SOURCE_CHANGED = "SOURCE_CHANGED"  # another size or ETag than at the start, too many times
    SHORT_BODY = "SHORT_BODY"  # ended before its declared length
    TOO_LARGE = "TOO_LARGE"  # larger than one S3 object can be
    NOT_A_VIDEO = "NOT_A_VIDEO"  # an error page, JSON, a few bytes, an image in place of a video
    CONTAINER_CUT = "CONTAINER_CUT"  # the file ends before its container does
    HLS_ENCRYPTED = "HLS_ENCRYPTED"  # a playlist names a key
    HLS_LIVE = "HLS_LIVE"  # a playlist without an end
    HLS_INVALID = "HLS_INVALID"  # a playlist that breaks RFC 8216, so that it cannot be copied
    HLS_TOO_LARGE = "HLS_TOO_LARGE"  # more playlists, segments or bytes than are copied
    HLS_SEGMENT_MISSING = "HLS_SEGMENT_MISSING"  # the playlist lists it, the source does not have it
    EVIDENCE_MISMATCH = "EVIDENCE_MISMATCH"  # size, MD5 or CRC differs from what was declared
    EVIDENCE_TOO_WEAK = "EVIDENCE_TOO_WEAK"  # probably complete, but with weaker evidence than the configured minimum
    STORAGE_UNAVAILABLE = "STORAGE_UNAVAILABLE"  # S3 5xx, SlowDown, timeouts
    STORAGE_REFUSED = "STORAGE_REFUSED"  # S3 refuses: permissions, key, bucket
    DESTINATION_TAKEN = "DESTINATION_TAKEN"  # another object is stored under the key


class WarningCode(StrEnum):
    """What a user should know about a stored file."""

    CONTAINER_INCOMPLETE = "CONTAINER_INCOMPLETE"  # equal to the vendor's file, which itself is cut
    SUBTITLES_LEFT_OUT = "SUBTITLES_LEFT_OUT"  # of an HLS video: a rendition that cannot be copied


@dataclass(frozen=True)
class CopyWarning:
    code: WarningCode
    message: str


class Level(StrEnum):
    """What proves that a stored file equals the vendor's, the strongest first."""

    VENDOR_MD5 = "vendor-md5"  # from the vendor's API
    VENDOR_CRC64 = "vendor-crc64"  # x-oss-hash-crc64ecma of the object store that serves it
    CONTENT_MD5 = "content-md5"  # RFC 1864
    ETAG_MD5 = "etag-md5"  # the ETag is equal to the MD5
    SIZE_TWO_SOURCES = "size-two-sources"  # the API and the download declared the size that came
    CONTENT_LENGTH = "content-length"  # one of them declared the size that came, or chunked framing the body's end
    NONE = "none"  # the body ended, but nothing declared where it should end

    @property
    def rank(self) -> int:
        """A number; larger is stronger."""
        return len(Level) - list(Level).index(self)


@dataclass(frozen=True)
class Destination:
    """Where the object is stored. Its key is `stem` plus an extension by the container that its bytes show."""

    bucket: str
    stem: str  # e.g. "site-a/linkvisual/2026/11/21/01K…/f001"
    file_name: str = ""  # the vendor's name, for Content-Disposition
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    storage_class: str | None = None  # None: the bucket's default
    kms_key_id: str | None = None  # None: the bucket's default encryption
    expected_owner: str | None = None  # the account id that must own the bucket


@dataclass(frozen=True)
class Options:
    connections: int = 16  # at once to the source; fewer while it throttles
    minimum_evidence: str = Level.CONTENT_LENGTH.value
    part_size: int = 8 * 1024 * 1024  # bytes; grows with the file, so that 10,000 parts suffice
    smallest_part: int = 5 * 1024 * 1024  # bytes; S3 takes no smaller one but the last
    buffers: int = 144 * 1024 * 1024  # bytes of part buffers in memory
    save_every: float = 4.0  # seconds between two saves of the checkpoint
    backoff: float = 0.5  # seconds before the first repeat of a failed request; doubles
    not_there_grace: float = 600.0  # seconds for which a file that is reported ready may answer 404
    max_starts: int = 5  # starts of a copy whose source changes or whose upload is lost, with its validators


@dataclass(frozen=True)
class CopyCall:
    """The arguments of one call of a copy. The docstring of `copy` describes each field."""

    locate: Callable[[], Remote | None]
    destination: Destination
    outbound: Outbound
    hosts: Sequence[str]
    s3: S3Client
    checkpoint: Mapping[str, Any]
    save: Callable[[dict[str, Any], int], None]
    time_left: Callable[[], float]
    options: Options = field(default_factory=Options)


@dataclass(frozen=True)
class Stored:
    """The object is complete and proven. `evidence`: level, sha256, checksum, size, checks, and etag of the object."""

    key: str
    size: int
    evidence: Mapping[str, Any]
    content_type: str
    warnings: Sequence[CopyWarning] = ()


@dataclass(frozen=True)
class More:
    """Not finished, no failure: call again with the saved checkpoint, after the wait (seconds)."""

    wait_seconds: float = 0.0


@dataclass(frozen=True)
class Retry:
    """One failed attempt. The caller counts it against its budget and calls again after the wait (seconds)."""

    code: str
    message: str
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class Failed:
    """Final: another call would fail too. The upload is aborted; `abandon` ends the uploads of crashed calls."""

    code: str
    message: str


Result = Stored | More | Retry | Failed


class CopySuperseded(Exception):
    """Raised by the caller's `save`: the job was cancelled, or another call copies the file now.

    The upload in the checkpoint belongs to that other call. This copy aborts only an upload that it has begun itself
    and could not save.
    """
