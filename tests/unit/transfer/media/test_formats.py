"""Bytes made by hand: the variants of a format that writers, recorders and editors leave."""

from __future__ import annotations

import random

import pytest
from clipferry.transfer.media import Ending, Family, Format, formats, identify

from tests.unit.transfer.media.test_inspect import AC3, ADTS, MP3, box, packets
from tests.unit.transfer.media.test_real_files import look

NOISE = random.Random(7).randbytes(300_000)
FTYP = box(b"ftyp", b"isom\x00\x00\x02\x00isommp41")
MOOV = box(b"moov", box(b"mvhd", bytes(100)))
MDAT = box(b"mdat", NOISE[:3000])


def large(kind: bytes, content: bytes) -> bytes:
    """A box with a length of 64 bits."""
    return b"\x00\x00\x00\x01" + kind + (16 + len(content)).to_bytes(8, "big") + content


def to_the_end(kind: bytes, content: bytes) -> bytes:
    """A box of length 0: it reaches to the end of the file."""
    return b"\x00\x00\x00\x00" + kind + content


def table(kind: bytes, count: int, *entries: int, extra: bytes = b"") -> bytes:
    return box(kind, bytes(4) + extra + count.to_bytes(4, "big") + b"".join(n.to_bytes(4, "big") for n in entries))


def movie(chunk: int, sizes: list[int]) -> bytes:
    """A movie box with one track of one chunk, which begins at `chunk` and has samples of these sizes."""
    stsc = table(b"stsc", 1, 1, len(sizes), 1)
    stsz = table(b"stsz", len(sizes), *sizes, extra=bytes(4))
    stbl = box(b"stbl", stsc + stsz + table(b"stco", 1, chunk))
    minf = box(b"minf", box(b"dinf", box(b"dref", bytes(4) + b"\0\0\0\1" + box(b"url ", b"\0\0\0\1"))) + stbl)
    return box(b"moov", box(b"trak", box(b"mdia", box(b"hdlr", bytes(8) + b"vide" + bytes(12)) + minf)))


def elsewhere(chunk: int) -> bytes:
    """The same with its samples in another file."""
    return movie(chunk, [10]).replace(box(b"url ", b"\0\0\0\1"), box(b"url ", b"\0\0\0\0"))


START = len(FTYP) + len(movie(0, [1000, 1000, 1000])) + 8
PS_PACK = b"\x00\x00\x01\xba\x44" + bytes(8) + b"\xf8"
PES = b"\x00\x00\x01\xe0\x07\xec\x80\x00\x00" + NOISE[: 0x7EC - 3]
AUDIO_PES = b"\x00\x00\x01\xc0\x07\xec\x80\x00\x00" + NOISE[: 0x7EC - 3]
TS_204 = b"".join(packets(1) + bytes(16) for _ in range(40))
ID3_LARGE = b"ID3\x03\x00\x00\x00\x06\x0d\x20" + NOISE[:100_000]  # 6 << 14 | 13 << 7 | 32
GARBAGE = b"\x9c\x01" + NOISE[:2000].replace(b"\x47", b"\x48")
APE_TAG = b"A" * 500 + b"APETAGEX" + (2000).to_bytes(4, "little") + (532).to_bytes(4, "little") + bytes(16)
ID3V1 = b"TAG" + bytes(125)

