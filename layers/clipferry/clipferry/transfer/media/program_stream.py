"""MPEG program streams (ISO/IEC 13818-1 §2.5, ISO/IEC 11172-1): packs of packets, each with its length."""

from __future__ import annotations

from clipferry.transfer.media.ending import COMPLETE, Span, Steps, cut, unproven
from clipferry.transfer.media.formats import PS, Format

_PREFIX = b"\x00\x00\x01"
_PACK, _END, _SYSTEM = 0xBA, 0xB9, 0xBB
_PACKETS = frozenset({0xBB, 0xBC, 0xBD, 0xBE, 0xBF, *range(0xC0, 0xF0), 0xF0, 0xF1, 0xF2, 0xF8, 0xFD, 0xFF})
_TAIL = 256 * 1024  # a packet has at most 65,541 bytes
_SEARCHED = 64 * 1024  # bytes that may come before the first pack: a recorder's own header


def unit_length(data: bytes, at: int) -> int:
    """The length of the pack header or packet that begins here; 0 when there is none, or its header is incomplete."""
    if data[at : at + 3] != _PREFIX or len(data) < at + 4:
        return 0
    code = data[at + 3]
    if code == _END:
        return 4
    if code == _PACK and len(data) >= at + 12:
        if data[at + 4] & 0xF0 == 0x20:
            return 12  # MPEG-1
        if data[at + 4] & 0xC0 == 0x40 and len(data) >= at + 14:
            return 14 + (data[at + 13] & 7)
        return 0
    if code in _PACKETS and len(data) >= at + 6:
        return 6 + int.from_bytes(data[at + 4 : at + 6], "big")
    return 0


def identify_ps(head: bytes, size: int | None) -> Format | None:
    """Packs, or packets without packs. Some recorders write their own header before them."""
    starts = head.find(_PREFIX + bytes([_PACK]), 0, _SEARCHED)
    if starts >= 0 and _follows(head, starts, size):
        return PS
    packet = head[:3] == _PREFIX and len(head) > 8 and head[3] in _PACKETS
    return PS if packet and unit_length(head, 0) > 6 and _follows(head, 0, size) else None


def _follows(head: bytes, at: int, size: int | None) -> bool:
    """Whether another unit of a program stream follows this one. True when the head ends before that."""
    length = unit_length(head, at)
    next_at = at + length
    if not length or (size is not None and next_at > size + 65_536):
        return False
    rest = head[next_at : next_at + 4]
    return len(rest) < 4 or rest[:3] == _PREFIX or not rest.strip(b"\0")


def ps_end(size: int) -> Steps:
    start = max(0, size - _TAIL)
    tail = yield Span(start, size - start)
    if tail.rstrip(b"\0").endswith(_PREFIX + bytes([_END])):
        return COMPLETE
    at = _first_unit(tail)
    if at is None:
        return unproven("has no packet in its last bytes")
    while at < len(tail):
        length = unit_length(tail, at)
        if not length:
            rest = tail[at:]
            if len(rest) < 14 and rest.startswith(_PREFIX[: len(rest)]):
                return cut("ends inside the header of a packet")
            if not rest.strip(b"\0"):
                return COMPLETE
            following = _first_unit(tail, at + 1)
            if following is None:
                return unproven("ends in something that is no packet")
            at = following
            continue
        at += length
    return COMPLETE if at == len(tail) else cut(f"ends {at - len(tail)} bytes before its last packet does")


def _first_unit(tail: bytes, at: int = 0) -> int | None:
    """The first place where two units follow one another, or where one reaches the end."""
    while (at := tail.find(_PREFIX, at)) >= 0:
        reached, count = at, 0
        while count < 2 and reached < len(tail) and (length := unit_length(tail, reached)):
            reached, count = reached + length, count + 1
        if count == 2 or (count and reached >= len(tail)):
            return at
        at += 1
    return None
