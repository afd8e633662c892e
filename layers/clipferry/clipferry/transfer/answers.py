"""Reads and checks answers of the source: facts, ranges, encodings. Sends no requests."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass

from clipferry.outbound.client import Stream
from clipferry.transfer.errors import AttemptFailed, NotThere, SourceChanged
from clipferry.transfer.evidence import Facts, clean_md5
from clipferry.transfer.interface import Code
from clipferry.vendors.contract import Remote

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")


THROTTLED = frozenset({429, 503})
_GONE = frozenset({404, 410})
_DENIED = frozenset({401, 403, 451})
#: The URL may have expired, so a new one may help. S3 answers 400 when the session of its credentials has expired.
RENEWED = _GONE | _DENIED | {400}


def refused(host: str, status: int, what: str = "the file") -> AttemptFailed | NotThere:
    """The error message when a new URL is answered with one of RENEWED. It says what the user can do."""
    if status in _GONE:
        return NotThere(f"{host} does not have {what} (HTTP {status})")
    if status not in _DENIED:
        return AttemptFailed(Code.SOURCE_UNAVAILABLE, f"{host} answers HTTP {status} to a fresh URL for {what}")
    hint = "if it wants a header, such as Referer, name it under download_headers in the account"
    if status == 451:
        hint = "the server names legal reasons"
    return AttemptFailed(Code.SOURCE_REFUSED, f"{host} refuses to send {what} (HTTP {status}): {hint}")


class Unusable(Exception):
    """The answer cannot be used; another request may bring a better one. `ranges`: a GET without a range may."""

    def __init__(self, message: str, code: Code = Code.SOURCE_UNAVAILABLE, *, ranges: bool = False) -> None:
        super().__init__(message)
        self.code, self.ranges = code, ranges


@dataclass
class Opening:
    """The first answer: the facts that it declares, its first bytes, and the rest of its body."""

    facts: Facts
    head: bytes
    body: Body
    remote: Remote  # the source of the answer
    content_type: str = ""  # as the server reports it


class Body:
    """An open answer from its start: the bytes that were already read, then the rest."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._pushed = b""

    def peek(self, wanted: Callable[[bytes], int]) -> bytes:
        """The first bytes, without consuming them; `wanted` says, for the bytes so far, how many are needed."""
        head = bytearray()
        while (missing := wanted(bytes(head)) - len(head)) > 0:
            piece = bytearray(missing)
            filled = 0
            while filled < missing and (count := self.readinto(memoryview(piece)[filled:])):
                filled += count
            head += piece[:filled]
            if filled < missing:
                break
        self._pushed = bytes(head) + self._pushed
        return bytes(head)

    def readinto(self, buffer: memoryview) -> int:
        """The same as Stream.readinto."""
        if not self._pushed:
            return self.stream.readinto(buffer)
        count = min(len(buffer), len(self._pushed))
        buffer[:count], self._pushed = self._pushed[:count], self._pushed[count:]
        return count


def check_validators(stream: Stream, facts: Facts) -> None:
    """Raise SourceChanged when the validators (RFC 9110 §8.8) show another file than at the start of the copy."""
    etag = _strong(stream.headers.get("ETag"))
    if facts.etag and etag and etag != facts.etag:
        raise SourceChanged(f"{stream.host} has another ETag now")
    if not facts.etag and facts.modified and stream.headers.get("Last-Modified", facts.modified) != facts.modified:
        raise SourceChanged(f"{stream.host} has another Last-Modified now")


def check_range(stream: Stream, facts: Facts, start: int, end: int) -> None:
    """Check that a 206 has exactly the requested bytes, of a file with the size that it had at the start."""
    if stream.status == 200:
        if facts.size is not None and stream.length not in (None, facts.size):
            raise SourceChanged(f"{stream.host} has another size now")
        raise Unusable(f"{stream.host} answered 200 to a range request", ranges=True)
    found = _CONTENT_RANGE.fullmatch(stream.headers.get("Content-Range", "").strip())
    if found is None:
        raise Unusable(f"{stream.host} answered 206 without a usable Content-Range", ranges=True)
    first, last, total = (int(text) for text in found.groups())
    if total != facts.size:
        raise SourceChanged(f"{stream.host} has another size now")
    if (first, last) != (start, end) or stream.length not in (None, end - start + 1):
        raise Unusable(f"{stream.host} answered bytes {first}-{last} to a request for {start}-{end}", ranges=True)
    if stream.codings:
        raise Unusable(f"{stream.host} compresses parts of the file", ranges=True)


def whole_by_range(stream: Stream, size: int) -> bool:
    """Whether a 206 holds the whole file: its range says so, and a body of `size` bytes came."""
    found = _CONTENT_RANGE.fullmatch(stream.headers.get("Content-Range", "").strip())
    if found is None or stream.codings:
        return False
    first, last, total = (int(text) for text in found.groups())
    return first == 0 and last + 1 == total == size


def first_facts(stream: Stream, remote: Remote, part_size: int | None) -> Facts:
    """The facts of the first answer and of the vendor's API."""
    headers, plain = stream.headers, not stream.codings
    size, ranges = stream.length, False
    if stream.status == 206:
        found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
        if part_size is None or found is None or not plain:
            raise Unusable(f"{stream.host} answered 206 without a usable Content-Range", ranges=True)
        first, last, total = (int(text) for text in found.groups())
        if first != 0 or last != min(part_size, total) - 1 or stream.length not in (None, last + 1):
            raise Unusable(f"{stream.host} answered bytes {first}-{last} to a request for the first part", ranges=True)
        size, ranges = total, True
    crc64 = headers.get("x-oss-hash-crc64ecma", "").strip()
    return Facts(
        size=size if plain else None,
        etag=_strong(headers.get("ETag")) if plain else None,
        modified=headers.get("Last-Modified"),
        ranges=ranges,
        vendor_size=remote.size,
        vendor_md5=clean_md5(remote.md5),
        crc64=int(crc64) if plain and crc64.isdecimal() and len(crc64) <= 20 else None,
        content_md5=_content_md5(headers.get("Content-MD5")) if plain else None,
        end_declared=stream.end_declared,
        content_md5_strict=stream.status == 200 and plain and _content_md5(headers.get("Content-MD5")) is not None,
    )


def _strong(etag: str | None) -> str | None:
    """The ETag, if it is a strong validator (RFC 9110 §8.8.3)."""
    etag = (etag or "").strip()
    return etag if len(etag) > 2 and etag.startswith('"') and etag.endswith('"') else None


def _content_md5(value: str | None) -> str | None:
    try:
        digest = base64.b64decode((value or "").strip(), validate=True)
    except ValueError:
        return None
    return digest.hex() if len(digest) == 16 else None
