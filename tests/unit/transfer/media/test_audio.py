"""Sound made by hand: FLAC with its checksums, frames of every kind, tags before and behind."""

from __future__ import annotations

import random

import pytest
from clipferry.transfer.media import End, Ending, Format, NotMedia, formats
from clipferry.transfer.media.tags import behind_id3, trailing_tags

from tests.unit.transfer.media.test_inspect import AC3, ADTS, MP3
from tests.unit.transfer.media.test_real_files import look

NOISE = random.Random(5).randbytes(4000).replace(b"\xff", b"\xfe")


def crc(data: bytes, width: int, polynomial: int) -> bytes:
    """Bit by bit, most significant first, from 0."""
    value, top = 0, 1 << width
    for byte in data + bytes(width // 8):
        for bit in range(7, -1, -1):
            value = value << 1 | (byte >> bit & 1)
            if value & top:
                value ^= top | polynomial
    return value.to_bytes(width // 8, "big")


def flac_frame(number: bytes, size: bytes = b"\x50", extra: bytes = b"", *, variable: bool = False) -> bytes:
    """A frame; `size`: the codes of block size and sample rate, `extra`: what stands behind the number for them."""
    header = b"\xff" + (b"\xf9" if variable else b"\xf8") + size + b"\x08" + number + extra
    content = header + crc(header, 8, 0x07) + NOISE[:300]
    return content + crc(content, 16, 0x8005)


def flac(total: int, *frames: bytes, block: int = 4608) -> bytes:
    info = (
        block.to_bytes(2, "big") * 2 + bytes(6) + b"\x0a\xc4\x42" + (0xF << 36 | total).to_bytes(5, "big") + bytes(16)
    )
    return b"fLaC\x00\x00\x00\x22" + info + b"\x84\x00\x00\x28" + bytes(40) + b"".join(frames)


WHOLE, IN_FRAME = End(Ending.COMPLETE), End(Ending.CUT, "ends inside its last frame")
TWO = flac_frame(b"\x00"), flac_frame(b"\x01")
TAG = b"TAG" + bytes(125)


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (flac(9216, *TWO), WHOLE),
        (flac(9000, *TWO), WHOLE),
        (flac(9217, *TWO), End(Ending.CUT, "ends after 9216 of 9217 samples")),
        (flac(0, *TWO), WHOLE),
        (flac(9216, *TWO) + TAG, WHOLE),
        (flac(9216, *TWO)[:-1], IN_FRAME),
        (flac(9216, *TWO)[:-200], IN_FRAME),
        (flac(9216, *TWO) + b"\x00", WHOLE),
        (flac(9216, *TWO) + b"\x01", IN_FRAME),
        (flac(9216)[:60] + NOISE[:100], End(Ending.CUT, "ends inside its last frame")),
        (flac(9216, NOISE[:500]), IN_FRAME),
        (flac(9216, *TWO, NOISE * 20), End(Ending.UNPROVEN, "has no frame in its last bytes")),
        (b"fLaC\x00\x00\x00\x22" + bytes(34) + b"\x04\x00\x10\x00" + bytes(200), End(Ending.CUT, "ends in its header")),
        # sizes that stand behind the number, and a number that counts samples
        (flac(9216 + 100, *TWO, flac_frame(b"\x02", b"\x60", b"\x63")), WHOLE),
        (
            flac(9216 + 101, *TWO, flac_frame(b"\x02", b"\x60", b"\x63")),
            End(Ending.CUT, "ends after 9316 of 9317 samples"),
        ),
        (flac(9216 + 300, *TWO, flac_frame(b"\x02", b"\x70", b"\x01\x2b")), WHOLE),
        (
            flac(9217 + 300, *TWO, flac_frame(b"\x02", b"\x70", b"\x01\x2b")),
            End(Ending.CUT, "ends after 9516 of 9517 samples"),
        ),
        (flac(192, flac_frame(b"\x00", b"\x10")), WHOLE),
        (flac(193, flac_frame(b"\x00", b"\x10")), End(Ending.CUT, "ends after 192 of 193 samples")),
        (flac(577, flac_frame(b"\x00", b"\x20")), End(Ending.CUT, "ends after 576 of 577 samples")),
        (flac(2305, flac_frame(b"\x00", b"\x40")), End(Ending.CUT, "ends after 2304 of 2305 samples")),
        (flac(4609, flac_frame(b"\x00", b"\x50")), End(Ending.CUT, "ends after 4608 of 4609 samples")),
        (flac(257, flac_frame(b"\x00", b"\x80")), End(Ending.CUT, "ends after 256 of 257 samples")),
        (flac(32_769, flac_frame(b"\x00", b"\xf0")), End(Ending.CUT, "ends after 32768 of 32769 samples")),
        (flac(577, flac_frame(b"\x00", b"\x2c", b"\x2c")), End(Ending.CUT, "ends after 576 of 577 samples")),
        (flac(577, flac_frame(b"\x00", b"\x2d", b"\xac\x44")), End(Ending.CUT, "ends after 576 of 577 samples")),
        (flac(577, flac_frame(b"\x00", b"\x2e", b"\x11\x3a")), End(Ending.CUT, "ends after 576 of 577 samples")),
        # numbers of one to seven bytes
        (
            flac(10**9, flac_frame(b"\x7f", variable=True)),
            End(Ending.CUT, f"ends after {0x7F + 4608} of 1000000000 samples"),
        ),
        (
            flac(10**9, flac_frame(b"\xc4\x80", variable=True)),
            End(Ending.CUT, f"ends after {0x100 + 4608} of 1000000000 samples"),
        ),
        (
            flac(10**9, flac_frame(b"\xe1\x81\x82", variable=True)),
            End(Ending.CUT, f"ends after {0x1042 + 4608} of 1000000000 samples"),
        ),
        (
            flac(10**9, flac_frame(b"\xf8\x88\x80\x80\x81", b"\x20", variable=True)),
            End(Ending.CUT, f"ends after {(8 << 18) + 1 + 576} of 1000000000 samples"),
        ),
        (
            flac(0xFFFFFFFFF, flac_frame(b"\xfe\x80\x80\x80\x80\x80\x83", b"\x20", variable=True)),
            End(Ending.CUT, f"ends after {3 + 576} of {0xFFFFFFFFF} samples"),
        ),
    ],
)
def test_the_last_frame_of_flac_holds_the_last_sample(data: bytes, end: End) -> None:
    seen = look(data)
    assert (seen.found, seen.end) == (formats.FLAC, end)


