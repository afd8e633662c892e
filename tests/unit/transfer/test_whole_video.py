"""What counts as a whole video: the container's own end, whatever was declared; and how the object is called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from clipferry.transfer import Destination, More, Retry, Stored
from clipferry.vendors.contract import Remote

from tests.unit.transfer.media.test_inspect import box
from tests.unit.transfer.rig import PART, STEM, Rig
from tests.unit.transfer.s3_server import S3Server
from tests.unit.transfer.source_server import Behaviour, SourceServer, video

FTYP = box(b"ftyp", b"isom\x00\x00\x02\x00isommp41")
NOISE = video(3 * PART)[200:]
GIF = b"GIF89a" + NOISE[:400] + b"\x00;"
UNKNOWN = b"\x9c\x01\x02\x03" + NOISE


@pytest.fixture
def s3() -> Iterator[S3Server]:
    with S3Server(min_part=PART) as server:
        yield server


def named(name: str) -> Destination:
    return Destination("bucket", STEM, file_name=name)


def served(s3: S3Server, source: SourceServer, name: str = "clip.mp4", **options: Any) -> Rig:
    return Rig(s3, source, destination=named(name), **options)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (video(3 * PART)[:-1], "inside its mdat box, 1 bytes before"),
        (video(3 * PART)[: 2 * PART], "inside its mdat box"),
        (FTYP + bytes(3 * PART), "has no moov box"),
        (FTYP + box(b"mdat", NOISE), "has no moov box"),
        (FTYP + box(b"moov", bytes(100)) + b"\x00\x00\x00\x01mdat" + (2**33).to_bytes(8, "big") + NOISE, "mdat box"),
        (FTYP + box(b"free", bytes(5000)) + box(b"moov", bytes(100)), "has no media data"),
        (FTYP + box(b"moov", bytes(100)) + box(b"moof", bytes(100)), "has no media data"),
        (FTYP + box(b"moov", bytes(100)) + box(b"mdat", NOISE) + box(b"moof", bytes(100)), "behind the moof box"),
    ],
)
@pytest.mark.parametrize("ranges", [True, False])
def test_a_container_that_goes_on_behind_the_file_is_a_failed_attempt(
    s3: S3Server, body: bytes, why: str, ranges: bool
) -> None:
    with SourceServer(body, usual=Behaviour(ranges=ranges)) as source:
        rig = served(s3, source)
        first = rig.call()
        result = rig.finish()

    assert isinstance(first, Retry)
    rig.assert_failed(result, "CONTAINER_CUT")
    assert why in first.message
    assert s3.calls["CompleteMultipartUpload"] == 0  # no object that is no whole video was there for a moment


def test_a_file_that_was_found_to_be_cut_is_looked_at_before_it_is_copied_again(s3: S3Server) -> None:
    body = video(20 * PART)
    with SourceServer(body[:-1]) as source:
        rig = served(s3, source)
        first = rig.call()
        sent, source.bytes_sent = source.bytes_sent, 0
        second, third = rig.call(), rig.call()
        again, source.bytes_sent = source.bytes_sent, 0
        source.body, source.size = body, len(body)  # the vendor has made it again
        result = rig.finish()

    assert isinstance(first, Retry)
    assert isinstance(second, Retry)
    assert second == third == first
    assert (sent, again < 4 * PART) == (len(body) - 1, True)
    rig.assert_stored(result, body)


@pytest.mark.parametrize("proof", ["vendor-md5", "vendor-crc64", "etag-md5"])
def test_a_cut_container_that_a_checksum_proves_is_stored_with_a_warning(s3: S3Server, proof: str) -> None:
    body = video(3 * PART)[:-1000]
    md5 = hashlib.md5(body).hexdigest()
    usual = Behaviour(etag=f'"{md5}"') if proof == "etag-md5" else Behaviour()
    if proof == "vendor-crc64":
        usual = replace(usual, headers={"x-oss-hash-crc64ecma": str(crc64(body))})
    with SourceServer(body, usual=usual) as source:
        rig = served(s3, source)
        rig.remote = lambda: Remote(source.url, md5=md5 if proof == "vendor-md5" else None)
        result = rig.finish()

    rig.assert_stored(result, body)
    assert isinstance(result, Stored)
    assert (result.evidence["level"], result.evidence["container"]) == (proof, "unverified")
    (warning,) = result.warnings
    assert warning.code == "CONTAINER_INCOMPLETE"
    assert "ends inside its mdat box, 1000 bytes before" in warning.message
    assert proof in warning.message


def crc64(data: bytes) -> int:
    from local.simulators.media import crc64

    return crc64(data)


def test_a_copy_of_several_calls_looks_at_the_container_before_it_is_called_stored(s3: S3Server) -> None:
    whole, cut = video(20 * PART), video(20 * PART)[:-1]
    for body in (whole, cut):
        with SourceServer(body) as source:
            rig = served(s3, source)
            results: list[Any] = []
            while not results or isinstance(results[-1], More):
                before = len(source.requests)

                def time_left(before: int = before, source: SourceServer = source) -> float:
                    return 60.0 - 5.0 * (len(source.requests) - before)

                results.append(rig.call(time_left=time_left))
        assert len(results) > 1
        if body is whole:
            rig.assert_stored(results[-1], body)
            assert results[-1].evidence["container"] == "complete"
            s3.objects.clear()
        else:
            assert isinstance(results[-1], Retry)
            assert results[-1].code == "CONTAINER_CUT"
            assert s3.objects == {}


@pytest.mark.parametrize("length", [True, False], ids=["length", "chunked"])
def test_a_body_in_one_stream_is_looked_at_too(s3: S3Server, length: bool) -> None:
    body = video(3 * PART)
    with SourceServer(body, usual=Behaviour(ranges=False, length=length, chunked=not length)) as source:
        rig = served(s3, source)
        result = rig.finish()

    rig.assert_stored(result, body)
    assert isinstance(result, Stored)
    assert result.evidence["container"] == "complete"


@pytest.mark.parametrize(
    ("body", "extension", "content_type"),
    [
        (box(b"ftyp", b"M4A \x00\x00\x00\x00M4A isom") + video(PART)[24:], ".m4a", "audio/mp4"),
        (b"OggS\x00\x06" + bytes(20) + b"\x01\xff" + b"OpusHead" + NOISE[:247], ".opus", "audio/ogg"),
        (b"#!AMR\n" + (b"\x3c" + bytes(31)) * 300, ".amr", "audio/amr"),
        ((b"\x47\x01\x00\x10" + bytes(184)) * 300, ".ts", "video/mp2t"),
    ],
)
def test_name_and_type_of_the_object_come_from_the_bytes(
    s3: S3Server, body: bytes, extension: str, content_type: str
) -> None:
    with SourceServer(body) as source:
        result = served(s3, source, "clip.mp4").finish()

    assert isinstance(result, Stored), result
    assert (result.key, result.content_type) == (STEM + extension, content_type)
    stored = s3.objects[result.key]
    assert stored.headers["content-type"] == content_type
    assert f'filename="clip.mp4{extension}"' in stored.headers["content-disposition"]


@pytest.mark.parametrize(
    ("name", "path", "content_type", "extension"),
    [
        ("lesson.wmv", "", "", ".wmv"),
        ("lesson 3.5", "/a/b/clip.acm", "", ".acm"),
        ("lesson", "/play", "video/mp2p", ".bin"),
        ("lesson", "/play", "audio/x-caf; x=y", ".caf"),
    ],
)
def test_what_nobody_recognises_is_stored_where_the_vendors_word_says_that_it_is_media(
    s3: S3Server, name: str, path: str, content_type: str, extension: str
) -> None:
    with SourceServer(UNKNOWN, usual=Behaviour(headers={"Content-Type": content_type})) as source:
        rig = served(s3, source, name)
        rig.remote = lambda: Remote(source.url.replace("/video", path or "/video"))
        result = rig.finish()

    assert isinstance(result, Stored), result
    assert result.key == STEM + extension
    assert result.evidence["container"] == "unverified"


@pytest.mark.parametrize(
    ("name", "body", "what"),
    [
        ("lesson", UNKNOWN, "data in no format that is known here"),
        ("lesson.zip", UNKNOWN, "data in no format that is known here"),
        ("lesson.mp4", GIF, "an image (GIF) where a video was promised"),
        ("lesson", GIF, "an image (GIF) where a video was promised"),
        ("lesson.mp4", "<html>Bad gateway</html>".encode("utf-16") * 9, "an HTML page"),
        ("lesson.mp4", b'{"code": 403}' + b" " * 200, "a JSON document"),
        ("lesson.mp4", "您没有权限访问".encode("gb18030") * 20, "text"),
        ("lesson.mp4", bytes(5000), "zeros"),
        ("lesson.mp4", b"\xff" * 5000, "one byte again and again (0xff)"),
        ("lesson.mp4", video(100), "100 bytes"),
        ("lesson.mp4", b"PK\x03\x04" + NOISE, "a ZIP archive"),
        ("lesson.srt", b"1\n00:00:01,000 --> 00:00:02,000\nHello\n" * 9, "SubRip where a video was promised"),
    ],
)
def test_what_is_recognisably_not_the_file_is_never_stored(s3: S3Server, name: str, body: bytes, what: str) -> None:
    with SourceServer(body) as source:
        rig = served(s3, source, name)
        first = rig.call()
        result = rig.finish()

    assert isinstance(first, Retry)
    assert what in first.message
    rig.assert_failed(result, "NOT_A_VIDEO")


@pytest.mark.parametrize("name", ["cover.gif", "COVER.GIF"])
def test_an_image_is_stored_where_an_image_was_promised(s3: S3Server, name: str) -> None:
    with SourceServer(GIF) as source:
        result = served(s3, source, name).finish()

    assert isinstance(result, Stored), result
    assert (result.key, result.content_type, result.evidence["container"]) == (STEM + ".gif", "image/gif", "complete")
