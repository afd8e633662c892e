"""Containers made of chunks with a name and a length: RIFF (AVI, WAV, WebP, Video CD), AIFF, CAF, RealMedia, ASF.

Sources: Microsoft's multimedia data standards (RIFF), OpenDML AVI file format extensions 1.02, EBU Tech 3306 (RF64),
Apple's AIFF-C and Core Audio Format specifications, RealMedia File Format, Microsoft's ASF specification 6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clipferry.transfer.media.ending import COMPLETE, Span, Steps, cut, unproven
from clipferry.transfer.media.formats import AIFF, AVI, CAF, RM, RMVB, VCD, WAV, WEBP, WMA, WMV, Format

_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_STREAM = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
_ASF_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_ASF_AUDIO = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
_RIFF_FORMS = {b"AVI ": AVI, b"AMV ": AVI, b"WAVE": WAV, b"WEBP": WEBP, b"CDXA": VCD}
_UNKNOWN = 0x7FFFF000  # a larger length than the file has, from here on: the writer could not go back to correct it
_OFF_BY = 8  # bytes: some writers count the RIFF header itself in the RIFF's length
_SECTOR, _BEFORE_SECTORS = 2352, 44  # of a Video CD


@dataclass(frozen=True)
class Chunk:
    name: bytes
    length: int | None  # bytes, its header included; None: the writer did not know
    inside: int = 0  # bytes to skip to its first child, when it encloses the following chunks


@dataclass(frozen=True)
class Layout:
    """How the chunks of one format are built. `media`: the name of the chunk that holds the media data."""

    header: int  # bytes that `read` needs
    read: Callable[[bytes], Chunk | None]
    media: bytes
    start: int = 0
    nested: bool = False  # the length of the outer chunk must be right, too
    even: bool = False  # chunks begin at even positions
    spare: int = 0  # bytes by which the last chunk may be shorter than it says, as some writers leave it


def _riff(header: bytes) -> Chunk | None:
    name, length = header[:4], int.from_bytes(header[4:8], "little")
    if name in (b"RIFF", b"RF64", b"BW64"):
        return Chunk(name, 8 + length, inside=12)
    name = header[8:12] if name == b"LIST" else name
    return _named(name, None if length == 0 and name in (b"movi", b"data") else 8 + length)


def _aiff(header: bytes) -> Chunk | None:
    name, length = header[:4], int.from_bytes(header[4:8], "big")
    if name == b"FORM":
        return Chunk(name, None, inside=12)
    return _named(name, None if length <= 8 and name == b"SSND" else 8 + length)


def _caf(header: bytes) -> Chunk | None:
    length = int.from_bytes(header[4:12], "big", signed=True)
    return _named(header[:4], None if length < 0 else 12 + length)


def _real(header: bytes) -> Chunk | None:
    length = int.from_bytes(header[4:8], "big")
    return _named(header[:4], None if length < 10 or (length <= 18 and header[:4] == b"DATA") else length)


def _asf(header: bytes) -> Chunk | None:
    length = int.from_bytes(header[16:24], "little")
    if header[:16] == _ASF_DATA and length <= 50:
        return Chunk(_ASF_DATA, None)
    return Chunk(header[:16], length) if length >= 24 else None


def _named(name: bytes, length: int | None) -> Chunk | None:
    return Chunk(name, length) if len(name) == 4 and all(0x20 <= byte < 0x7F for byte in name) else None


LAYOUTS = {
    AVI: Layout(12, _riff, b"movi", nested=True, even=True),
    WAV: Layout(12, _riff, b"data", even=True),
    AIFF: Layout(8, _aiff, b"SSND", even=True),
    CAF: Layout(12, _caf, b"data", start=8),
    RM: Layout(8, _real, b"DATA", spare=18),
    RMVB: Layout(8, _real, b"DATA", spare=18),
    WMV: Layout(24, _asf, _ASF_DATA),
    WMA: Layout(24, _asf, _ASF_DATA),
}


def identify_chunks(head: bytes) -> Format | None:
    if head[:4] in (b"RIFF", b"RF64", b"BW64"):
        return _RIFF_FORMS.get(head[8:12])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return AIFF
    if head.startswith(b"caff\x00\x01"):
        return CAF
    if head.startswith(b".RMF\x00\x00"):
        return _real_media(head)
    if head.startswith(_ASF):
        return _asf_streams(head)
    return None


def _real_media(head: bytes) -> Format:
    """By the highest and the average bit rate in the properties: they differ when the rate is variable."""
    at = head.find(b"PROP")
    return RM if at >= 0 and head[at + 10 : at + 14] == head[at + 14 : at + 18] else RMVB


def asf_header(head: bytes) -> int:
    """The length in bytes of an ASF file's header object, which lists the streams; 0 for another file."""
    return int.from_bytes(head[16:24], "little") if head.startswith(_ASF) else 0


def _asf_streams(head: bytes) -> Format:
    at, kinds = -1, set()
    while (at := head.find(_ASF_STREAM, at + 1)) >= 0:
        kinds.add(head[at + 24 : at + 40])
    return WMA if _ASF_AUDIO in kinds and _ASF_VIDEO not in kinds else WMV


def chunks_end(layout: Layout, size: int) -> Steps:
    """Follow the chunks to the end of the file."""
    at, end, promised, media, long_data = layout.start, layout.start, 0, False, 0
    while at < size:
        header = yield Span(at, layout.header)
        chunk = layout.read(header) if len(header) >= 8 else None
        if chunk is None and at > end:  # the writer left the padding out
            at = end
            continue
        if chunk is None:
            break  # something behind the last chunk
        if chunk.inside:
            promised = max(promised, _known(at + (chunk.length or 0), size))
            at = end = at + chunk.inside
            continue
        media = media or chunk.name == layout.media
        if chunk.name == b"ds64":
            long_data = int.from_bytes((yield Span(at + 16, 8)), "little")
        length = 8 + long_data if long_data and chunk.name == b"data" else chunk.length
        if length is None or (at + length > size and not _known(at + length, size)):
            return unproven("does not say how long its media data are")
        end = at + length
        if end > size + layout.spare:
            return cut(f"ends {end - size} bytes before its last part does")
        at = end + (end & 1 if layout.even else 0)
    if not media:
        return cut("has no media data") if at >= size else unproven(f"has something unreadable at byte {at}")
    if layout.nested and promised > size + _OFF_BY:
        return cut(f"has {size} bytes, by its header {promised}")
    return COMPLETE


def _known(end: int, size: int) -> int:
    """The end that a length gives; 0 when the writer could not go back to correct the length."""
    return 0 if end > size and end >= _UNKNOWN else end


def riff_length(head: bytes) -> int:
    """The length of a RIFF file in bytes, as its header gives it."""
    return 8 + int.from_bytes(head[4:8], "little")


def sectors_end(size: int) -> Steps:
    """A Video CD's track as Windows shows it: a RIFF header, then raw sectors."""
    yield from ()
    return cut("ends inside a sector") if (size - _BEFORE_SECTORS) % _SECTOR else COMPLETE


def sized_end(expected: int, size: int) -> Steps:
    """For files whose header gives their length."""
    yield from ()
    return COMPLETE if 0 < expected <= size else cut(f"has {size} bytes, by its header {expected}")
