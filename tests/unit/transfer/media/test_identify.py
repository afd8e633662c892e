"""What first bytes tell: brands of ISO media, parameter sets of raw video, and how many bytes are wanted to tell."""

from __future__ import annotations

import random

import pytest
from clipferry.transfer.media import HEAD, HEAD_MAX, Format, formats, head_wanted, identify
from clipferry.transfer.media.elementary_video import jpeg_length

from tests.unit.transfer.media.test_formats import FTYP, MDAT, MOOV, PES, PS_PACK
from tests.unit.transfer.media.test_inspect import MP3, box, packets
from tests.unit.transfer.media.test_said_of_an_end import ASF_HEAD, DOC, SEGMENT, WEBM_DOC, asf, element, tracks

NOISE = random.Random(13).randbytes(5000).replace(b"\x00", b"\x01")
NAL = b"\x00\x00\x00\x01"


def branded(major: bytes, *compatible: bytes, moov: bytes = MOOV) -> bytes:
    return box(b"ftyp", major + bytes(4) + b"".join(compatible)) + moov + MDAT


def movie_of(*handlers: bytes) -> bytes:
    return box(b"moov", b"".join(box(b"trak", box(b"hdlr", bytes(8) + kind + bytes(12))) for kind in handlers))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        *((branded(brand), formats.MP4) for brand in (b"isom", b"mp42", b"avc1", b"dash", b"XXXX")),
        *((branded(brand), formats.M4A) for brand in (b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B ")),
        *((branded(brand), formats.M4V) for brand in (b"M4V ", b"M4VH", b"M4VP")),
        *((branded(brand), formats.F4V) for brand in (b"F4V ", b"F4P ", b"f4v ")),
        *((branded(brand), formats.THREE_GP) for brand in (b"3gp4", b"3gr6", b"3gs7", b"3ge6", b"3gg6", b"3gh9")),
        *((branded(brand), formats.THREE_G2) for brand in (b"3g2a", b"3g2c")),
        *((branded(brand), formats.MJ2) for brand in (b"mjp2", b"mj2s")),
        *((branded(brand), formats.AVIF) for brand in (b"avif", b"avis")),
        *((branded(brand), formats.HEIC) for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")),
        *((branded(brand), formats.HEIC) for brand in (b"hevm", b"hevs", b"mif1", b"msf1", b"miaf", b"mif2")),
        (branded(b"qt  "), formats.MOV),
        (branded(b"msf1", b"msf1", b"avis", b"heic"), formats.AVIF),
        (branded(b"mif1", b"mif1", b"mp42", b"hevc"), formats.HEIC),
        (branded(b"mif1", *[b"mif1"] * 61, b"avif"), formats.AVIF),
        (branded(b"mif1", *[b"mif1"] * 62, b"avif"), formats.HEIC),
        (branded(b"isom", moov=movie_of(b"soun")), formats.M4A),
        (branded(b"isom", moov=movie_of(b"soun", b"text")), formats.M4A),
        (branded(b"isom", moov=movie_of(b"soun", b"vide")), formats.MP4),
        (branded(b"isom", moov=movie_of(b"pict", b"soun")), formats.MP4),
        (branded(b"isom", moov=movie_of(b"soun", b"auxv")), formats.MP4),
        (branded(b"isom", moov=movie_of(b"text")), formats.MP4),
        (branded(b"isom", moov=movie_of()), formats.MP4),
        (branded(b"qt  ", moov=movie_of(b"soun")), formats.MOV),
        (FTYP + MDAT + movie_of(b"soun"), formats.M4A),
        (box(b"moof", bytes(80)) + MDAT, formats.ISO_SEGMENT),
        (box(b"sidx", bytes(40)) + box(b"moof", bytes(80)) + MDAT, formats.ISO_SEGMENT),
        (box(b"ssix", bytes(40)) + MDAT, formats.ISO_SEGMENT),
        (box(b"styp", b"msdh") + MDAT, formats.ISO_SEGMENT),
        (box(b"prft", bytes(16)) + MDAT, formats.ISO_SEGMENT),
        (box(b"imda", NOISE[:300]), formats.ISO_SEGMENT),
        (box(b"mfra", NOISE[:300]), formats.ISO_SEGMENT),
        (box(b"pnot", bytes(12)) + MOOV + MDAT, formats.MOV),
        (box(b"free", bytes(9)) * 3 + branded(b"M4V "), formats.M4V),
        (box(b"free", bytes(9)) + NOISE, None),
        (box(b"ftyp", b"isom") + NOISE[:300], None),
        (box(b"gps0", bytes(40)) + MOOV + MDAT, None),
        ((9_000_000).to_bytes(4, "big") + b"free" + NOISE, None),
        ((9_000_000).to_bytes(4, "big") + b"mdat" + NOISE, formats.MOV),
        (b"\0\0\0\x07free" + MOOV + MDAT, None),
    ],
)
def test_iso_media_are_told_by_their_brand_and_first_boxes(data: bytes, kind: Format | None) -> None:
    assert identify(data, len(data)) == kind


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        *((NAL + bytes([0x67, profile]), formats.H264) for profile in (44, 66, 77, 83, 86, 88, 100, 110, 118, 122)),
        *((NAL + bytes([0x47, profile]), formats.H264) for profile in (128, 138, 139, 134, 135, 144, 244)),
        (NAL + b"\x67\x05", None),
        (NAL + b"\x07\x42", None),
        (NAL + b"\xe7\x42" + NAL + b"\x67\x42", None),
        (NAL + b"\x40\x01\x0c" + NAL + b"\x42\x01\x01", formats.H265),
        (NAL + b"\x42\x01\x0c" + NAL + b"\x44\x01\x01", formats.H265),
        (NAL + b"\x44\x01\x0c" + NAL + b"\x42\x01\x01", formats.H265),
        (NAL + b"\x40\x01\x0c" + NAL + b"\x44\x01\x01", None),
        (NAL + b"\x42\x01\x0c", None),
        (NAL + b"\x43\x01\x0c" + NAL + b"\x45\x01\x01", None),
        (NAL + b"\x40\x09\x0c" + NAL + b"\x42\x09\x01", None),
        (NAL + b"\x00\x71", formats.H266),
        (NAL + b"\x00\x79", formats.H266),
        (NAL + b"\x00\x81", formats.H266),
        (NAL + b"\x00\x61", None),
        (b"\x00\x00\x01\xb3", formats.MPEG_VIDEO),
        (b"\x00\x00\x01\xb0", formats.MPEG4_VIDEO),
        (b"\x00\x00\x01\x20", formats.MPEG4_VIDEO),
        (b"\x00\x00\x01\x1f\x00\x00\x01\x2f", formats.MPEG4_VIDEO),
        (b"\x00\x00\x01\x0f", formats.VC1),
        (b"\x12\x00\x0a", formats.AV1),
        (b"BBCD\x00", formats.DIRAC),
        (b"\x1f\x07\x00" + bytes(77) + b"\x3f", formats.DV),
        (b"\x1f\x07\x00" + bytes(77) + b"\x5f", None),
        (b"\x00\x01\xb3", None),
        (bytes(9) + b"\x01\xb3", formats.MPEG_VIDEO),
    ],
)
def test_raw_video_is_told_by_its_first_units(data: bytes, kind: Format | None) -> None:
    whole = data + b"\x55" * 300
    assert identify(whole, len(whole)) == kind


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ((PS_PACK + PES) * 3, formats.PS),
        (b"\x00\x00\x01\xba\x21" + bytes(7) + PES, formats.PS),
        (b"\x00\x00\x01\xba\x81" + bytes(7) + PES, None),
        (PS_PACK[:13] + b"\xfb\xff\xff\xff" + PES, formats.PS),
        (PS_PACK + b"\x55" * 300, None),
        (NOISE * 14 + PS_PACK + PES, None),
        (b"\x00\x00\x01\xbd\x00\x08" + bytes([0x81]) * 8 + PES, formats.PS),
        (b"\x00\x00\x01\xbb\x00\x08" + bytes([0x81]) * 8 + PES, formats.PS),
        (packets(5), formats.TS),
        (b"\x55" * 99 + packets(5), formats.TS),
        (b"\x55" * 99 + packets(4), None),
        (packets(4) + b"\x55" * 188, None),
        (b"".join(bytes(4) + packets(1) for _ in range(9)), formats.M2TS),
    ],
)
def test_streams_are_told_by_what_follows_one_another(data: bytes, kind: Format | None) -> None:
    assert identify(data, len(data)) == kind


