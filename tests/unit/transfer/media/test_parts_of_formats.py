"""The parts that formats are made of, one by one: units, packets, elements, headers of rare files."""

from __future__ import annotations

import pytest
from clipferry.transfer.media import End, Ending, Format, formats, identify
from clipferry.transfer.media.iso_boxes import Box, read_box
from clipferry.transfer.media.matroska import Element, read_element, tracks_known
from clipferry.transfer.media.not_media import as_text
from clipferry.transfer.media.ogg import identify_ogg
from clipferry.transfer.media.program_stream import unit_length
from clipferry.transfer.media.transport_stream import stride_of

from tests.unit.transfer.media.test_formats import FTYP, MDAT, MOOV
from tests.unit.transfer.media.test_inspect import box, packets
from tests.unit.transfer.media.test_real_files import look
from tests.unit.transfer.media.test_said_of_an_end import (
    BLOCKS,
    DOC,
    FOOTER,
    MXF_KEY,
    NOISE,
    OPUS,
    SEGMENT,
    THEORA,
    TRACK,
    TRACKS,
    TYPE,
    VORBIS,
    element,
    mxf,
    page,
    tracks,
)

START = b"\x00\x00\x01"


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (START + b"\xb9", 4),
        (START + b"\xba\x21" + bytes(7), 12),
        (START + b"\xba\x21" + bytes(6), 0),
        (START + b"\xba\x44" + bytes(8) + b"\xf8", 14),
        (START + b"\xba\x44" + bytes(8) + b"\xfb", 17),
        (START + b"\xba\x44" + bytes(8), 0),
        (START + b"\xba\x84" + bytes(9), 0),
        (START + b"\xbb\x00\x08", 14),
        (START + b"\xe0\x01\x02", 264),
        (START + b"\xe0\x01", 0),
        *((START + bytes([code]) + b"\x00\x01", 7) for code in (0xBC, 0xBD, 0xBE, 0xBF, 0xC0, 0xDF, 0xEF, 0xF0, 0xF1)),
        *((START + bytes([code]) + b"\x00\x01", 7) for code in (0xF2, 0xF8, 0xFD, 0xFF)),
        *((START + bytes([code]) + b"\x00\x01", 0) for code in (0x00, 0xB3, 0xF3, 0xF9, 0xFE)),
        (START, 0),
        (b"\x00\x01\x01\xb9", 0),
    ],
)
def test_a_unit_of_a_program_stream_says_its_length(data: bytes, length: int) -> None:
    assert unit_length(data, 0) == length
    assert unit_length(b"abc" + data, 3) == length


@pytest.mark.parametrize(
    ("data", "whole", "found"),
    [
        (packets(5), False, (188, 0)),
        (packets(4), False, None),
        (packets(4), True, (188, 0)),
        (packets(1), True, (188, 0)),
        (packets(1), False, None),
        (packets(1)[:-1], True, None),
        (bytes(4) + packets(1), True, (192, 4)),
        ((packets(1) + bytes(16)) * 5, False, (204, 0)),
        (b"ID3\x04\x00\x00\x00\x00\x00\x03abc" + packets(5), False, (188, 13)),
        (b"abc" + packets(5), False, (188, 3)),
        (b"\x47abc" + packets(5), False, (188, 4)),
        (b"abc" + packets(4), True, None),
        (b"a" * 65_535 + packets(5), False, (188, 65_535)),
        (b"a" * 65_536 + packets(5), False, None),
    ],
)
def test_a_transport_stream_is_five_packets_in_a_row(data: bytes, whole: bool, found: tuple[int, int] | None) -> None:
    assert stride_of(data, whole=whole) == found


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"\0\0\0\x08free", Box(b"free", 50, 58, 58)),
        (b"\0\0\x01\x00moov", Box(b"moov", 50, 58, 306)),
        (b"\0\0\0\x00mdat", Box(b"mdat", 50, 58, None)),
        (b"\0\0\0\x01mdat" + (2**33).to_bytes(8, "big"), Box(b"mdat", 50, 66, 50 + 2**33)),
        (b"\0\0\0\x01mdat" + (16).to_bytes(8, "big"), Box(b"mdat", 50, 66, 66)),
        (b"\0\0\0\x01mdat" + (15).to_bytes(8, "big"), None),
        (b"\0\0\0\x01mdat" + bytes(8), Box(b"mdat", 50, 66, None)),
        (b"\0\0\0\x01mdat" + bytes(7), None),
        (b"\0\0\0\x07free", None),
        (b"\0\0\0\x08fre", None),
        (b"\0\0\0\x08\xa9nam", Box(b"\xa9nam", 50, 58, 58)),
        (b"\0\0\0\x08a b~", Box(b"a b~", 50, 58, 58)),
        (b"\0\0\0\x08ab\x7fc", None),
        (b"\0\0\0\x08ab\x1fc", None),
    ],
)
def test_a_box_is_a_length_and_a_name(header: bytes, found: Box | None) -> None:
    assert read_box(header, 50) == found


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\xa3\x81a", Element(0xA3, 52, 53)),
        (b"\x42\x86\x81a", Element(0x4286, 53, 54)),
        (b"\x2a\xd7\xb1\x40\x02ab", Element(0x2AD7B1, 55, 57)),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x05", Element(0x1A45DFA3, 62, 67)),
        (b"\xa3\xff", Element(0xA3, 52, None)),
        (b"\xa3\x01" + b"\xff" * 7, Element(0xA3, 59, None)),
        (b"\xa3\x7f\xfe", Element(0xA3, 53, 53 + 0x3FFE)),
        (b"\xa3\x7f\xff", Element(0xA3, 53, None)),
        (b"\xa3", None),
        (b"\xa3\x40", None),
        (b"\xa3\x00\x81", None),
        (b"\x08\x00\x00\x00\x00\x81", None),
        (b"\x00\x81", None),
        (b"", None),
    ],
)
def test_an_element_of_matroska_is_an_id_and_a_length(data: bytes, found: Element | None) -> None:
    assert read_element(b"xx" + data, 2, 48) == found


