"""Video without a container: H.264, H.265 and H.266 in Annex B, MPEG-1/2/4, VC-1, AV1, Motion JPEG, DV.

Sources: ITU-T H.264, H.265 and H.266 (Annex B, NAL unit types), ISO/IEC 13818-2 and 14496-2 (start codes), SMPTE 421M
(VC-1 annex E), AV1 specification §5.3, IEC 61834-2 (DV), ITU-T T.81 (JPEG markers).
"""

from __future__ import annotations

import re

from clipferry.transfer.media.ending import COMPLETE, OPEN, Span, Steps, cut
from clipferry.transfer.media.formats import (
    AV1,
    DIRAC,
    DV,
    H264,
    H265,
    H266,
    JPEG,
    MJPEG,
    MPEG4_VIDEO,
    MPEG_VIDEO,
    VC1,
    Format,
)

_UNIT = re.compile(rb"\x00\x00\x01(..)", re.DOTALL)
_OBJECT = re.compile(rb"\x01[\x00-\x1f]\x00\x00\x01[\x20-\x2f]")  # MPEG-4: a video object, then its layer
_SEARCHED = 64 * 1024
_UNITS = 64  # looked at
_H264_PROFILES = frozenset({44, 66, 77, 83, 86, 88, 100, 110, 118, 122, 128, 138, 139, 134, 135, 144, 244})
_START_CODES = {0xB3: MPEG_VIDEO, 0xB0: MPEG4_VIDEO, 0x20: MPEG4_VIDEO, 0x0F: VC1}
_H265_TYPES = {32: "VPS", 33: "SPS", 34: "PPS"}
_DV_FRAMES = {0: 120_000, 1: 144_000}  # bytes, by the DSF bit: 525 lines, 625 lines
_TAIL = 4096


def identify_video(head: bytes) -> Format | None:
    if head[:3] == b"\x1f\x07\x00" and len(head) > 80 and head[80] >> 5 == 1:  # header block, then a subcode block
        return DV
    if head.startswith(b"\x12\x00\x0a"):  # a temporal delimiter, then a sequence header
        return AV1
    if head.startswith(b"BBCD\x00"):
        return DIRAC
    start = head[:16].lstrip(b"\0")
    if not start.startswith(b"\x01") or not head.startswith(b"\0\0"):
        return None
    code = start[1] if len(start) > 1 else -1
    if code in _START_CODES:
        return _START_CODES[code]
    if _OBJECT.match(start):
        return MPEG4_VIDEO
    return _annex_b(head[:_SEARCHED])


def _annex_b(head: bytes) -> Format | None:
    """By the parameter sets: every stream begins with them."""
    h265 = set()
    for number, unit in enumerate(_UNIT.finditer(head)):
        first, second = unit[1][0], unit[1][1]
        if number == _UNITS or first & 0x80:
            break
        if first & 0x1F == 7 and first & 0x60 and second in _H264_PROFILES:
            return H264
        if second == 1 and not first & 1:
            h265.add(_H265_TYPES.get(first >> 1))
        if first == 0 and second in (0x71, 0x79, 0x81):  # VPS, SPS, PPS
            return H266
        if {"SPS", "PPS"} <= h265 or {"VPS", "SPS"} <= h265:
            return H265
    return None


def video_end(kind: Format, head: bytes, size: int) -> Steps:
    if kind is DV:
        frame = _DV_FRAMES[head[3] >> 7]
        return cut("ends inside its last frame") if size % frame else COMPLETE
    start = max(0, size - _TAIL)
    tail = yield Span(start, size - start)
    filled = tail.rstrip(b"\0")
    if not filled:
        return cut("ends in zeros")
    if kind in (MJPEG, JPEG):
        whole = filled.endswith(b"\xff\xd9") if kind is MJPEG else b"\xff\xd9" in filled  # cameras add their own data
        return COMPLETE if whole else cut("ends inside its last image")
    return OPEN


# -- JPEG -------------------------------------------------------------------------------------------------------------


def identify_jpeg(head: bytes) -> Format | None:
    """One JPEG image, or several in a row: Motion JPEG."""
    if not head.startswith(b"\xff\xd8\xff"):
        return None
    end = jpeg_length(head)
    return MJPEG if end and head[end : end + 3].startswith(b"\xff\xd8") else JPEG


def jpeg_length(data: bytes) -> int | None:
    """The length in bytes of the JPEG image that begins here; None when its end is not in `data`."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or 0xD0 <= marker <= 0xD8 or marker == 0x01:
            at += 1 if marker == 0xFF else 2
        elif marker == 0xD9:
            return at + 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if marker == 0xDA:  # a scan: its data go up to the next marker
                found = _MARKER.search(data, at)
                at = found.start() if found else len(data)
    return at + 2 if data[at : at + 2] == b"\xff\xd9" else None


_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