WHOLE: list[tuple[str, bytes, Format]] = [
    ("moov before mdat", FTYP + MOOV + MDAT, formats.MP4),
    ("moov behind mdat", FTYP + MDAT + MOOV, formats.MP4),
    ("64-bit lengths", FTYP + large(b"mdat", NOISE) + large(b"moov", bytes(100)), formats.MP4),
    ("mdat to the end", FTYP + MOOV + to_the_end(b"mdat", NOISE), formats.MP4),
    (
        "all samples before the end",
        FTYP + movie(START, [1000, 1000, 1000]) + to_the_end(b"mdat", NOISE[:3000]),
        formats.MP4,
    ),
    ("samples in another file", FTYP + elsewhere(10**9) + MDAT, formats.MP4),
    ("what a camera left behind", FTYP + movie(START, [1000, 1000, 1000]) + MDAT + NOISE[:50_000], formats.MP4),
    ("padded with zeros", FTYP + MOOV + MDAT + bytes(2000), formats.MP4),
    ("four zeros at the end", FTYP + MOOV + MDAT + bytes(4), formats.MP4),
    ("a device's own box", FTYP + MOOV + MDAT + box(b"gps0", NOISE[:500]), formats.MP4),
    ("pdin first", box(b"pdin", bytes(12)) + FTYP + MOOV + MDAT, formats.MP4),
    ("meta first", box(b"meta", bytes(60)) + FTYP + MOOV + MDAT, formats.MP4),
    ("emsg first", box(b"emsg", bytes(60)) + FTYP + MOOV + MDAT, formats.MP4),
    ("uuid first", box(b"uuid", bytes(60)) + FTYP + MOOV + MDAT, formats.MP4),
    ("free first", box(b"free", bytes(60)) + FTYP + MOOV + MDAT, formats.MP4),
    ("ftyp over 4 KiB", box(b"ftyp", b"isom\0\0\0\0" + b"mp42" * 2000) + MOOV + MDAT, formats.MP4),
    ("fragments", FTYP + MOOV + (box(b"moof", bytes(80)) + MDAT) * 3, formats.MP4),
    ("many fragments", FTYP + MOOV + (box(b"moof", bytes(80)) + MDAT) * 500, formats.MP4),
    (
        "a segment",
        box(b"styp", b"msdh") + box(b"sidx", bytes(40)) + box(b"moof", bytes(80)) + MDAT,
        formats.ISO_SEGMENT,
    ),
    ("QuickTime: moov first", MOOV + MDAT, formats.MOV),
    ("QuickTime: mdat first", MDAT + MOOV, formats.MOV),
    ("QuickTime: wide first", box(b"wide") + MDAT + MOOV, formats.MOV),
    ("QuickTime: free first", box(b"free", bytes(8)) + MDAT + MOOV, formats.MOV),
    ("QuickTime: skip first", box(b"skip", bytes(8)) + MDAT + MOOV, formats.MOV),
    ("QuickTime brand", box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"wide") + MDAT + MOOV, formats.MOV),
    ("HEIC", box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", bytes(200)) + MDAT, formats.HEIC),
    (
        "HEIC by a compatible brand",
        box(b"ftyp", b"mif1\0\0\0\0mif1heic") + box(b"meta", bytes(200)) + MDAT,
        formats.HEIC,
    ),
    (
        "AVIF by a compatible brand",
        box(b"ftyp", b"mif1\0\0\0\0mif1avif") + box(b"meta", bytes(200)) + MDAT,
        formats.AVIF,
    ),
    ("TS", packets(60), formats.TS),
    ("TS of one packet", packets(1), formats.TS),
    ("TS behind garbage", GARBAGE + packets(60), formats.TS),
    ("TS behind much garbage", GARBAGE * 15 + packets(60), formats.TS),
    ("TS behind ID3", ID3_LARGE + packets(60), formats.TS),
    ("TS with 204 bytes a packet", TS_204, formats.TS),
    ("TS with bytes that slipped in", packets(40) + b"\x00\x01\x02" + packets(40), formats.TS),
    ("PS", (PS_PACK + PES) * 20, formats.PS),
    ("PS with an end code", (PS_PACK + PES) * 20 + b"\x00\x00\x01\xb9", formats.PS),
    ("PS padded with zeros", (PS_PACK + PES) * 20 + bytes(5000), formats.PS),
    ("PS without packs", PES * 20, formats.PS),
    ("PS without packs, sound first", (AUDIO_PES + PES) * 10, formats.PS),
    ("PS behind a recorder's header", b"IMKH" + NOISE[:36] + (PS_PACK + PES) * 20, formats.PS),
    (
        "a Video CD's track",
        b"RIFF" + bytes(4) + b"CDXAfmt " + bytes(28) + (b"\0" + b"\xff" * 10 + b"\0" + NOISE[:2340]) * 5,
        formats.VCD,
    ),
    ("MP3", MP3 * 300, formats.MP3),
    ("MP3 behind a large ID3 tag", ID3_LARGE + MP3 * 300, formats.MP3),
    ("MP3 behind zeros", bytes(3000) + MP3 * 300, formats.MP3),
    ("MP3 with tags at its end", MP3 * 300 + APE_TAG + ID3V1, formats.MP3),
    (
        "MP3 with a large tag at its end",
        MP3 * 300
        + NOISE[:90_000]
        + b"APETAGEX"
        + (2000).to_bytes(4, "little")
        + (90_032).to_bytes(4, "little")
        + bytes(16),
        formats.MP3,
    ),
    ("AAC", ADTS * 300, formats.ADTS),
    ("AAC behind ID3", ID3_LARGE + ADTS * 300, formats.ADTS),
    ("AC-3", AC3 * 100, formats.AC3),
    ("AMR", b"#!AMR\n" + (b"\x3c" + bytes(31)) * 50, formats.AMR),
    ("AMR with silence", b"#!AMR\n" + (b"\x3c" + bytes(31) + b"\x44" + bytes(5) + b"\x7c") * 50, formats.AMR),
    ("AMR-WB", b"#!AMR-WB\n" + (b"\x04" + bytes(17)) * 50, formats.AMR_WB),
    (
        "WAV with odd chunks, unpadded",
        b"RIFF" + bytes(4) + b"WAVELIST\x05\0\0\0INFO1data\x00\x02\0\0" + NOISE[:512],
        formats.WAV,
    ),
    (
        "WAV with a chunk behind the sound",
        b"RIFF" + bytes(4) + b"WAVEdata\x00\x02\0\0" + NOISE[:512] + b"LIST\x04\0\0\0INFO",
        formats.WAV,
    ),
    (
        "AVI whose length counts its header",
        b"RIFF" + (536).to_bytes(4, "little") + b"AVI LIST\x04\x02\0\0movi" + NOISE[:512],
        formats.AVI,
    ),
    ("CAF", b"caff\x00\x01\x00\x00data" + (500).to_bytes(8, "big") + NOISE[:500], formats.CAF),
    ("SWF", b"FWS\x0a" + (500).to_bytes(4, "little") + NOISE[:492], formats.SWF),
    ("GIF padded with zeros", b"GIF89a" + NOISE[:400] + b";\0\0\0", formats.GIF),
    ("DSF", b"DSD \x1c" + bytes(7) + (528).to_bytes(8, "little") + bytes(8) + NOISE[:500], formats.DSF),
]