SEEK = element(0x114D9B74, bytes(40))
ENTRY = element(0xD7, b"\x01") + element(0x86, b"V_TEST") + element(TYPE, b"\x02") + element(0xE0, bytes(9))


@pytest.mark.parametrize(
    ("data", "kind", "known"),
    [
        (DOC + element(SEGMENT, SEEK + tracks(2) + BLOCKS), formats.MKA, True),
        (DOC + element(SEGMENT, SEEK + SEEK + tracks(1, 2) + BLOCKS), formats.MKV, True),
        (
            DOC + element(SEGMENT, element(TRACKS, element(0xEC, b"a") + element(TRACK, ENTRY)) + BLOCKS),
            formats.MKA,
            True,
        ),
        (DOC + element(SEGMENT, SEEK + BLOCKS), formats.MKV, True),
        (DOC + element(SEGMENT, SEEK * 9, 9999), formats.MKV, False),
        (DOC + element(SEGMENT, SEEK + element(TRACKS, bytes(200), 300), 9999), formats.MKV, False),
        (DOC + element(0x77, bytes(200)), formats.MKV, False),
    ],
)
def test_the_tracks_of_matroska_say_what_it_is(data: bytes, kind: Format, known: bool) -> None:
    assert identify(data, 10_000) == kind
    assert tracks_known(data) is known