JPEG = b"\xff\xd8\xff\xe0\x00\x10" + bytes(14)
SCAN = b"\xff\xda\x00\x04ab"


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (JPEG + SCAN + b"data" + b"\xff\xd9", 32),
        (JPEG + SCAN + b"d\xff\x00\xff\xd0\xff\xd7a" + b"\xff\xd9" + b"more", 36),
        (JPEG + SCAN + b"data" + SCAN + b"data" + b"\xff\xd9", 42),
        (JPEG + b"\xff\xff" + SCAN[1:] + b"data" + b"\xff\xd9", 33),
        (JPEG + b"\xff\x01\xff\xd0\xff\xd8" + SCAN + b"\xff\xd9", 34),
        (JPEG + b"\xff\xd9\x00\x00", 22),
        (JPEG + b"\xff\xd9", 22),
        (JPEG + b"\xff\xd9a", 22),
        (JPEG + SCAN + b"data" + b"\xff\xd9a", 32),
        (b"\xff\xd8\xff\xe0\x01\x10" + bytes(270) + SCAN + b"\xff\xd9", 284),
        (JPEG + SCAN + b"data", None),
        (JPEG + b"\x00\x01\x02\x03", None),
        (JPEG[:9], None),
    ],
)
def test_a_jpeg_image_ends_at_its_own_marker(data: bytes, length: int | None) -> None:
    assert jpeg_length(data) == length


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        (b"", HEAD),
        (NOISE[: HEAD - 1], HEAD),
        (packets(40), len(packets(40))),
        (b"ID3\x04\x00\x00\x00\x01\x00\x00" + bytes(HEAD), 16_394 + HEAD),
        (b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(HEAD), HEAD_MAX),
        (asf(ASF_HEAD, bytes(HEAD), 10_000), 10_000),
        (asf(ASF_HEAD, bytes(HEAD), 10**6), 65_536),
        (asf(ASF_HEAD, bytes(HEAD), 100), HEAD + 24),
        ((JPEG + SCAN).ljust(HEAD, b"a"), 16 * HEAD),
        ((JPEG + SCAN).ljust(16 * HEAD, b"a"), 256 * HEAD),
        ((JPEG + SCAN).ljust(256 * HEAD, b"a"), HEAD_MAX),
        ((JPEG + SCAN + b"\xff\xd9").ljust(HEAD, b"a"), HEAD),
        (NOISE, 65_536),
        (NOISE * 14, None),
        (DOC + element(SEGMENT, element(0xEC, bytes(HEAD)), 10**6), 65_536),
        (DOC + element(SEGMENT, tracks(1) + element(0xEC, bytes(HEAD)), 10**6), None),
        (WEBM_DOC + element(SEGMENT, element(0x1F43B675, bytes(HEAD)), 10**6), None),
        (MP3 * 20, None),
    ],
)
def test_no_more_of_a_file_is_wanted_than_tells_what_it_is(head: bytes, wanted: int | None) -> None:
    assert head_wanted(head, 10**7) == (len(head) if wanted is None else wanted)
