"""What is said of a file's end, word by word: files made by hand, whole, cut, and of writers that left things out."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest
from clipferry.transfer.media import End, Ending, Format, formats

from tests.unit.transfer.media.test_formats import (
    FTYP,
    GARBAGE,
    MDAT,
    MOOV,
    PES,
    PS_PACK,
    START,
    TS_204,
    movie,
    to_the_end,
)
from tests.unit.transfer.media.test_inspect import AC3, ADTS, MP3, box, packets
from tests.unit.transfer.media.test_real_files import look

NOISE = random.Random(11).randbytes(100_000).replace(b"\x00", b"\x01")


class Told(NamedTuple):
    name: str
    data: bytes
    kind: Format
    ending: Ending
    why: str = ""


WHOLE, OPEN = Ending.COMPLETE, Ending.OPEN


def cut(name: str, data: bytes, kind: Format, why: str) -> Told:
    return Told(name, data, kind, Ending.CUT, why)


def unproven(name: str, data: bytes, kind: Format, why: str) -> Told:
    return Told(name, data, kind, Ending.UNPROVEN, why)


def check(told: Told) -> None:
    seen = look(told.data)
    assert (seen.found, seen.end) == (told.kind, End(told.ending, told.why))


# -- Matroska ----------------------------------------------------------------------------------------------------------


def element(id_: int, content: bytes, length: int | None = 0) -> bytes:
    """`length`: what its header says; None: that nobody knows."""
    size = b"\x01" + (length or len(content)).to_bytes(7, "big") if length is not None else b"\x01" + b"\xff" * 7
    return id_.to_bytes((id_.bit_length() + 7) // 8, "big") + size + content


EBML, SEGMENT, CLUSTER, TRACKS, TRACK, TYPE, VOID = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE, 0x83, 0xEC
DOC, WEBM_DOC = element(EBML, b"\x42\x82\x88matroska"), element(EBML, b"\x42\x82\x84webm")
BLOCKS = element(CLUSTER, element(0xE7, b"\x01") + element(0xA3, NOISE[:200]))


def tracks(*types: int) -> bytes:
    return element(TRACKS, b"".join(element(TRACK, element(0xD7, b"\x01") + element(TYPE, bytes([t]))) for t in types))


LIVE = element(CLUSTER, element(0xE7, b"\x01") + element(0xA3, NOISE[:200]), None)
MATROSKA = [
    Told("video and sound", DOC + element(SEGMENT, tracks(1, 2) + BLOCKS), formats.MKV, WHOLE),
    Told("sound", DOC + element(SEGMENT, tracks(2) + BLOCKS), formats.MKA, WHOLE),
    Told("subtitles", DOC + element(SEGMENT, tracks(17) + BLOCKS), formats.MKV, WHOLE),
    Told("WebM", WEBM_DOC + element(SEGMENT, tracks(2, 1) + BLOCKS), formats.WEBM, WHOLE),
    Told("WebM, sound", WEBM_DOC + element(SEGMENT, tracks(2) + BLOCKS), formats.WEBM_AUDIO, WHOLE),
    Told("clusters before tracks", DOC + element(SEGMENT, BLOCKS + tracks(2)), formats.MKV, WHOLE),
    Told("behind a void", DOC + element(VOID, bytes(9)) + element(SEGMENT, tracks(2) + BLOCKS), formats.MKV, WHOLE),
    Told("behind a checksum", DOC + element(0xBF, bytes(4)) + element(SEGMENT, BLOCKS), formats.MKV, WHOLE),
    Told("something behind the segment", DOC + element(SEGMENT, tracks(1) + BLOCKS) + NOISE[:99], formats.MKV, WHOLE),
    cut(
        "the segment is cut",
        (DOC + element(SEGMENT, tracks(1) + BLOCKS))[:-7],
        formats.MKV,
        "ends 7 bytes before its segment does",
    ),
    cut("no segment", DOC + NOISE[:200], formats.MKV, "has no segment"),
    Told("no length", DOC + element(SEGMENT, tracks(1) + BLOCKS * 3, None), formats.MKV, WHOLE),
    Told("no length, many clusters", DOC + element(SEGMENT, tracks(1) + BLOCKS * 99, None), formats.MKV, WHOLE),
    Told("a live recording", DOC + element(SEGMENT, tracks(1) + LIVE * 3, None), formats.MKV, WHOLE),
    cut(
        "no length, cut",
        (DOC + element(SEGMENT, tracks(1) + BLOCKS * 3, None))[:-5],
        formats.MKV,
        "ends 5 bytes before its last cluster does",
    ),
    cut(
        "no length, many clusters, cut",
        (DOC + element(SEGMENT, tracks(1) + BLOCKS * 99, None))[:-5],
        formats.MKV,
        "ends inside its last cluster",
    ),
    cut(
        "a live recording, cut",
        (DOC + element(SEGMENT, tracks(1) + LIVE * 3, None))[:-5],
        formats.MKV,
        "ends inside its last cluster",
    ),
    cut(
        "a live recording, cut in a header",
        (DOC + element(SEGMENT, tracks(1) + LIVE * 3, None))[:-204],
        formats.MKV,
        "ends inside its last cluster",
    ),
    cut("no length, no cluster", DOC + element(SEGMENT, tracks(1, 2, 3, 4), None), formats.MKV, "has no media data"),
    cut(
        "no length, nothing known",
        DOC + element(SEGMENT, element(0x77, NOISE[:200]), None),
        formats.MKV,
        "has no media data",
    ),
    cut(
        "no length, something behind",
        DOC + element(SEGMENT, BLOCKS, None) + element(0x77, b"a"),
        formats.MKV,
        f"has something unreadable at byte {len(DOC) + 12 + len(BLOCKS)}",
    ),
    unproven(
        "a live recording, then noise",
        DOC + element(SEGMENT, LIVE * 3, None) + b"\x05" * 300,
        formats.MKV,
        "has no cluster in its last bytes",
    ),
]

# -- Ogg ---------------------------------------------------------------------------------------------------------------


def page(flags: int, content: bytes, serial: int = 7) -> bytes:
    """A page of one packet."""
    lacing = bytes([255] * (len(content) // 255) + [len(content) % 255])
    header = b"OggS\x00" + bytes([flags]) + bytes(8) + serial.to_bytes(4, "little") + bytes(8)
    return header + bytes([len(lacing)]) + lacing + content


VORBIS, OPUS, THEORA = page(2, b"\x01vorbis" + bytes(23)), page(2, b"OpusHead" + bytes(11)), page(2, b"\x80theora!")
OGG = [
    Told("Vorbis", VORBIS + page(0, NOISE[:500]) + page(4, NOISE[:300]), formats.OGG, WHOLE),
    Told("Opus", OPUS + page(0, NOISE[:500]) + page(4, NOISE[:300]), formats.OPUS, WHOLE),
    Told(
        "Theora and Vorbis",
        VORBIS + page(2, b"\x80theora!", 8) + page(4, NOISE[:300]) + page(4, NOISE[:300], 8),
        formats.OGV,
        WHOLE,
    ),
    Told("Theora, later", VORBIS + page(0, NOISE[:300]) + page(4, b"\x80theora!"), formats.OGG, WHOLE),
    Told("a tag behind", VORBIS + page(4, NOISE[:300]) + b"TAG" + bytes(125), formats.OGG, WHOLE),
    cut("cut", (VORBIS + page(0, NOISE[:500]) + page(4, NOISE[:300]))[:-1], formats.OGG, "ends inside its last page"),
    cut(
        "cut in a header",
        (VORBIS + page(0, NOISE[:500]) + page(4, NOISE[:300]))[:-320],
        formats.OGG,
        "ends inside its last page",
    ),
    cut("cut in a mark", VORBIS + page(4, NOISE[:300]) + b"Ogg", formats.OGG, "ends inside its last page"),
    cut("no whole page", page(2, b"\x01vorbis" + NOISE[:900])[:-1], formats.OGG, "ends inside its last page"),
    unproven(
        "not the last page",
        VORBIS + page(0, NOISE[:500]),
        formats.OGG,
        "ends with a page that is not marked as the last",
    ),
    unproven(
        "one of two streams goes on",
        VORBIS + page(2, b"\x80theora!", 8) + page(0, NOISE[:300]) + page(4, NOISE[:300], 8),
        formats.OGV,
        "ends with a page that is not marked as the last",
    ),
]

# -- FLV ---------------------------------------------------------------------------------------------------------------

FLV_HEAD = b"FLV\x01\x05\x00\x00\x00\x09" + bytes(4)


def tag(kind: int, content: bytes, behind: int | None = None) -> bytes:
    header = bytes([kind]) + len(content).to_bytes(3, "big") + b"\x00\x00\x28\x00" + bytes(3)
    return header + content + (11 + len(content) if behind is None else behind).to_bytes(4, "big")


TAGS = tag(18, NOISE[:90]) + tag(9, NOISE[:400]) + tag(8, NOISE[:50])
LARGE_TAG = tag(9, NOISE * 11)
FLV = [
    Told("FLV", FLV_HEAD + TAGS, formats.FLV, WHOLE),
    Told("FLV, encrypted", FLV_HEAD + tag(0x29, NOISE[:400]), formats.FLV, WHOLE),
    Told("FLV, lengths without headers", FLV_HEAD + tag(9, NOISE[:400], 400), formats.FLV, WHOLE),
    Told("FLV, without lengths", FLV_HEAD + tag(9, NOISE[:400], 0) * 3, formats.FLV, WHOLE),
    Told("FLV, a large tag", FLV_HEAD + LARGE_TAG, formats.FLV, WHOLE),
    cut("FLV, then zeros", FLV_HEAD + TAGS + bytes(50), formats.FLV, "ends inside its last tag"),
    cut("FLV, cut", (FLV_HEAD + TAGS)[:-1], formats.FLV, "ends inside its last tag"),
    cut("FLV, cut in a tag", (FLV_HEAD + TAGS)[:-30], formats.FLV, "ends inside its last tag"),
    cut("FLV, something behind", FLV_HEAD + TAGS + NOISE[:100], formats.FLV, "ends inside its last tag"),
    cut("FLV, a long one", (FLV_HEAD + TAGS * 2000)[:-1], formats.FLV, "ends inside its last tag"),
    unproven(
        "FLV, no tag for long",
        FLV_HEAD + TAGS + NOISE * 11,
        formats.FLV,
        "has no tag in its last bytes",
    ),
]

# -- chunks ------------------------------------------------------------------------------------------------------------


def riff(form: bytes, chunks: bytes, length: int | None = None, name: bytes = b"RIFF") -> bytes:
    return name + (len(chunks) + 4 if length is None else length).to_bytes(4, "little") + form + chunks


def chunk(name: bytes, content: bytes, length: int | None = None) -> bytes:
    return name + (len(content) if length is None else length).to_bytes(4, "little") + content


def aiff(name: bytes, content: bytes, length: int | None = None) -> bytes:
    return name + (len(content) if length is None else length).to_bytes(4, "big") + content


FMT = chunk(b"fmt ", bytes(16))
SOUND = chunk(b"data", NOISE[:400])
MOVI = chunk(b"LIST", b"movi" + NOISE[:400])
UNKNOWN = "does not say how long its media data are"
DS64 = chunk(b"ds64", bytes(8) + (400).to_bytes(8, "little") + bytes(12))
FORM = b"FORM\x00\x00\x10\x00AIFF"
CAFF = b"caff\x00\x01\x00\x00"
CHUNKS = [
    Told("WAV", riff(b"WAVE", FMT + SOUND), formats.WAV, WHOLE),
    Told("WAV, padded", riff(b"WAVE", FMT + chunk(b"LIST", b"INFOa") + b"\x00" + SOUND), formats.WAV, WHOLE),
    Told("WAV, wrong outer length", riff(b"WAVE", FMT + SOUND, 9_000_000), formats.WAV, WHOLE),
    Told(
        "RF64",
        riff(b"WAVE", DS64 + FMT + chunk(b"data", NOISE[:400], 2**32 - 1), 2**32 - 1, b"RF64"),
        formats.WAV,
        WHOLE,
    ),
    cut(
        "RF64, cut",
        riff(b"WAVE", DS64 + FMT + chunk(b"data", NOISE[:397], 2**32 - 1), 2**32 - 1, b"BW64"),
        formats.WAV,
        "ends 3 bytes before its last part does",
    ),
    cut("WAV, cut", riff(b"WAVE", FMT + SOUND)[:-9], formats.WAV, "ends 9 bytes before its last part does"),
    cut("WAV, no sound", riff(b"WAVE", FMT + chunk(b"LIST", b"INFO" + bytes(200))), formats.WAV, "has no media data"),
    unproven("WAV, piped", riff(b"WAVE", FMT + chunk(b"data", NOISE[:400], 0)), formats.WAV, UNKNOWN),
    unproven("WAV, piped, largest", riff(b"WAVE", FMT + chunk(b"data", NOISE[:400], 2**32 - 1)), formats.WAV, UNKNOWN),
    unproven("WAV, piped, 2 GB", riff(b"WAVE", FMT + chunk(b"data", NOISE[:400], 0x7FFFF000)), formats.WAV, UNKNOWN),
    unproven(
        "WAV, noise in place of sound",
        riff(b"WAVE", FMT + b"\x05" * 200),
        formats.WAV,
        f"has something unreadable at byte {12 + len(FMT)}",
    ),
    Told("AVI", riff(b"AVI ", chunk(b"LIST", b"hdrl" + bytes(60)) + MOVI), formats.AVI, WHOLE),
    Told("AMV", riff(b"AMV ", MOVI), formats.AVI, WHOLE),
    Told("AVI of two parts", riff(b"AVI ", MOVI) + riff(b"AVIX", MOVI), formats.AVI, WHOLE),
    Told("AVI, length 8 too high", riff(b"AVI ", MOVI, len(MOVI) + 12), formats.AVI, WHOLE),
    Told("AVI, zeros behind", riff(b"AVI ", MOVI) + bytes(40), formats.AVI, WHOLE),
    cut(
        "AVI, its index missing",
        riff(b"AVI ", MOVI, len(MOVI) + 13),
        formats.AVI,
        f"has {len(MOVI) + 12} bytes, by its header {len(MOVI) + 21}",
    ),
    Told("AIFF", FORM + aiff(b"COMM", bytes(18)) + aiff(b"SSND", NOISE[:400]), formats.AIFF, WHOLE),
    Told(
        "AIFF-C",
        FORM[:8] + b"AIFC" + aiff(b"SSND", NOISE[:401]) + b"\x00" + aiff(b"NAME", b"ab"),
        formats.AIFF,
        WHOLE,
    ),
    cut("AIFF, cut", (FORM + aiff(b"SSND", NOISE[:400]))[:-2], formats.AIFF, "ends 2 bytes before its last part does"),
    cut(
        "AIFF, cut early",
        FORM + aiff(b"SSND", NOISE[:400], 0x01000190),
        formats.AIFF,
        f"ends {1 << 24} bytes before its last part does",
    ),
    Told("AIFF of one byte", FORM + aiff(b"COMM", bytes(120)) + aiff(b"SSND", bytes(9)), formats.AIFF, WHOLE),
    unproven(
        "CAF, a length that cannot be",
        CAFF + b"data\x01" + (400).to_bytes(7, "big") + NOISE[:400],
        formats.CAF,
        UNKNOWN,
    ),
    unproven("AIFF, piped", FORM + aiff(b"SSND", NOISE[:400], 8), formats.AIFF, UNKNOWN),
    unproven("CAF, piped", CAFF + b"data" + b"\xff" * 8 + NOISE[:400], formats.CAF, UNKNOWN),
    cut(
        "CAF, cut",
        CAFF + b"desc" + (32).to_bytes(8, "big") + bytes(32) + b"data" + (400).to_bytes(8, "big") + NOISE[:399],
        formats.CAF,
        "ends 1 bytes before its last part does",
    ),
]


def rm(name: bytes, content: bytes, length: int | None = None) -> bytes:
    return name + (8 + len(content) if length is None else length).to_bytes(4, "big") + content


def real(highest: int, average: int, *parts: bytes) -> bytes:
    rates = bytes(2) + highest.to_bytes(4, "big") + average.to_bytes(4, "big")
    return rm(b".RMF", b"\x00\x00" + bytes(8)) + rm(b"PROP", rates + bytes(32)) + b"".join(parts)


def asf(guid: str, content: bytes, length: int | None = None) -> bytes:
    return bytes.fromhex(guid) + (24 + len(content) if length is None else length).to_bytes(8, "little") + content


ASF_HEAD, ASF_DATA = "3026b2758e66cf11a6d900aa0062ce6c", "3626b2758e66cf11a6d900aa0062ce6c"
ASF_STREAM = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365") + (40).to_bytes(8, "little")
SOUND_STREAM = ASF_STREAM + bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
VIDEO_STREAM = ASF_STREAM + bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
OBJECTS = [
    Told("RealMedia", real(5, 5, rm(b"DATA", NOISE[:400])), formats.RM, WHOLE),
    Told("RealMedia, variable", real(6, 5, rm(b"DATA", NOISE[:400])), formats.RMVB, WHOLE),
    Told("RealMedia, 18 bytes short", real(5, 5, rm(b"DATA", NOISE[:400], 426)), formats.RM, WHOLE),
    cut(
        "RealMedia, cut",
        real(5, 5, rm(b"DATA", NOISE[:400], 427)),
        formats.RM,
        "ends 19 bytes before its last part does",
    ),
    unproven("RealMedia, piped", real(5, 5, rm(b"DATA", NOISE[:400], 18)), formats.RM, UNKNOWN),
    Told("WMV", asf(ASF_HEAD, bytes(6) + SOUND_STREAM + VIDEO_STREAM) + asf(ASF_DATA, NOISE[:400]), formats.WMV, WHOLE),
    Told("WMA", asf(ASF_HEAD, bytes(6) + SOUND_STREAM) + asf(ASF_DATA, NOISE[:400]), formats.WMA, WHOLE),
    Told("ASF of neither", asf(ASF_HEAD, bytes(66)) + asf(ASF_DATA, NOISE[:400]), formats.WMV, WHOLE),
    cut(
        "WMA, cut",
        (asf(ASF_HEAD, bytes(6) + SOUND_STREAM) + asf(ASF_DATA, NOISE[:400]))[:-4],
        formats.WMA,
        "ends 4 bytes before its last part does",
    ),
    unproven("ASF, live", asf(ASF_HEAD, bytes(66)) + asf(ASF_DATA, bytes(400), 50), formats.WMV, UNKNOWN),
    cut("ASF, header alone", asf(ASF_HEAD, bytes(200)), formats.WMV, "has no media data"),
]

# -- others ------------------------------------------------------------------------------------------------------------

MXF_KEY = bytes.fromhex("060e2b34020501010d01020101")


def mxf(footer: int, behind: bytes) -> bytes:
    """A header partition pack, with where the footer begins, and what comes behind it."""
    value = bytes(24) + footer.to_bytes(8, "big") + bytes(56)
    return MXF_KEY + b"\x02\x04\x00" + b"\x83" + len(value).to_bytes(3, "big") + value + behind


def klv(content: bytes) -> bytes:
    return MXF_KEY + b"\x04\x04\x00" + b"\x83" + len(content).to_bytes(3, "big") + content


INDEX = bytes.fromhex("060e2b34020501010d01020101110100") + b"\x83\x00\x00\x10" + bytes(12) + (36).to_bytes(4, "big")
FOOTER = len(mxf(0, NOISE[:300]))
OTHERS = [
    Told("MXF with a footer", mxf(FOOTER, NOISE[:300] + klv(bytes(40)) + klv(bytes(9))), formats.MXF, WHOLE),
    Told("MXF with an index", mxf(0, NOISE[:300] + INDEX), formats.MXF, WHOLE),
    cut(
        "MXF, cut before the footer",
        mxf(FOOTER, NOISE[:300]),
        formats.MXF,
        f"ends before its footer, which is at byte {FOOTER}",
    ),
    cut(
        "MXF, cut in the footer",
        mxf(FOOTER, NOISE[:300] + klv(bytes(40)))[:-6],
        formats.MXF,
        "ends 6 bytes before its last packet does",
    ),
    cut(
        "MXF, no packet in the footer",
        mxf(FOOTER, NOISE[:350]),
        formats.MXF,
        f"has something that is no packet at byte {FOOTER}",
    ),
    unproven(
        "MXF, a long footer",
        mxf(FOOTER, NOISE[:300] + klv(bytes(4)) * 65),
        formats.MXF,
        "has more packets in its footer than are looked at",
    ),
    unproven("MXF, neither", mxf(0, NOISE[:300]), formats.MXF, "has neither a footer nor an index at its end"),
    Told("PNG", b"\x89PNG\r\n\x1a\n" + NOISE[:400] + b"\x00\x00\x00\x00IEND\xaeB`\x82", formats.PNG, WHOLE),
    cut(
        "PNG, cut",
        b"\x89PNG\r\n\x1a\n" + NOISE[:400] + b"\x00\x00\x00\x00IEND\xaeB`",
        formats.PNG,
        "ends before its last mark",
    ),
    cut("GIF, cut", b"GIF87a" + NOISE[:400] + b"\x01", formats.GIF, "ends before its last mark"),
    cut(
        "SWF, cut",
        b"FWS\x0a" + (501).to_bytes(4, "little") + NOISE[:492],
        formats.SWF,
        "has 500 bytes, by its header 501",
    ),
    Told("SWF of LZMA", b"ZWS\x0d" + (501).to_bytes(4, "little") + NOISE[:492], formats.SWF, OPEN),
    Told(
        "BMP",
        b"BM" + (300).to_bytes(4, "little") + bytes(8) + (40).to_bytes(4, "little") + NOISE[:282],
        formats.BMP,
        WHOLE,
    ),
    cut(
        "BMP, cut",
        b"BM" + (301).to_bytes(4, "little") + bytes(8) + (40).to_bytes(4, "little") + NOISE[:282],
        formats.BMP,
        "has 300 bytes, by its header 301",
    ),
    Told("WebP", riff(b"WEBP", NOISE[:400]), formats.WEBP, WHOLE),
    cut("WebP, cut", riff(b"WEBP", NOISE[:400])[:-1], formats.WEBP, "has 411 bytes, by its header 412"),
    Told(
        "AU", b".snd" + (24).to_bytes(4, "big") + (400).to_bytes(4, "big") + bytes(12) + NOISE[:400], formats.AU, WHOLE
    ),
    cut(
        "AU, cut",
        b".snd" + (24).to_bytes(4, "big") + (401).to_bytes(4, "big") + bytes(12) + NOISE[:400],
        formats.AU,
        "has 424 bytes, by its header 425",
    ),
    cut(
        "DSF, cut",
        b"DSD \x1c" + bytes(7) + (529).to_bytes(8, "little") + bytes(8) + NOISE[:500],
        formats.DSF,
        "has 528 bytes, by its header 529",
    ),
    Told(
        "Wave64",
        bytes.fromhex("726966662e91cf11a5d628db04c10000") + (424).to_bytes(8, "little") + NOISE[:400],
        formats.W64,
        WHOLE,
    ),
    cut(
        "Wave64, cut",
        bytes.fromhex("726966662e91cf11a5d628db04c10000") + (425).to_bytes(8, "little") + NOISE[:400],
        formats.W64,
        "has 424 bytes, by its header 425",
    ),
    unproven(
        "AMR, long",
        b"#!AMR\n" + (b"\x3c" + bytes(31)) * 524_288,
        formats.AMR,
        "is too long to be looked at frame by frame",
    ),
    cut("AMR, cut", b"#!AMR\n" + (b"\x3c" + bytes(31)) * 50 + b"\x3c", formats.AMR, "ends inside its last frame"),
    unproven(
        "AMR, noise",
        b"#!AMR\n" + (b"\x3c" + bytes(31)) * 50 + b"\xff" * 40,
        formats.AMR,
        "has something that is no frame at byte 1606",
    ),
    unproven(
        "AMR-WB, no frame type",
        b"#!AMR-WB\n" + (b"\x04" + bytes(17)) * 50 + b"\x54" * 40,
        formats.AMR_WB,
        "has something that is no frame at byte 909",
    ),
    Told("DV", b"\x1f\x07\x00\x3f" + NOISE[:76] + b"\x3f" + NOISE[:70_000] + NOISE[:49_919], formats.DV, WHOLE),
    Told(
        "DV of 625 lines",
        b"\x1f\x07\x00\xbf" + NOISE[:76] + b"\x3f" + NOISE[:94_000] + NOISE[:49_919],
        formats.DV,
        WHOLE,
    ),
    cut(
        "DV, cut",
        b"\x1f\x07\x00\x3f" + NOISE[:76] + b"\x3f" + NOISE[:70_000] + NOISE[:49_918],
        formats.DV,
        "ends inside its last frame",
    ),
    Told(
        "JPEG",
        b"\xff\xd8\xff\xe0\x00\x10" + bytes(14) + b"\xff\xda\x00\x04ab" + b"a" * 200 + b"\xff\xd9",
        formats.JPEG,
        WHOLE,
    ),
    cut(
        "JPEG, cut",
        b"\xff\xd8\xff\xe0\x00\x10" + bytes(14) + b"\xff\xda\x00\x04ab" + b"a" * 200 + b"\xff",
        formats.JPEG,
        "ends inside its last image",
    ),
    Told(
        "Motion JPEG",
        (b"\xff\xd8\xff\xe0\x00\x10" + bytes(14) + b"\xff\xda\x00\x04ab" + b"a" * 200 + b"\xff\xd9") * 3,
        formats.MJPEG,
        WHOLE,
    ),
    cut(
        "Motion JPEG, cut",
        ((b"\xff\xd8\xff\xe0\x00\x10" + bytes(14) + b"\xff\xda\x00\x04ab" + b"a" * 200 + b"\xff\xd9") * 3)[:-1],
        formats.MJPEG,
        "ends inside its last image",
    ),
]

ALL = [*MATROSKA, *OGG, *FLV, *CHUNKS, *OBJECTS, *OTHERS]


@pytest.mark.parametrize("told", ALL, ids=[told.name for told in ALL])
def test_what_is_said_of_a_files_end(told: Told) -> None:
    check(told)


# -- ISO base media, streams, frames -----------------------------------------------------------------------------------

_FRAGMENT = box(b"moof", bytes(80)) + MDAT
_HAS_NO_MEDIA, _NO_MOOV = "has no media data", "has no moov box"


def sidx(size: int, *, wide: bool = False, offset: int = 0) -> bytes:
    """A segment index with one reference of `size` bytes, which begins `offset` bytes behind it."""
    times = bytes(8) + offset.to_bytes(8, "big") if wide else bytes(4) + offset.to_bytes(4, "big")
    head = bytes([1 if wide else 0]) + bytes(3) + bytes(8) + times + bytes(2) + b"\0\1"
    return box(b"sidx", head + size.to_bytes(4, "big") + bytes(8))


INDEXED = FTYP + MOOV + sidx(len(_FRAGMENT))
STREAMS = [
    cut("ftyp alone", FTYP + bytes(200), formats.MP4, _NO_MOOV),
    cut("moov missing", FTYP + MDAT, formats.MP4, _NO_MOOV),
    cut("mdat missing", FTYP + MOOV + box(b"free", bytes(200)), formats.MP4, _HAS_NO_MEDIA),
    cut(
        "mdat is cut",
        (FTYP + MOOV + MDAT)[:-5],
        formats.MP4,
        "ends inside its mdat box, 5 bytes before that box's end",
    ),
    cut(
        "moov is cut",
        (FTYP + MDAT + MOOV)[:-5],
        formats.MP4,
        "ends inside its moov box, 5 bytes before that box's end",
    ),
    cut("a header is cut", FTYP + MOOV + MDAT + b"\0\0\0\x50f", formats.MP4, "ends inside the header of a box"),
    cut(
        "a sample is cut",
        FTYP + movie(START, [1000, 1000, 1000]) + to_the_end(b"mdat", NOISE[:2999]),
        formats.MP4,
        f"ends at byte {START + 2999}, its last sample at byte {START + 3000}",
    ),
    cut(
        "no data behind a fragment",
        FTYP + MOOV + _FRAGMENT * 3 + box(b"moof", bytes(80)),
        formats.MP4,
        "ends behind the moof box of a fragment, without its media data",
    ),
    cut("many fragments, cut", (FTYP + MOOV + _FRAGMENT * 99)[:-1], formats.MP4, "ends inside its last fragment"),
    unproven(
        "many fragments, then others",
        FTYP + MOOV + _FRAGMENT * 99 + b"\x05" * 1_100_000,
        formats.MP4,
        "has no fragment in its last bytes",
    ),
    unproven(
        "a movie, then no boxes",
        FTYP + MOOV + MDAT + b"\x05" * 5000,
        formats.MP4,
        f"has something that is no box from byte {len(FTYP + MOOV + MDAT)} on",
    ),
    Told(
        "a movie, then a device's own box without an end",
        FTYP + movie(START, [1000, 1000, 1000]) + MDAT + b"\0\1\0\0gps0" + NOISE[:500],
        formats.MP4,
        WHOLE,
    ),
    cut(
        "a movie, then a known box without an end",
        FTYP + movie(START, [1000, 1000, 1000]) + MDAT + b"\0\0\2\0free" + bytes(500),
        formats.MP4,
        "ends inside its free box, 4 bytes before that box's end",
    ),
    cut(
        "no sample known, then a device's own box without an end",
        FTYP + MOOV + MDAT + b"\0\0\2\0gps0" + bytes(500),
        formats.MP4,
        "ends inside its gps0 box, 4 bytes before that box's end",
    ),
    Told("a movie, then eight bytes", FTYP + MOOV + MDAT + b"\0\0\0\7abcd", formats.MP4, WHOLE),
    Told("a movie, then little", FTYP + MOOV + MDAT + b"\x05" * 4096, formats.MP4, WHOLE),
    Told("an index", INDEXED + _FRAGMENT, formats.MP4, WHOLE),
    Told("a wide index", FTYP + MOOV + sidx(len(_FRAGMENT), wide=True) + _FRAGMENT, formats.MP4, WHOLE),
    cut(
        "the last fragment is missing by the index",
        FTYP + MOOV + sidx(len(_FRAGMENT) + 9) + _FRAGMENT,
        formats.MP4,
        f"ends at byte {len(INDEXED + _FRAGMENT)}, its last fragment at byte {len(INDEXED + _FRAGMENT) + 9}",
    ),
    cut(
        "the last fragment is missing by a wide index",
        FTYP + MOOV + sidx(len(_FRAGMENT), wide=True, offset=4) + _FRAGMENT,
        formats.MP4,
        f"ends at byte {len(INDEXED + _FRAGMENT) + 8}, its last fragment at byte {len(INDEXED + _FRAGMENT) + 12}",
    ),
    cut(
        "the last of many fragments is missing by the index",
        FTYP + MOOV + sidx(len(_FRAGMENT) * 100) + _FRAGMENT * 99,
        formats.MP4,
        f"ends at byte {len(INDEXED + _FRAGMENT * 99)}, its last fragment at byte {len(INDEXED + _FRAGMENT * 100)}",
    ),
    cut(
        "an image without data",
        box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", bytes(200)),
        formats.HEIC,
        "lacks its meta box or its image data",
    ),
    cut(
        "an image without meta",
        box(b"ftyp", b"avif\0\0\0\0mif1avif") + MDAT,
        formats.AVIF,
        "lacks its meta box or its image data",
    ),
    Told("an image sequence", box(b"ftyp", b"avis\0\0\0\0mif1avis") + MOOV + MDAT, formats.AVIF, WHOLE),
    Told("TS behind garbage", GARBAGE + packets(60), formats.TS, WHOLE),
    cut("TS, cut", packets(60)[:-94], formats.TS, "ends inside a packet of its transport stream"),
    cut("TS of 204, cut", TS_204[:-100], formats.TS, "ends inside a packet of its transport stream"),
    Told("TS, filled up", packets(60) + b"\xff" * 100, formats.TS, WHOLE),
    cut("TS, zeros", packets(60) + bytes(20_000), formats.TS, "has no packets of its transport stream at its end"),
    unproven(
        "TS, noise",
        packets(60) + b"\x05" * 20_000,
        formats.TS,
        "has no packets of its transport stream at its end",
    ),
    *(Told(f"TS of {n} packets", packets(n), formats.TS, WHOLE) for n in range(1, 8)),
    *(
        cut(f"TS of {n} packets, cut", packets(n)[:-1], formats.TS, "ends inside a packet of its transport stream")
        for n in range(3, 8)
    ),
    *(Told(f"M2TS of {n} packets", (bytes(4) + packets(1)) * n, formats.M2TS, WHOLE) for n in range(1, 8)),
    *(Told(f"TS of {n} packets of 204", (packets(1) + bytes(16)) * n, formats.TS, WHOLE) for n in range(2, 8)),
    Told("M2TS", b"".join(bytes(4) + packets(1) for _ in range(40)), formats.M2TS, WHOLE),
    cut(
        "M2TS, cut",
        b"".join(bytes(4) + packets(1) for _ in range(40))[:-9],
        formats.M2TS,
        "ends inside a packet of its transport stream",
    ),
    cut("PS, cut", ((PS_PACK + PES) * 20)[:-500], formats.PS, "ends 500 bytes before its last packet does"),
    cut("PS, cut in a header", (PS_PACK + PES) * 20 + PS_PACK[:9], formats.PS, "ends inside the header of a packet"),
    unproven("PS, noise", (PS_PACK + PES) * 20 + b"\x05" * 50, formats.PS, "ends in something that is no packet"),
    unproven("PS, much noise", (PS_PACK + PES) * 20 + b"\x05" * 300_000, formats.PS, "has no packet in its last bytes"),
    Told("PS, something between", (PS_PACK + PES) * 3 + b"\x05" * 50 + (PS_PACK + PES) * 3, formats.PS, WHOLE),
    Told("PS of MPEG-1", (b"\0\0\1\xba\x21" + bytes(7) + PES) * 9, formats.PS, WHOLE),
    cut("MP3, cut", (MP3 * 300)[:-1], formats.MP3, "ends inside its last audio frame"),
    cut("MP3, cut in a header", MP3 * 300 + MP3[:2], formats.MP3, "ends inside its last audio frame"),
    cut("MP3, zeros", MP3 * 300 + bytes(100_000), formats.MP3, "has no audio frames at its end"),
    unproven("MP3, noise", MP3 * 300 + b"\x05" * 100_000, formats.MP3, "has no audio frames at its end"),
    unproven("MP3, some noise", MP3 * 300 + b"\x05" * 100, formats.MP3, "ends in something that is no audio frame"),
    cut("AAC, cut", (ADTS * 300)[:-1], formats.ADTS, "ends inside its last audio frame"),
    cut("AC-3, cut", (AC3 * 30)[:-1], formats.AC3, "ends inside its last audio frame"),
    cut(
        "raw video, zeros",
        b"\0\0\0\1\x67\x64\x00\x1f" + NOISE[:5000] + bytes(5000),
        formats.H264,
        "ends in zeros",
    ),
    cut(
        "a Video CD, cut",
        b"RIFF" + bytes(4) + b"CDXAfmt " + bytes(28) + bytes([0, *[255] * 10]) + NOISE[:5000],
        formats.VCD,
        "ends inside a sector",
    ),
]


@pytest.mark.parametrize("told", STREAMS, ids=[told.name for told in STREAMS])
def test_what_is_said_of_a_streams_end(told: Told) -> None:
    check(told)
