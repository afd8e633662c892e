"""MPEG transport streams (ISO/IEC 13818-1): packets of 188 bytes, 192 (BDAV: time code first) or 204 (with parity)."""

from __future__ import annotations

from clipferry.transfer.media.ending import COMPLETE, Span, Steps, cut
from clipferry.transfer.media.formats import M2TS, TS, Format

SYNC = 0x47
_STRIDES = (188, 192, 204)
_PACKETS = 5  # in a row that make a stream certain
_SEARCHED = 64 * 1024  # bytes of garbage behind which the first packet is looked for
_TAIL = 16 * 1024


def stride_of(data: bytes, *, whole: bool) -> tuple[int, int] | None:
    """Bytes from packet to packet, and where the first sync byte is; None when this is no transport stream.

    Garbage may lie in front. `whole`: `data` is all there is, so that a few packets from the start on are enough.
    """
    for stride in _STRIDES:
        first = 4 if stride == 192 else 0
        marks = data[first::stride]
        enough = len(marks) >= _PACKETS or (whole and (len(marks) > 1 or len(data) == stride))
        if enough and set(marks[:_PACKETS]) == {SYNC}:
            return stride, first
    return _behind_garbage(data)


def _behind_garbage(data: bytes) -> tuple[int, int] | None:
    for stride in _STRIDES:
        last = min(len(data) - (_PACKETS - 1) * stride, _SEARCHED)
        at = data.find(SYNC, 1, max(0, last))
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
    """Whole packets right up to the end. What slipped in before does not matter: players find the sync again."""
    found = stride_of(head, whole=size <= len(head))
    stride, parity = (found[0], 16 if found[0] == 204 else 0) if found else (188, 0)
    start = max(0, size - _TAIL)
    tail = yield Span(start, size - start)
    wanted = min(_PACKETS, max(1, (len(tail) - 1) // stride))
    last = len(tail) - 188 - parity
    marks = [tail[last - n * stride] for n in range(wanted) if last - n * stride >= 0]
    if marks and set(marks) == {SYNC}:
        return COMPLETE
    return cut("ends inside a packet of its transport stream")