EAC3 = b"\x0b\x77\x01\x7f\x34\x80" + NOISE[:762]  # 0x17f + 1 words
DTS = b"\x7f\xfe\x80\x01\xfc\x3c\x3f\xf0" + NOISE[:1016]  # 0x3ff + 1 bytes
LOAS = b"\x56\xe0\xfd" + NOISE[:253]


def mpeg(header: str, length: int) -> bytes:
    return bytes.fromhex(header) + NOISE[: length - 4]


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (EAC3, formats.EAC3),
        (DTS, formats.DTS),
        (LOAS, formats.LOAS),
        (b"\x56\xe1\x01" + NOISE[:257], formats.LOAS),
        (b"\x0b\x77\x00\x7f\x34\x58" + NOISE[:250], formats.EAC3),
        (b"\x0b\x77\x04\x7f\x34\x80" + NOISE[:2298], formats.EAC3),
        (b"\x0b\x77\x00\x00\x14\x50" + NOISE[:762], formats.AC3),
        (b"\x0b\x77\x00\x00\x25\x40" + NOISE[:2554], formats.AC3),  # 640 kbit/s at 48 kHz
        (b"\xff\xf9\x50\x83\x06\x3f\xfc" + (NOISE * 2)[:6186], formats.ADTS),
        (ADTS, formats.ADTS),
        (AC3, formats.AC3),
        (b"\x0b\x77\x00\x00\x54\x40" + NOISE[:828], formats.AC3),  # 192 kbit/s at 44.1 kHz: 417 words
        (b"\x0b\x77\x00\x00\x55\x40" + NOISE[:830], formats.AC3),  # and one word more
        (b"\x0b\x77\x00\x00\x94\x40" + NOISE[:1146], formats.AC3),  # 192 kbit/s at 32 kHz: 576 words
        (mpeg("fffb9000", 417), formats.MP3),  # MPEG-1 layer III, 128 kbit/s at 44.1 kHz
        (mpeg("fffb9200", 418), formats.MP3),  # padded
        (mpeg("fffb9400", 384), formats.MP3),  # at 48 kHz
        (mpeg("fffb9800", 576), formats.MP3),  # at 32 kHz
        (mpeg("fffbe000", 1044), formats.MP3),  # 320 kbit/s
        (mpeg("fffb1000", 104), formats.MP3),  # 32 kbit/s
        (mpeg("fffd9000", 522), formats.MP3),  # layer II, 160 kbit/s
        (mpeg("ffff9000", 312), formats.MP3),  # layer I, 288 kbit/s
        (mpeg("ffff9200", 316), formats.MP3),  # layer I, padded
        (mpeg("fff39000", 261), formats.MP3),  # MPEG-2 layer III, 80 kbit/s at 22.05 kHz
        (mpeg("fff59000", 522), formats.MP3),  # MPEG-2 layer II, 80 kbit/s
        (mpeg("fff79000", 312), formats.MP3),  # MPEG-2 layer I, 144 kbit/s
        (mpeg("ffe39000", 522), formats.MP3),  # MPEG-2.5 layer III, 80 kbit/s at 11.025 kHz
    ],
)
def test_frames_are_known_by_the_length_in_each_header(frame: bytes, kind: Format) -> None:
    whole, padded, cut = look(frame * 9), look(bytes(300) + frame * 9), look((frame * 9)[:-1])

    assert (whole.found, whole.end) == (kind, WHOLE)
    assert (padded.found, padded.end) == (kind, WHOLE)
    assert (cut.found, cut.end) == (kind, End(Ending.CUT, "ends inside its last audio frame"))
    assert look((frame + b"\x05") * 9).found != kind


