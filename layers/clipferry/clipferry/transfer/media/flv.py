"""FLV (Adobe's Video File Format Specification 10.1, annex E): tags, each followed by its length."""

from __future__ import annotations

import re

from clipferry.transfer.media.ending import COMPLETE, Span, Steps, cut, unproven
from clipferry.transfer.media.formats import FLV, Format

_TAG = 11  # bytes of a tag's header
_KINDS = frozenset({8, 9, 18})  # audio, video, script data
_HEADER = re.compile(rb"[\x08\x09\x12\x28\x29\x32].{7}\0\0\0", re.DOTALL)
_TAIL = 1024 * 1024


def identify_flv(head: bytes) -> Format | None:
    valid = head.startswith(b"FLV\x01") and int.from_bytes(head[5:9], "big") >= 9
    return FLV if valid else None


def flv_end(size: int) -> Steps:
    """The last four bytes give the length of the last tag. If the writer left it out, all tags are followed."""
    start = max(0, size - _TAIL)
    tail = yield Span(start, size - start)
    length = int.from_bytes(tail[-4:], "big")
    for behind in (length, length + _TAG):  # some writers do not count the tag's header
        at = len(tail) - 4 - behind
        if _tag_length(tail, at) == behind:
            return COMPLETE
    if length + 4 >= len(tail) and length + 4 + 9 <= size and length < 1 << 24:
        header = yield Span(size - 4 - length, _TAG)
        if _tag_length(header, 0) == length:
            return COMPLETE
    followed = _follow(tail, 13 if start == 0 else None)
    if followed == len(tail):
        return COMPLETE
    return cut("ends inside its last tag") if followed else unproven("has no tag in its last bytes")


def _tag_length(data: bytes, at: int) -> int | None:
    """Bytes of the tag at this place, its header included; None when there is none."""
    header = data[at : at + _TAG] if at >= 0 else b""
    if len(header) < _TAG or header[0] & 0x1F not in _KINDS or header[8:11] != b"\0\0\0":
        return None
    return _TAG + int.from_bytes(header[1:4], "big")


def _follow(tail: bytes, first: int | None) -> int | None:
    """Where the tags end, beginning at the first place where several follow one another; None without such a place."""
    at = first if first is not None else _first_tag(tail)
    if at is None:
        return None
    while (length := _tag_length(tail, at)) is not None:
        at += length + 4
    return at


def _first_tag(tail: bytes) -> int | None:
    """A place from which three tags follow one another."""
    at = 0
    while (found := _HEADER.search(tail, at)) is not None:
        reached = at = found.start()
        for _ in range(3):
            length = _tag_length(tail, reached)
            if length is None:
                break
            reached += length + 4
        else:
            return at
        at += 1
    return None