@pytest.mark.parametrize(("data", "kind"), [(d, k) for _, d, k in WHOLE], ids=[name for name, _, _ in WHOLE])
def test_a_whole_file_is_told_and_its_end_proven(data: bytes, kind: Format) -> None:
    seen = look(data)

    assert seen.found == kind
    assert seen.end is not None
    assert seen.end.ending is Ending.COMPLETE, seen.end


NAL = b"\x00\x00\x00\x01"
NO_END: list[tuple[str, bytes, Format]] = [
    ("H.264", NAL + b"\x67\x64\x00\x1f" + NOISE[:300], formats.H264),
    ("H.264 behind a delimiter", NAL + b"\x09\xf0" + NAL + b"\x27\x42\xe0\x1f" + NOISE[:300], formats.H264),
    ("H.264 with short start codes", b"\x00\x00\x01\x67\x4d\x40" + NOISE[:300], formats.H264),
    (
        "H.264 behind SEI",
        NAL + b"\x06\x05\x10" + bytes([3] * 16) + b"\x80" + NAL + b"\x67\x42\xc0" + NOISE[:300],
        formats.H264,
    ),
    ("H.265", NAL + b"\x40\x01\x0c\x01" + NOISE[:9] + NAL + b"\x42\x01\x01" + NOISE[:300], formats.H265),
    (
        "H.265 behind a delimiter",
        NAL + b"\x46\x01\x50" + NAL + b"\x40\x01\x0c" + NAL + b"\x42\x01\x01" + NOISE[:300],
        formats.H265,
    ),
    ("MPEG-2 video", b"\x00\x00\x01\xb3\x16\x01\x20\x13" + NOISE[:300], formats.MPEG_VIDEO),
    ("MPEG-4 Visual", b"\x00\x00\x01\xb0\xf5\x00\x00\x01\xb5" + NOISE[:300], formats.MPEG4_VIDEO),
    ("MPEG-4 Visual, a layer first", b"\x00\x00\x01\x00\x00\x00\x01\x20" + NOISE[:300], formats.MPEG4_VIDEO),
    ("VC-1", b"\x00\x00\x01\x0f\xc0" + NOISE[:300], formats.VC1),
    ("SWF, compressed", b"CWS\x0a" + (5000).to_bytes(4, "little") + NOISE[:492], formats.SWF),
    ("RealAudio", b".ra\xfd\x00\x04" + NOISE[:300], formats.REAL_AUDIO),
    ("Monkey's Audio", b"MAC \x96\x0f" + NOISE[:300], formats.APE),
    ("AU of unknown length", b".snd\x00\x00\x00\x18\xff\xff\xff\xff" + NOISE[:300], formats.AU),
]


@pytest.mark.parametrize(("data", "kind"), [(d, k) for _, d, k in NO_END], ids=[name for name, _, _ in NO_END])
def test_a_format_without_an_end_of_its_own_is_told_too(data: bytes, kind: Format) -> None:
    seen = look(data)

    assert seen.found == kind
    assert seen.end is not None
    assert seen.end.ending is Ending.OPEN


