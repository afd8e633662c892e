"""Formats with a short signature and a simple end, or none: MXF, SWF, images, and rare containers.

Sources: SMPTE ST 377-1 (MXF), Adobe's SWF File Format Specification 19, GIF89a, ISO/IEC 15948 (PNG), and the
specifications of the others.
"""

from __future__ import annotations

from clipferry.transfer.media.ending import COMPLETE, Span, Steps, cut, unproven
from clipferry.transfer.media.formats import BMP, GIF, GXF, IVF, MXF, NUT, PNG, SWF, TIFF, WTV, Y4M, Format

_MXF_KEY = bytes.fromhex("060e2b34")
_MXF_PARTITION = bytes.fromhex("060e2b34020501010d01020101")
_MXF_INDEX = bytes.fromhex("060e2b34020501010d01020101110100")  # the random index pack
_MAGIC = (
    (bytes.fromhex("b7d800203749da11a64e0007e95ead8d"), WTV),
    (_MXF_PARTITION, MXF),
    (b"nut/multimedia container\x00", NUT),
    (b"DKIF\x00\x00", IVF),
    (b"YUV4MPEG2 ", Y4M),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
)
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_TAIL = 1024
_KLV_PACKETS = 64  # between the footer's start and the end of an MXF file


def identify_file(head: bytes, size: int | None) -> Format | None:
    found = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
    if found is not None:
        return found
    if head.startswith(b"\0\0\0\0\x01\xbc") and head[10:16] == b"\0\0\0\0\xe1\xe2":  # a map packet (SMPTE 360M)
        return GXF
    if head[:3] in (b"FWS", b"CWS", b"ZWS") and 0 < head[3] < 60 and swf_length(head) > 8:
        return SWF
    if head[:2] == b"BM" and head[6:10] == bytes(4) and (size is None or bmp_length(head) <= size + 65_536):
        return BMP if int.from_bytes(head[14:18], "little") in (12, 40, 52, 56, 64, 108, 124) else None
    return None


def swf_length(head: bytes) -> int:
    """The length of the file in bytes before it was compressed."""
    return int.from_bytes(head[4:8], "little")


def bmp_length(head: bytes) -> int:
    return int.from_bytes(head[2:6], "little")


def trailer_end(kind: Format, size: int) -> Steps:
    """For formats that end with known bytes. Zeros, or data of a device, may follow."""
    start = max(0, size - _TAIL)
    tail = (yield Span(start, size - start)).rstrip(b"\0")
    whole = tail.endswith(b"\x3b") if kind is GIF else _PNG_END in tail
    return COMPLETE if whole else cut("ends before its last mark")


def mxf_end(head: bytes, size: int) -> Steps:
    """The random index pack is the last thing in the file; without one, the footer's packets reach the end."""
    value = 17 + (head[16] & 0x7F if head[16] & 0x80 else 0)
    footer = int.from_bytes(head[value + 24 : value + 32], "big")
    if footer >= size:
        return cut(f"ends before its footer, which is at byte {footer}")
    if footer:
        return (yield from _klv(footer, size))
    start = max(0, size - 64 * 1024)
    tail = yield Span(start, size - start)
    length = int.from_bytes(tail[-4:], "big")
    if 0 < length <= len(tail) and tail[-length:].startswith(_MXF_INDEX):
        return COMPLETE
    return unproven("has neither a footer nor an index at its end")


def _klv(at: int, size: int) -> Steps:
    """Follow the packets: each is a key of 16 bytes, a length and a value (SMPTE ST 336)."""
    for _ in range(_KLV_PACKETS):
        if at >= size:
            return COMPLETE if at == size else cut(f"ends {at - size} bytes before its last packet does")
        header = yield Span(at, 25)
        if not header.startswith(_MXF_KEY) or len(header) < 17:
            return cut(f"has something that is no packet at byte {at}")
        count = header[16] & 0x7F if header[16] & 0x80 else 0
        value = int.from_bytes(header[17 : 17 + count], "big") if count else header[16]
        at += 17 + count + value
    return unproven("has more packets in its footer than are looked at")
