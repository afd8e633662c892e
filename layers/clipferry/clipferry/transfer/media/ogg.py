"""Ogg (RFC 3533): its codecs (RFC 5334, RFC 7845), and whether its last page is complete and marked as the last."""

from __future__ import annotations

from clipferry.transfer.media.ending import COMPLETE, Span, Steps, cut, unproven
from clipferry.transfer.media.formats import OGG, OGV, OPUS, Format

_CAPTURE = b"OggS\x00"
_HEADER = 27
_PAGE_MAX = _HEADER + 255 + 255 * 255
_LAST = 0x04  # header type flag: the last page of its stream
_VIDEO = (b"\x80theora", b"BBCD\x00", b"\x01video", b"OVP80", b"\x80kate", b"\x80daala")


def identify_ogg(head: bytes) -> Format | None:
    if not head.startswith(_CAPTURE):
        return None
    starts = list(_first_packets(head))
    if any(start.startswith(_VIDEO) for start in starts):
        return OGV
    return OPUS if any(start.startswith(b"OpusHead") for start in starts) else OGG


def _first_packets(head: bytes) -> list[bytes]:
    """The first bytes of each stream's first packet. Each such packet has a page for itself, before all other pages."""
    at, found = 0, []
    while head.startswith(_CAPTURE, at) and len(head) >= at + _HEADER and head[at + 5] & 2:
        segments = head[at + 26]
        body = at + _HEADER + segments
        found.append(head[body : body + 16])
        at = body + sum(head[at + _HEADER : body])
    return found


def ogg_end(size: int) -> Steps:
    """Each stream with a page in the last bytes must have its last page there."""
    start = max(0, size - 2 * _PAGE_MAX)
    tail = yield Span(start, size - start)
    flags, end, overshot, at = dict[bytes, int](), 0, False, 0
    while (at := tail.find(_CAPTURE, at)) >= 0:
        length = _page_length(tail, at)
        overshot = length is None
        if length is None:  # cut, or no page at all; in the second case a page may follow
            at += len(_CAPTURE)
        else:
            flags[tail[at + 14 : at + 18]] = tail[at + 5]
            at = end = at + length
    rest = tail[end:]
    if not flags or overshot or (rest and _CAPTURE.startswith(rest[:5])):
        return cut("ends inside its last page")
    if all(flag & _LAST for flag in flags.values()):
        return COMPLETE  # a tag behind it does not matter
    return unproven("ends with a page that is not marked as the last")


def _page_length(data: bytes, at: int) -> int | None:
    """The length in bytes of the page that begins here; None when `data` end before it does."""
    if len(data) < at + _HEADER:
        return None
    table = data[at + _HEADER : at + _HEADER + data[at + 26]]
    length = _HEADER + data[at + 26] + sum(table)
    return length if at + length <= len(data) else None
