"""The words a transfer and its caller share: where to, how, what came of it. Values only."""

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
    SOURCE_UNAVAILABLE = "SOURCE_UNAVAILABLE"  # network trouble, 4xx, 5xx, nonsense in the protocol
    SOURCE_THROTTLED = "SOURCE_THROTTLED"  # 429 or 503 without end
    SOURCE_REFUSED = "SOURCE_REFUSED"  # 401, 403 or 451, also for a fresh URL
    SOURCE_GONE = "SOURCE_GONE"  # said to be ready, but still not there after the grace period
    SOURCE_CHANGED = "SOURCE_CHANGED"  # another size or ETag than at the start, too many times
    SHORT_BODY = "SHORT_BODY"  # ended before its declared length
    TOO_LARGE = "TOO_LARGE"  # more than one S3 object holds
    NOT_A_VIDEO = "NOT_A_VIDEO"  # an error page, JSON, a few bytes, an image where a video was promised
    CONTAINER_CUT = "CONTAINER_CUT"  # ends before its container does
    HLS_ENCRYPTED = "HLS_ENCRYPTED"  # a playlist names a key
    HLS_LIVE = "HLS_LIVE"  # a playlist without end
    HLS_INVALID = "HLS_INVALID"  # a playlist that breaks RFC 8216 in a way that matters here
    HLS_TOO_LARGE = "HLS_TOO_LARGE"  # more playlists, segments or bytes than are copied
    HLS_SEGMENT_MISSING = "HLS_SEGMENT_MISSING"  # the playlist lists it, the source does not have it
    EVIDENCE_MISMATCH = "EVIDENCE_MISMATCH"  # size, MD5 or CRC differs from what was declared
    EVIDENCE_TOO_WEAK = "EVIDENCE_TOO_WEAK"  # whole as far as known, but not proven as strongly as asked for
    STORAGE_UNAVAILABLE = "STORAGE_UNAVAILABLE"  # S3 5xx, SlowDown, timeouts
    STORAGE_REFUSED = "STORAGE_REFUSED"  # S3 says no: permissions, key, bucket
    DESTINATION_TAKEN = "DESTINATION_TAKEN"  # another object is stored under the key


class WarningCode(StrEnum):
    """What a user should know about a file that is stored."""

    CONTAINER_INCOMPLETE = "CONTAINER_INCOMPLETE"  # equal to the vendor's file, which itself is cut short
    SUBTITLES_LEFT_OUT = "SUBTITLES_LEFT_OUT"  # of an HLS video: a rendition that cannot be copied


@dataclass(frozen=True)
class CopyWarning:
    code: WarningCode
    message: str


class Level(StrEnum):
    """What proves a stored file to equal the vendor's, strongest first."""

    VENDOR_MD5 = "vendor-md5"  # from the vendor's API
    VENDOR_CRC64 = "vendor-crc64"  # x-oss-hash-crc64ecma of the object store that serves it
    CONTENT_MD5 = "content-md5"  # RFC 1864
    ETAG_MD5 = "etag-md5"  # an ETag that turned out to be the MD5
    SIZE_TWO_SOURCES = "size-two-sources"  # API and download agree on the size, and so does what came
    CONTENT_LENGTH = "content-length"  # one of them declared the size that came, or the framing where the body ends
    NONE = "none"  # a body that ended, and nobody said when it would

    @property
    def rank(self) -> int:
        """Larger is stronger."""
        return len(Level) - list(Level).index(self)


@dataclass(frozen=True)
class Destination:
    """Where the object goes. Its key is `stem` plus an extension by the container found in the bytes."""

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
    not_there_grace: float = 600.0  # seconds a file said to be ready may answer 404
    max_starts: int = 5  # starts of a copy whose source changes or whose upload is lost, with its validators


@dataclass(frozen=True)
class CopyCall:
    """What one call of a copy is given. `copy` says what each field has to be."""

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
    """Not finished, nothing wrong: call again with the saved checkpoint, after the wait (seconds)."""

    wait_seconds: float = 0.0


@dataclass(frozen=True)
class Retry:
    """One failed attempt. The caller counts it against its budget and calls again after the wait (seconds)."""

    code: str
    message: str
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class Failed:
    """Final: calling again would end the same way. The upload is aborted; `abandon` ends what crashed calls left."""

    code: str
    message: str


Result = Stored | More | Retry | Failed


class CopySuperseded(Exception):
    """Raised by the caller's `save`, and let through: the job was cancelled, or another call has the file now.

    The upload that the checkpoint names is that other call's: the copy leaves it alone, and aborts only one that it has
    begun and could not save.
    """
