"""MPEG transport streams (ISO/IEC 13818-1): packets of 188 bytes, 192 (BDAV: time code first) or 204 (with parity)."""

from __future__ import annotations

from clipferry.transfer.media.ending import COMPLETE, Span, Steps, cut, unproven
from clipferry.transfer.media.formats import M2TS, TS, Format
from clipferry.transfer.media.tags import behind_id3

SYNC = 0x47
_STRIDES = (188, 192, 204)
_PACKETS = 5  # packets in a row that prove a stream
_SEARCHED = 64 * 1024  # bytes of garbage that may come before the first packet
_TAIL = 16 * 1024


def stride_of(data: bytes, *, whole: bool) -> tuple[int, int] | None:
    """The distance of packets in bytes, and the place of the first sync byte; None when this is no transport stream.

    ID3 tags and garbage may lie in front. `whole`: `data` is all there is, so that a few packets are enough.
    """
    start = behind_id3(data)
    for stride in _STRIDES:
        first = start + (4 if stride == 192 else 0)
        marks = data[first::stride]
        enough = len(marks) >= _PACKETS or (whole and (len(marks) > 1 or len(data) - start == stride))
        if enough and set(marks[:_PACKETS]) == {SYNC}:
            return stride, first
    return _behind_garbage(data, start)


def _behind_garbage(data: bytes, start: int) -> tuple[int, int] | None:
    for stride in _STRIDES:
        last = max(0, min(len(data) - (_PACKETS - 1) * stride, start + _SEARCHED))
        at = data.find(SYNC, start, last)
        while at >= 0:
            if data[at : at + _PACKETS * stride : stride] == bytes([SYNC]) * _PACKETS:
                return stride, at
            at = data.find(SYNC, at + 1, last)
    return None


def identify_ts(head: bytes, size: int | None) -> Format | None:
    found = stride_of(head, whole=size is not None and size <= len(head))
    if found is None:
        return None
    return M2TS if found[0] == 192 else TS


def ts_end(head: bytes, size: int) -> Steps:
    """The last packets must be complete. Other bytes before them do not matter: players find the sync again."""
    found = stride_of(head, whole=size <= len(head))
    stride, parity = (found[0], 16 if found[0] == 204 else 0) if found else (188, 0)
    start = max(0, size - _TAIL)
    tail = yield Span(start, size - start)
    packet = 188 + parity
    for behind in range(min(stride, len(tail))):  # bytes behind the last complete packet
        first = len(tail) - behind - packet
        starts = range(first, max(-1, first - _PACKETS * stride), -stride)  # of the last packets, backwards
        if starts and {tail[at] for at in starts} == {SYNC} and (len(starts) == _PACKETS or starts[-1] < stride):
            rest = tail[len(tail) - behind :]
            return cut("ends inside a packet of its transport stream") if rest.strip(b"\0\xff") else COMPLETE
    what = "has no packets of its transport stream at its end"
    return unproven(what) if tail.strip(b"\0") else cut(what)