CUT: list[tuple[str, bytes]] = [
    ("ftyp alone", FTYP + bytes(200)),
    ("ftyp and zeros", FTYP + bytes(100_000)),
    ("ftyp and free", FTYP + box(b"free", bytes(1000))),
    ("moov missing", FTYP + MDAT),
    ("mdat missing", FTYP + MOOV + box(b"free", bytes(200))),
    ("mdat longer than the file", (FTYP + MOOV + MDAT)[:-1]),
    ("mdat of 64 bits longer than the file", (FTYP + MOOV + large(b"mdat", NOISE))[:-1]),
    ("moov longer than the file", (FTYP + MDAT + MOOV)[:-1]),
    ("a box's header is cut", (FTYP + MOOV + MDAT + box(b"free", bytes(90)))[:-94]),
    ("the last sample is cut", FTYP + movie(START, [1000, 1000, 1000]) + to_the_end(b"mdat", NOISE[:2999])),
    ("the last chunk is missing", FTYP + movie(10**6, [10]) + MDAT),
    ("the last fragment is cut", (FTYP + MOOV + (box(b"moof", bytes(80)) + MDAT) * 3)[:-1]),
    ("the last of many fragments is cut", (FTYP + MOOV + (box(b"moof", bytes(80)) + MDAT) * 500)[:-1]),
    ("a fragment without its data", FTYP + MOOV + (box(b"moof", bytes(80)) + MDAT) * 3 + box(b"moof", bytes(80))),
    ("half a packet", packets(60)[:-94]),
    ("half a packet of 204 bytes", TS_204[:-100]),
    ("packets, then zeros", packets(60) + bytes(20_000)),
    ("half a PES packet", ((PS_PACK + PES) * 20)[:-500]),
    ("half a pack header", ((PS_PACK + PES) * 20) + PS_PACK[:9]),
    ("half an MP3 frame", (MP3 * 300)[:-1]),
    ("half an MP3 frame's header", MP3 * 300 + MP3[:2]),
    ("MP3, then zeros", MP3 * 300 + bytes(100_000)),
    ("half an AMR frame", b"#!AMR\n" + (b"\x3c" + bytes(31)) * 50 + b"\x3c"),
    ("half a sector", (b"RIFF" + bytes(4) + b"CDXAfmt " + bytes(28) + bytes([0, *[255] * 10]) + NOISE[:5000])),
    ("SWF", b"FWS\x0a" + (501).to_bytes(4, "little") + NOISE[:492]),
    ("GIF", b"GIF89a" + NOISE[:400] + b"\x01"),
    ("raw video that ends in zeros", NAL + b"\x67\x64\x00\x1f" + NOISE[:5000] + bytes(5000)),
]


@pytest.mark.parametrize("data", [d for _, d in CUT], ids=[name for name, _ in CUT])
def test_a_cut_file_is_told_and_why_is_said(data: bytes) -> None:
    seen = look(data)

    assert isinstance(seen.found, Format)
    assert seen.end is not None
    assert seen.end.ending is Ending.CUT, seen
    assert seen.end.why


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-VERSION:3\n",
        "\ufeff#EXTM3U\r\n",
        "\n\n#EXTM3U\n",
        "# recorded by a camera\n#EXTM3U\n#EXTINF:2,\na.ts\n",
        "#EXTM3U",
        '#EXTM3U x-tvg-url=""\n#EXTINF:-1,\nhttp://a.example/b\n',
    ],
)
def test_a_playlist_is_told_by_its_first_tag(text: str) -> None:
    assert identify(text.encode(), len(text.encode())) == formats.HLS


@pytest.mark.parametrize("text", ["#EXTM3U8PLUS\n", "EXTM3U\n", "# EXTM3U\n", "x\n#EXTM3U\n", "<html>#EXTM3U"])
def test_other_text_is_no_playlist(text: str) -> None:
    found = identify(text.encode().ljust(200), 200)

    assert found is not None
    assert found != formats.HLS


def test_every_extension_and_type_is_a_pair_that_the_family_fits() -> None:
    for kind in formats.ALL:
        major = kind.content_type.partition("/")[0]
        expected = {Family.SUBTITLES: ("text", "application"), Family.PLAYLIST: ("application",)}.get(kind.family)
        assert major in (expected or (kind.family.value, "application")), kind
        assert kind.extension.startswith(".")
        assert kind.end