@pytest.mark.parametrize(
    "header",
    ["fffb0000", "fffbf000", "fffb9c00", "ffeb9000", "fff99000", "ffdb9000", "0b770000c0400000", "0b77000026400000"],
)
def test_bytes_that_are_no_header_begin_no_frame(header: str) -> None:
    found = look((bytes.fromhex(header) + NOISE[:413]) * 9).found
    assert found is None or isinstance(found, NotMedia)


def id3(size: bytes, flags: int = 0) -> bytes:
    return b"ID3\x04\x00" + bytes([flags]) + size


@pytest.mark.parametrize(
    ("data", "behind"),
    [
        (b"", 0),
        (MP3, 0),
        (id3(b"\0\0\0\x05") + bytes(5), 15),
        (id3(b"\0\0\x01\x00"), 138),
        (id3(b"\0\x01\0\0"), 16_394),
        (id3(b"\x01\0\0\0"), 2_097_162),
        (id3(b"\0\0\0\x05", 0x10) + bytes(15), 25),
        (id3(b"\0\0\0\x05") + bytes(5) + id3(b"\0\0\0\x01") + bytes(1), 26),
        (id3(b"\0\0\0\x05")[:9], 0),
        (id3(b"\0\0\0\x80"), 0),
        (b"ID3\xff\x00\x00\0\0\0\x05", 0),
        (id3(b"\0\0\0\0") * 20, 160),
    ],
)
def test_tags_in_front_are_passed(data: bytes, behind: int) -> None:
    assert behind_id3(data) == behind


def ape(size: int, flags: int = 0) -> bytes:
    return b"APETAGEX" + bytes(4) + size.to_bytes(4, "little") + bytes(7) + bytes([flags]) + bytes(8)


@pytest.mark.parametrize(
    ("tail", "length"),
    [
        (b"", 0),
        (MP3, 0),
        (MP3 + TAG, 128),
        (TAG, 128),
        (TAG[:-1], 0),
        (MP3 + ape(32), 32),
        (MP3 + ape(0), 32),
        (MP3 + ape(100), 100),
        (MP3 + ape(100, 0x80), 132),
        (MP3 + bytes(68) + ape(100) + TAG, 228),
        (MP3 + b"LYRICSBEGIN" + b"000011LYRICS200", 26),
        (MP3 + b"LYRICSBEGIN" + b"00001xLYRICS200", 0),
        (MP3 + b"3DI\x04\x00\x00\x00\x00\x00\x05", 25),
        (MP3 + b"3DI\x04\x00\x00\x00\x00\x00\x80", 0),
        (ape(5000), 5000),
    ],
)
def test_tags_behind_are_counted(tail: bytes, length: int) -> None:
    assert trailing_tags(tail) == length
