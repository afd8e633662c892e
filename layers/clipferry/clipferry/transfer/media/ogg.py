"""Ogg (RFC 3533): which codecs (RFC 5334, RFC 7845), and is the last page whole and marked as the last?"""

from __future__ import annotations

from clipferry.transfer.media.ending import COMPLETE, Span, Steps, cut, unproven
from clipferry.transfer.media.formats import OGG, OGV, OPUS, Format

_CAPTURE = b"OggS\x00"
_HEADER = 27
_PAGE_MAX = _HEADER + 255 + 255 * 255
_LAST = 0x04  # header type flag: the last page of its stream
_VIDEO = (b"\x80theora", b"BBCD\x00", b"\x01video", b"OVP80", b"\x80kate", b"\x80daala")
_CANDIDATES = 64


def identify_ogg(head: bytes) -> Format | None:
    if not head.startswith(_CAPTURE):
        return None
    starts = list(_first_packets(head))
    if any(start.startswith(_VIDEO) for start in starts):
        return OGV
    return OPUS if any(start.startswith(b"OpusHead") for start in starts) else OGG


def _first_packets(head: bytes) -> list[bytes]:
    """How the streams' first packets begin: each is alone on a page of its own, and these pages come first."""
    at, found = 0, []
    while head.startswith(_CAPTURE, at) and len(head) >= at + _HEADER and head[at + 5] & 2:
        segments = head[at + 26]
        body = at + _HEADER + segments
        found.append(head[body : body + 16])
        at = body + sum(head[at + _HEADER : body])
    return found


def ogg_end(size: int) -> Steps:
    start = max(0, size - 2 * _PAGE_MAX)
    tail = yield Span(start, size - start)
    at = len(tail)
    for _ in range(_CANDIDATES):
        at = tail.rfind(_CAPTURE, 0, at)
        if at < 0:
            break
        rest = tail[at:]
        table = rest[_HEADER : _HEADER + rest[26]] if len(rest) >= _HEADER else b""
        length = _HEADER + len(table) + sum(table)
        if len(rest) < _HEADER or len(table) < rest[26] or length > len(rest):
            return cut("ends inside its last page")
        if rest[5] & _LAST:
            return COMPLETE  # what a tagger left behind it does not matter
        if length == len(rest):
            return unproven("ends with a page that is not marked as the last")
        if _CAPTURE.startswith(rest[length : length + 5]):
            return cut("ends inside the header of a page")
    return cut("has no page at its end")
