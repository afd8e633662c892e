"""What is recognisably no media file, in whatever encoding it comes."""

from __future__ import annotations

import random

import pytest
from clipferry.transfer.media import NotMedia, describe, formats, identify

NOISE = random.Random(3).randbytes(5000)
PAGE = "<!DOCTYPE html>\n<html><head><title>403 Forbidden</title></head><body>拒绝访问</body></html>\n" * 3
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "gb18030"]


@pytest.mark.parametrize("encoding", [*ENCODINGS, "big5", "euc-kr", "shift_jis", "cp1251"])
@pytest.mark.parametrize(
    ("text", "what"),
    [
        (PAGE, "an HTML page"),
        ("\r\n  <HTML>\n<body>Service unavailable, please try again</body></HTML>" * 4, "an HTML page"),
        (
            "<?xml version='1.0'?>\n<!-- x -->\n<html xmlns='http://www.w3.org/1999/xhtml'><body/></html>" * 2,
            "an HTML page",
        ),
        ("<?xml version='1.0' encoding='UTF-8'?>\n<Error><Code>AccessDenied</Code></Error>" * 3, "an XML document"),
        ("<MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'><Period/></MPD>" * 3, "a DASH manifest"),
        ('{"code": 403, "message": "没有权限", "data": null}' * 4, "a JSON document"),
        ('[{"code": 403, "message": "denied"}]' * 4, "a JSON document"),
        ("<p dir=rtl>\u0639\u0630\u0631\u064b\u0627</p>\ufeff<p>\U0001f6ab</p>\n" * 5, "an XML document"),
        ("Access denied. The signature has expired.\n" * 4, "text"),
        (" \n\n" * 60, "blank text"),
    ],
)
def test_text_is_no_media_whatever_its_encoding(encoding: str, text: str, what: str) -> None:
    data = text.encode(encoding, "ignore")

    assert identify(data, len(data)) == NotMedia(what)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_text_without_a_single_latin_letter_is_text(encoding: str) -> None:
    data = ("您没有权限访问此文件。请稍后再试。" * 12).encode(encoding)

    assert identify(data, len(data)) == NotMedia("text")


@pytest.mark.parametrize("cut", range(1, 9))
def test_text_that_is_cut_inside_a_character_is_text(cut: int) -> None:
    data = ("您没有权限访问此文件。" * 500).encode()[: 4096 - cut]

    assert identify(data, 20_000) == NotMedia("text")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "an empty file"),
        (b"\x01\x02", "2 bytes"),
        (NOISE[:127], "127 bytes"),
        (bytes(5000), "zeros"),
        (b"\xff" * 5000, "one byte again and again (0xff)"),
        (b"PK\x03\x04" + NOISE, "a ZIP archive"),
        (b"\x1f\x8b\x08\x00" + NOISE, "gzip data"),
        (b"Rar!\x1a\x07\x01\x00" + NOISE, "a RAR archive"),
        (b"7z\xbc\xaf\x27\x1c" + NOISE, "a 7z archive"),
        (NOISE[:257] + b"ustar\x0000" + NOISE, "a tar archive"),
        (b"%PDF-1.7\n%\xe2\xe3" + NOISE, "a PDF document"),
        (b"\x7fELF\x02" + NOISE, "a program"),
        (b"MZ\x90\x00\x03" + NOISE, "a program"),
    ],
)
def test_other_bytes_are_named(data: bytes, what: str) -> None:
    assert identify(data, len(data)) == NotMedia(what)
    assert describe(data) == what


def test_a_few_bytes_of_a_format_are_no_file_of_it() -> None:
    head = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"

    assert identify(head, len(head)) == NotMedia("24 bytes")
    assert identify(head + b"\x00\x00\x00\x08moov", 100_000) == formats.MP4


