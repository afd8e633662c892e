"""What an answer of the source says: facts, ranges, encodings. Parsing and checking only; nothing is asked here."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from clipferry.outbound.client import Stream
from clipferry.transfer.errors import SourceChanged
from clipferry.transfer.evidence import Facts, clean_md5
from clipferry.transfer.interface import Code
from clipferry.vendors.contract import Remote

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")


class Unusable(Exception):
    """An answer that cannot be used; asking again may bring a better one. `ranges`: a plain GET may."""

    def __init__(self, message: str, code: Code = Code.SOURCE_UNAVAILABLE, *, ranges: bool = False) -> None:
        super().__init__(message)
        self.code, self.ranges = code, ranges


@dataclass
class Opening:
    """The first answer: what it declares, the first bytes, and the body still to be read behind them."""

    facts: Facts
    head: bytes
    body: Body


class Body:
    """An open answer read from its start: the head again, then the rest."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._pushed = b""

    def push_back(self, head: bytes) -> None:
        self._pushed = head + self._pushed

    def readinto(self, buffer: memoryview) -> int:
        """Like Stream.readinto."""
        if not self._pushed:
            return self.stream.readinto(buffer)
        count = min(len(buffer), len(self._pushed))
        buffer[:count], self._pushed = self._pushed[:count], self._pushed[count:]
        return count


def check_range(stream: Stream, facts: Facts, start: int, end: int) -> None:
    """A 206 about exactly the bytes asked for, of exactly the file that was begun with."""
    etag = _strong(stream.headers.get("ETag"))
    if facts.etag and etag and etag != facts.etag:
        raise SourceChanged(f"{stream.host} has another ETag now")
    if not facts.etag and facts.modified and stream.headers.get("Last-Modified", facts.modified) != facts.modified:
        raise SourceChanged(f"{stream.host} has another Last-Modified now")
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


def first_facts(stream: Stream, remote: Remote, part_size: int | None) -> Facts:
    """What the first answer declares, together with what the vendor's API said."""
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
    """The ETag when it is a strong validator (RFC 9110 §8.8.3)."""
    etag = (etag or "").strip()
    return etag if len(etag) > 2 and etag.startswith('"') and etag.endswith('"') else None


def _content_md5(value: str | None) -> str | None:
    try:
        digest = base64.b64decode((value or "").strip(), validate=True)
    except ValueError:
        return None
    return digest.hex() if len(digest) == 16 else None
