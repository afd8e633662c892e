"""Audio files with their own header: FLAC, AMR, AU, Wave64, DSF, and some formats that do not mark their end.

Sources: RFC 9639 (FLAC), RFC 4867 §5 (AMR), the au(5) manual page, Sony's Wave64 and DSF specifications.
"""

from __future__ import annotations

import re
from functools import cache

from clipferry.transfer.media.ending import COMPLETE, MAX_READ, End, Span, Steps, cut, unproven
from clipferry.transfer.media.formats import (
    AMR,
    AMR_WB,
    APE,
    AU,
    DSF,
    FLAC,
    REAL_AUDIO,
    TTA,
    W64,
    WAVPACK,
    Format,
)
from clipferry.transfer.media.tags import behind_id3, trailing_tags

_W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_MAGIC = (
    (b"#!AMR-WB\n", AMR_WB),
    (b"#!AMR\n", AMR),
    (b"fLaC", FLAC),
    (b".snd\x00\x00", AU),
    (b"DSD \x1c", DSF),
    (b"MAC \x8c\x0f", APE),
    (b"MAC \x96\x0f", APE),
    (b"MAC ", APE),
    (b"TTA1", TTA),
    (b"wvpk", WAVPACK),
    (b".ra\xfd\x00", REAL_AUDIO),
    (_W64, W64),
)
_AMR_BYTES = {  # of a frame, its first byte included, by its type
    AMR: (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1),
    AMR_WB: (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1),
}
_IN_FRAME = "ends inside its last frame"
_AMR_LOOKED_AT = 16 * 1024 * 1024  # bytes: 2 hours at the highest rate
_FLAC_TAIL = 64 * 1024
_FLAC_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_FLAC_STARTS, _FLAC_FRAMES = 4096, 16  # places looked at from the end, and frames of them whose checksum is tried


def identify_audio_file(head: bytes) -> Format | None:
    start = head[behind_id3(head) :]
    return next((kind for magic, kind in _MAGIC if start.startswith(magic)), None)


def declared_length(kind: Format, head: bytes) -> int:
    """The length of the file in bytes, as its header gives it; 0 when the header does not give it."""
    if kind is W64:
        return int.from_bytes(head[16:24], "little")
    if kind is DSF:
        return int.from_bytes(head[12:20], "little")
    data = int.from_bytes(head[8:12], "big")
    return 0 if data == 0xFFFFFFFF else int.from_bytes(head[4:8], "big") + data


def amr_end(kind: Format, size: int) -> Steps:
    """Read all frames from the start: they are small, and no mark shows where the last one begins."""
    if size > _AMR_LOOKED_AT:
        return unproven("is too long to be looked at frame by frame")
    lengths, at = _AMR_BYTES[kind], 9 if kind is AMR_WB else 6
    while at < size:
        block = yield Span(at, min(MAX_READ, size - at))
        begun, within = at, 0
        while within < len(block):
            length = lengths[block[within] >> 3 & 15]
            if not length or block[within] & 0x83:
                return unproven(f"has something that is no frame at byte {begun + within}")
            within += length
        at = begun + within
    return COMPLETE if at == size else cut(_IN_FRAME)


# -- FLAC -------------------------------------------------------------------------------------------------------------


def flac_end(head: bytes, size: int) -> Steps:
    """The checksum of the last frame is right, and the frame holds the last of the samples that the header counts."""
    at, last_block = behind_id3(head) + 4, False
    info = head[at + 4 : at + 38]
    while not last_block:
        block = yield Span(at, 4)
        last_block = block[:1] >= b"\x80"
        at += 4 + int.from_bytes(block[1:4], "big")
        if at >= size or len(block) < 4:
            return cut("ends in its header")
    start = max(at, size - _FLAC_TAIL)
    tail = yield Span(start, size - start)
    end = _flac_last_frame(tail[: max(0, len(tail) - trailing_tags(tail))], info)
    return end or (cut(_IN_FRAME) if start == at else unproven("has no frame in its last bytes"))


def _flac_last_frame(tail: bytes, info: bytes) -> End | None:
    """The verdict by the last frame; None when no frame is found. `info`: the file's STREAMINFO block."""
    total, block_size = int.from_bytes(info[13:18], "big") & 0xFFFFFFFFF, int.from_bytes(info[2:4], "big")
    starts = [found.start() for found in _FLAC_SYNC.finditer(tail)]
    tried = 0
    for at in reversed(starts[-_FLAC_STARTS:]):
        last = _flac_samples(tail[at : at + 24], block_size)
        if last is None:
            continue
        tried += 1
        if crc16(tail[at:]) == 0:
            return cut(f"ends after {last} of {total} samples") if last < total else COMPLETE
        if tried == _FLAC_FRAMES:
            break
    return cut(_IN_FRAME) if tried else None


def _flac_samples(header: bytes, block_size: int) -> int | None:
    """The number of samples up to the end of the frame with this header; None when it is no header of a frame."""
    if len(header) < 24 or header[3] & 1:
        return None
    number, length = _coded_number(header[4:11])
    size_code, rate_code = header[2] >> 4, header[2] & 15
    if number is None or size_code == 0 or rate_code == 15:
        return None
    at = 4 + length
    extra = {6: 1, 7: 2}.get(size_code, 0)
    samples = int.from_bytes(header[at : at + extra], "big") + 1 if extra else _flac_block(size_code)
    at += extra + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if crc8(header[: at + 1]) != 0:
        return None
    return (number if header[1] & 1 else number * block_size) + samples


def _flac_block(code: int) -> int:
    if code == 1:
        return 192
    return 576 << code - 2 if code < 6 else 256 << code - 8


def _coded_number(data: bytes) -> tuple[int | None, int]:
    """A number in the coding that UTF-8 uses for characters (up to 7 bytes), and its length in bytes."""
    ones = 8 - (data[0] ^ 0xFF).bit_length()
    if ones == 0:
        return data[0], 1
    if ones in (1, 8):
        return None, 0
    number = data[0] & (0x7F >> ones)
    for byte in data[1:ones]:
        if byte >> 6 != 2:
            return None, 0
        number = number << 6 | byte & 0x3F
    return number, ones


def crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc


@cache
def _crc16_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x8005 if crc & 0x8000 else crc << 1) & 0xFFFF
        table.append(crc)
    return tuple(table)


def crc16(data: bytes) -> int:
    """CRC-16 of polynomial 0x8005, from 0, most significant bit first: 0 over a frame with its checksum."""
    crc, table = 0, _crc16_table()
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ table[crc >> 8 ^ byte]
    return crc