@pytest.mark.parametrize(
    "data",
    [
        NOISE,
        b"\xff\xfe" + NOISE,
        b"\xef\xbb\xbf" + NOISE,
        b"\x80\x7f\x80\x80" * 500,
        b"\xff\xff\xff\xffftypmp42" + NOISE,
        b"\x00\x00\x00\x04ftyp" + NOISE,
        b"\x00\x00\x40\x00free" + NOISE,
        b"\x47" + NOISE,
        b"\xff\xfb\x90\x00" + NOISE,
        b"\x00\x00\x01\xba" + NOISE,
        b"\x1a\x45\xdf" + NOISE,
        b"\x00\x00\x00\x01\x65" + NOISE,
    ],
)
def test_bytes_that_only_begin_like_a_format_are_of_none(data: bytes) -> None:
    assert identify(data, len(data)) is None


def test_unknown_bytes_are_described_without_quoting_them() -> None:
    assert describe(NOISE) == "data in no format that is known here"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("<svg xmlns='http://www.w3.org/2000/svg'>", "an SVG image"),
        ("<?xml version='1.0'?><SmoothStreamingMedia MajorVersion='2'>", "a Smooth Streaming manifest"),
        ("<mpd:MPD xmlns:mpd='urn:mpeg:dash:schema:mpd:2011'>", "a DASH manifest"),
        ("<!DOCTYPE html>", "an HTML page"),
        ("<!--[if IE]>", "an HTML page"),
        ("<pre>Forbidden", "an HTML page"),
        ("<preface>", "an XML document"),
        ("<note><html>", "an HTML page"),
        ("<>", "an XML document"),
        ("  [1]", "a JSON document"),
        ("(1)", "text"),
    ],
)
def test_a_text_is_told_by_how_it_begins(text: str, what: str) -> None:
    assert identify(text.encode(), len(text.encode())) == NotMedia(what)
    assert describe(text.encode()) == what


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<tt xmlns='http://www.w3.org/ns/ttml'>", formats.TTML),
        ("<?xml version='1.0'?>\n<tt:tt xmlns:tt='http://www.w3.org/ns/ttml'>", formats.TTML),
        ("WEBVTT", formats.VTT),
        ("WEBVTT - title", formats.VTT),
        ("WEBVTT\t", formats.VTT),
        ("1\n00:00:01,000 --> 00:00:02,000\nHi", formats.SRT),
        ("\r\n12\r\n 1:00:01.0 --> 00:00:02,000\r\nHi", formats.SRT),
        ("\n" * 5 + "#EXTM3U", formats.HLS),
        ("# a\n" * 101 + "#EXTM3U", NotMedia("text")),
        ("# a\n" * 100 + "#EXTM3U", formats.HLS),
        ("WEBVTTX", NotMedia("text")),
        ("1\n00:00:01,000 -> 00:00:02,000", NotMedia("text")),
        ("1234567890\n00:00:01,000 --> 00:00:02,000", NotMedia("text")),
    ],
)
def test_subtitles_and_playlists_are_told_by_how_they_begin(text: str, kind: object) -> None:
    assert identify(text.encode(), len(text.encode())) == kind


@pytest.mark.parametrize(
    ("signature", "what"),
    [
        (b"PK\x05\x06", "a ZIP archive"),
        (b"BZh", "bzip2 data"),
        (b"\xfd7zXZ\x00", "xz data"),
        (b"\x28\xb5\x2f\xfd", "zstd data"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document"),
        (b"SQLite format 3\x00", "an SQLite database"),
    ],
)
def test_a_signature_is_looked_for_where_it_stands(signature: bytes, what: str) -> None:
    assert identify(signature + NOISE, 5000) == NotMedia(what)
    assert identify(b"\x01" + signature + NOISE, 5000) != NotMedia(what)


@pytest.mark.parametrize(("size", "what"), [(0, "an empty file"), (1, "1 bytes"), (127, "127 bytes"), (128, None)])
def test_a_file_of_less_than_a_frame_is_told_by_its_size(size: int, what: str | None) -> None:
    assert identify(NOISE[:size], size) == (NotMedia(what) if what else None)
