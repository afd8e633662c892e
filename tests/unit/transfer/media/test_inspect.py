"""What a whole byte string is, such as a segment of an HLS video: its format, its type, and whether it is whole."""

from __future__ import annotations

import pytest
from clipferry.transfer.media import inspect


def box(kind: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def packets(count: int) -> bytes:
    return b"".join(b"\x47\x01\x00" + bytes([0x10 | n % 16]) + bytes([n]) * 184 for n in range(count))


ADTS = b"\xff\xf1\x50\x80\x06\x3f\xfc" + b"a" * 42  # 49 bytes
MP3 = b"\xff\xfb\x90\x00" + b"m" * 413  # 128 kbit/s at 44.1 kHz: 417 bytes
AC3 = b"\x0b\x77\x00\x00\x14\x40" + b"c" * 762  # 192 kbit/s at 48 kHz: 768 bytes
TAG = b"ID3\x04\x00\x00\x00\x00\x00\x3f" + b"\x00PRIV" + bytes(58)
MEDIA = box(b"styp", b"msdh") + box(b"moof", b"f" * 100) + box(b"mdat", b"d" * 200)
INIT = box(b"ftyp", b"iso5\x00\x00\x02\x00iso5") + box(b"moov", box(b"mvhd", bytes(100)))

SEGMENTS = [
    (packets(1), ".ts", "video/mp2t"),
    (packets(30), ".ts", "video/mp2t"),
    (MEDIA, ".m4s", "video/iso.segment"),
    (box(b"emsg", bytes(40)) + MEDIA, ".m4s", "video/iso.segment"),
    (box(b"sidx", bytes(40)) + MEDIA + MEDIA, ".m4s", "video/iso.segment"),
    (INIT, ".mp4", "video/mp4"),
    (TAG + ADTS * 20, ".aac", "audio/aac"),
    (ADTS * 5, ".aac", "audio/aac"),
    (TAG + MP3 * 4, ".mp3", "audio/mpeg"),
    (AC3 * 6, ".ac3", "audio/ac3"),
]


@pytest.mark.parametrize(("data", "extension", "content_type"), SEGMENTS)
def test_a_segment_is_told_by_its_bytes(data: bytes, extension: str, content_type: str) -> None:
    seen = inspect(data)

    assert seen.format is not None
    assert (seen.format.extension, seen.format.content_type, seen.end.whole) == (extension, content_type, True)
    assert seen.initialisation == (data == INIT)


@pytest.mark.parametrize(("data", "extension", "content_type"), SEGMENTS)
@pytest.mark.parametrize("lost", [1, 3, 100])
def test_a_segment_that_lost_its_last_bytes_is_not_whole(
    data: bytes, extension: str, content_type: str, lost: int
) -> None:
    seen = inspect(data[:-lost])

    assert seen.format is None or not seen.end.whole


@pytest.mark.parametrize("text", ["WEBVTT\n", "\ufeffWEBVTT\n\n00:00.000 --> 00:01.000\nHi\n", "\n\nWEBVTT"])
def test_subtitles_are_told_by_their_first_line(text: str) -> None:
    seen = inspect(text.encode())

    assert seen.format is not None
    assert (seen.format.content_type, seen.end.whole) == ("text/vtt", True)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "an empty file"),
        (b"Forbidden", "text"),
        (b"\xff" * 188 * 4, "one byte again and again (0xff)"),
        (bytes(400), "zeros"),
        ("<html><body>503".encode("utf-16"), "an HTML page"),
        ("<HTML lang=en>503".encode("utf-16-le"), "an HTML page"),
        (b'{"code": 403}', "a JSON document"),
    ],
)
def test_what_is_no_media_is_named(data: bytes, what: str) -> None:
    seen = inspect(data)

    assert (seen.format, seen.what) == (None, what)