def test_of_what_is_no_matroska_no_tracks_are_looked_for() -> None:
    assert tracks_known(packets(9))
    assert tracks_known(element(0x1A45DFA3, b"", None))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (VORBIS, formats.OGG),
        (OPUS, formats.OPUS),
        (THEORA, formats.OGV),
        (OPUS + THEORA, formats.OGV),
        (VORBIS + OPUS, formats.OPUS),
        *((page(2, start + bytes(20)), formats.OGV) for start in (b"BBCD\x00", b"\x01video", b"OVP80", b"\x80kate")),
        (page(2, b"\x80daala" + bytes(20)), formats.OGV),
        (page(2, b"x" * 600) + OPUS, formats.OPUS),
        (VORBIS + page(0, b"OpusHead"), formats.OGG),
        (b"OggS\x01" + bytes(200), None),
    ],
)
def test_the_first_packets_of_ogg_say_what_it_is(data: bytes, kind: Format | None) -> None:
    assert identify_ogg(data) == kind


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\0\0\0\0\x01\xbc" + bytes(4) + b"\0\0\0\0\xe1\xe2", formats.GXF),
        (b"\0\0\0\0\x01\xbc" + bytes(4) + b"\0\0\0\0\xe1\xe3", None),
        (b"FWS\x3b" + (9).to_bytes(4, "little"), formats.SWF),
        (b"CWS\x01" + (9).to_bytes(4, "little"), formats.SWF),
        (b"CWS\x3c\xff\xff\x01\x00", None),
        (b"FWS\x0a" + (8).to_bytes(4, "little"), None),
        *(
            (b"BM" + (300).to_bytes(4, "little") + bytes(8) + bytes([n, 0, 0, 0]), formats.BMP)
            for n in (12, 40, 52, 56)
        ),
        *((b"BM" + (300).to_bytes(4, "little") + bytes(8) + bytes([n, 0, 0, 0]), formats.BMP) for n in (64, 108, 124)),
        (b"BM" + (300).to_bytes(4, "little") + bytes(8) + b"\x29\0\0\0", None),
        (b"BM" + (900_000).to_bytes(4, "little") + bytes(8) + b"\x28\0\0\0", None),
        (b"nut/multimedia container\x00", formats.NUT),
        (b"DKIF\x00\x00", formats.IVF),
        (b"YUV4MPEG2 ", formats.Y4M),
        (b"II*\x00", formats.TIFF),
        (b"MM\x00*", formats.TIFF),
        (bytes.fromhex("b7d800203749da11a64e0007e95ead8d"), formats.WTV),
        (b"TTA1", formats.TTA),
        (b"wvpk", formats.WAVPACK),
        (b"MAC \x8c\x0f", formats.APE),
        (b"MAC \x01\x02", formats.APE),
        (b"FLV\x01\x05\x00\x00\x00\x09", formats.FLV),
        (b"FLV\x01\x05\x00\x00\x00\x08", None),
        (b"FLV\x02\x05\x00\x00\x00\x09", None),
    ],
)
def test_rare_files_are_told_by_their_headers(data: bytes, kind: Format | None) -> None:
    whole = data + b"\x9d" + NOISE[:400]
    assert identify(whole, len(whole)) == kind


def packet(content: bytes, coded: bytes) -> bytes:
    return MXF_KEY + b"\x04\x04\x00" + coded + content


@pytest.mark.parametrize(
    "footer",
    [
        packet(bytes(100), b"\x64"),
        packet(bytes(100), b"\x81\x64"),
        packet(bytes(300), b"\x82\x01\x2c"),
        packet(bytes(300), b"\x88" + (300).to_bytes(8, "big")),
        packet(b"", b"\x00"),
        packet(bytes(4), b"\x04") * 63,
    ],
)
def test_a_packet_of_mxf_says_its_length_in_every_form(footer: bytes) -> None:
    data = mxf(FOOTER, NOISE[:300] + footer)
    assert look(data).end == End(Ending.COMPLETE)
    assert look(data + b"a").end == End(Ending.CUT, f"has something that is no packet at byte {len(data)}")


def index(*sizes: int) -> bytes:
    head = bytes(4) + bytes(16) + bytes(2) + len(sizes).to_bytes(2, "big")
    return box(b"sidx", head + b"".join(size.to_bytes(4, "big") + bytes(8) for size in sizes))


@pytest.mark.parametrize(("lacking", "nested"), [(0, 0), (5, 0), (0, 0x80000000), (5, 0x80000000)])
def test_all_fragments_that_an_index_names_are_to_be_there(lacking: int, nested: int) -> None:
    fragment = box(b"moof", bytes(80)) + MDAT
    data = FTYP + MOOV + index(len(fragment), len(fragment) + lacking | nested, 0) + fragment * 2
    why = f"ends at byte {len(data)}, its last fragment at byte {len(data) + lacking}"
    assert look(data).end == (End(Ending.CUT, why) if lacking else End(Ending.COMPLETE))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"abc", "abc"),
        ("ä片".encode(), "ä片"),
        (b"\xef\xbb\xbfabc", "abc"),
        (b"\xff\xfea\x00b\x00", "ab"),
        (b"\xfe\xff\x00a\x00b", "ab"),
        (b"\xff\xfe\x00\x00a\x00\x00\x00", "a"),
        (b"\x00\x00\xfe\xff\x00\x00\x00a", "a"),
        (b"a\x00b\x00c\x00d\x00", "abcd"),
        (b"\x00a\x00b\x00c\x00d", "abcd"),
        (b"a\x00\x00\x00b\x00\x00\x00", "ab"),
        (b"\x00\x00\x00a\x00\x00\x00b", "ab"),
        ("café ouvert".encode("latin-1"), "café ouvert"),
        (b"a\x01b", None),
        (b"a\x1bb", "a\x1bb"),
        (b"a\x7fb", None),
    ],
)
def test_a_text_is_read_in_its_encoding(data: bytes, text: str | None) -> None:
    assert as_text(data) == text
