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
