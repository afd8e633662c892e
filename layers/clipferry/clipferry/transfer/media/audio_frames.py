"""Audio frames without a container: MPEG audio, AAC in ADTS or LOAS, AC-3, E-AC-3, DTS; ID3 tags may lie in front.

Sources: ISO/IEC 11172-3 and 13818-3 (MPEG audio), ISO/IEC 14496-3 (ADTS, LOAS), ETSI TS 102 366 (AC-3, E-AC-3),
ETSI TS 102 114 (DTS).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from clipferry.transfer.media.ending import COMPLETE, End, Span, Steps, cut, unproven
from clipferry.transfer.media.formats import AC3, ADTS, DTS, EAC3, LOAS, MP3, Format
from clipferry.transfer.media.tags import behind_id3, trailing_tags

_FRAMES = 3  # frames in a row that prove a stream
_TAIL = 64 * 1024  # the largest frame has 8 KiB
_ENOUGH = 32 * 1024  # bytes before the tags that are searched for the last frames
_SEARCHED = 64 * 1024  # bytes of padding or garbage that may come before the first frame

_BITRATES = {  # kbit/s by (MPEG-1?, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by MPEG version
_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)


def _mpeg_audio(header: bytes) -> int:
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if header[1] & 0xE0 != 0xE0 or version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return 0
    bits = _BITRATES[version == 3, layer][bitrate - 1] * 1000
    sampled, padding = _SAMPLE_RATES[version][rate], header[2] >> 1 & 1
    if layer == 1:
        return (12 * bits // sampled + padding) * 4
    samples = 576 if layer == 3 and version != 3 else 1152
    return samples // 8 * bits // sampled + padding


def _adts(header: bytes) -> int:
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    valid = header[1] & 0xF6 == 0xF0 and header[2] >> 2 & 15 < 13 and length > 7
    return length if valid else 0


def _ac3(header: bytes) -> int:
    rate, size = header[4] >> 6, header[4] & 63
    if header[1] != 0x77 or header[5] >> 3 > 10 or rate == 3 or size > 37:
        return 0
    kbps = _AC3_KBPS[size >> 1]
    return (2 * kbps, 320 * kbps // 147 + (size & 1), 3 * kbps)[rate] * 2


def _eac3(header: bytes) -> int:
    valid = header[1] == 0x77 and 11 <= header[5] >> 3 <= 16 and header[2] >> 6 != 3
    return (((header[2] & 7) << 8 | header[3]) + 1) * 2 if valid else 0


def _dts(header: bytes) -> int:
    length = ((header[5] & 3) << 12 | header[6] << 4 | header[7] >> 4) + 1
    return length if header[:4] == b"\x7f\xfe\x80\x01" and length >= 96 else 0


def _loas(header: bytes) -> int:
    return ((header[1] & 0x1F) << 8 | header[2]) + 3 if header[1] & 0xE0 == 0xE0 else 0


@dataclass(frozen=True)
class Frames:
    """One kind of frame. `length_of` gives the length of a frame in bytes by its header; 0: it is no header."""

    format: Format
    first: int  # the first byte of every frame
    header: int  # bytes that `length_of` needs
    length_of: Callable[[bytes], int]

    def at(self, data: bytes, at: int) -> int:
        """The length in bytes of the frame that begins here; 0 when none does, or when its header is incomplete."""
        header = data[at : at + self.header]
        return self.length_of(header) if len(header) == self.header and header[0] == self.first else 0

    def chain(self, data: bytes, at: int, *, whole: bool = False) -> bool:
        """Whether several frames follow one another from here. `whole`: `data` is the whole file; it may have fewer."""
        for count in range(_FRAMES):
            if whole and at == len(data) and count:
                return True
            length = self.at(data, at)
            if not length:
                return False
            at += length
        return True


KINDS = (
    Frames(AC3, 0x0B, 6, _ac3),
    Frames(EAC3, 0x0B, 6, _eac3),
    Frames(DTS, 0x7F, 8, _dts),
    Frames(ADTS, 0xFF, 6, _adts),
    Frames(MP3, 0xFF, 4, _mpeg_audio),
    Frames(LOAS, 0x56, 3, _loas),
)


def identify_frames(head: bytes, size: int | None) -> Frames | None:
    """The kind of frames that a file begins with, behind tags, zeros or other padding."""
    start = behind_id3(head)
    whole = size is not None and size <= len(head)
    for kind in KINDS:
        if kind.chain(head, start, whole=whole):
            return kind
    padded = len(head) - len(head[start:].lstrip(b"\0"))
    for kind in KINDS:
        at, limit = head.find(kind.first, padded), min(len(head), padded + _SEARCHED)
        while 0 <= at < limit:
            if kind.chain(head, at) and kind.chain(head, at + kind.at(head, at)):
                return kind
            at = head.find(kind.first, at + 1)
    return next(kind for kind in KINDS if kind.format is MP3) if start else None


def frames_end(of: Format, size: int) -> Steps:
    """The last frame is whole; only tags and zeros may follow it."""
    kind = next(kind for kind in KINDS if kind.format is of)
    start = max(0, size - _TAIL)
    tail = yield Span(start, size - start)
    if tags := trailing_tags(tail):
        tail = tail[: max(0, len(tail) - tags)]
        if len(tail) < _ENOUGH < size - tags:
            start = max(0, size - tags - _TAIL)
            tail = yield Span(start, size - tags - start)
    ends = list(_runs(kind, tail))
    if not ends:
        what = "has no audio frames at its end"
        return unproven(what) if tail.strip(b"\0") else cut(what)
    return _behind_last(kind, tail[ends[-1] :])


def _runs(kind: Frames, data: bytes) -> Iterator[int]:
    """Where each run of frames ends."""
    at = 0
    while 0 <= (at := data.find(kind.first, at)) < len(data):
        if not kind.chain(data, at, whole=True):
            at += 1
            continue
        while (length := kind.at(data, at)) and at + length <= len(data):
            at += length
        yield at


def _behind_last(kind: Frames, rest: bytes) -> End:
    if not rest.strip(b"\0"):
        return COMPLETE
    if kind.at(rest, 0) or (rest[0] == kind.first and len(rest) < kind.header):
        return cut("ends inside its last audio frame")
    return unproven("ends in something that is no audio frame")
