"""Whatever the source does, a copy ends STORED with the right bytes or FAILED with the right code; no upload stays."""

from __future__ import annotations

import gzip
import re
import socket
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clipferry.transfer import Stored
from clipferry.vendors.contract import Remote

from tests.unit.transfer.rig import PART, Rig
from tests.unit.transfer.s3_server import S3Server, content_md5
from tests.unit.transfer.source_server import Behaviour, Request, SourceServer, video

BODY = video(5 * PART + 1234)
Script = Callable[[Request, int], Behaviour | None]


@pytest.fixture
def s3() -> Iterator[S3Server]:
    with S3Server(min_part=PART) as server:
        yield server


def run(
    s3: S3Server, script: Script | None = None, usual: Behaviour | None = None, body: bytes = BODY, **rig: Any
) -> tuple[Rig, Any]:
    with SourceServer(body, script=script, usual=usual) as source:
        under_test = Rig(s3, source, **rig)
        return under_test, under_test.finish()


def every(n: int, how: Behaviour) -> Script:
    return lambda request, number: how if number % n == n - 1 else None


def first(count: int, how: Behaviour) -> Script:
    return lambda request, number: how if number < count else None


def from_number(start: int, how: Behaviour) -> Script:
    return lambda request, number: how if number >= start else None


# -- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size",
    [128, 4095, 4096, 4097, PART - 1, PART, PART + 1, 2 * PART - 1, 2 * PART, 2 * PART + 1, 5 * PART, 5 * PART + 1],
)
@pytest.mark.parametrize("ranges", [True, False])
def test_every_size_around_a_part_boundary_is_copied_whole(s3: S3Server, size: int, ranges: bool) -> None:
    body = video(size)
    rig, result = run(s3, usual=Behaviour(ranges=ranges), body=body)
    rig.assert_stored(result, body)
    assert s3.calls["UploadPart"] == -(-size // PART)


def test_parts_are_read_at_once_and_every_byte_once(s3: S3Server) -> None:
    with SourceServer(BODY, usual=Behaviour(delay=0.05)) as source:
        rig = Rig(s3, source)
        rig.assert_stored(rig.finish(), BODY)
    assert source.most_at_once >= 3
    assert source.bytes_sent == len(BODY)
    assert len(source.requests) == 6


def test_later_ranges_are_pinned_to_the_first_answer(s3: S3Server) -> None:
    with SourceServer(BODY) as source:
        rig = Rig(s3, source)
        rig.assert_stored(rig.finish(), BODY)
    assert {r.headers.get("if-range") for r in source.requests[1:]} == {'"v1"'}
    assert {r.headers.get("if-match") for r in source.requests[1:]} == {'"v1"'}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x" * 20,
        b"<!DOCTYPE html><html>" + b"x" * 5000,
        b'{"error":"x"}' * 100,
        b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>' * 9,
        b"just some text " * 1000,
        bytes(PART),
    ],
)
@pytest.mark.parametrize("ranges", [True, False])
def test_what_is_no_video_is_never_stored(s3: S3Server, body: bytes, ranges: bool) -> None:
    rig, result = run(s3, usual=Behaviour(ranges=ranges), body=body)
    rig.assert_failed(result, "NOT_A_VIDEO")


def test_file_larger_than_an_s3_object_is_refused(s3: S3Server) -> None:
    with SourceServer(lambda a, b: BODY[a : b + 1], size=6 * 10**13) as source:
        rig = Rig(s3, source)
        rig.assert_failed(rig.finish(), "TOO_LARGE")


# -- bodies that break ------------------------------------------------------------------------------------------------


def test_drops_are_continued_from_the_byte_where_they_happened(s3: S3Server) -> None:
    with SourceServer(BODY, script=every(2, Behaviour(drop_after=10_000))) as source:
        rig = Rig(s3, source)
        rig.assert_stored(rig.finish(), BODY)
    assert source.bytes_sent <= len(BODY) + 10_000 * len(source.requests)
    assert any(first % PART == 10_000 for first, _ in source.ranges_asked)


def test_short_bodies_are_continued(s3: S3Server) -> None:
    rig, result = run(s3, every(3, Behaviour(end_after=30_000)))
    rig.assert_stored(result, BODY)


def test_bodies_that_are_always_short_fail(s3: S3Server) -> None:
    rig, result = run(s3, from_number(1, Behaviour(end_after=10)))
    rig.assert_failed(result, "SHORT_BODY")


def test_short_single_stream_is_tried_again(s3: S3Server) -> None:
    rig, result = run(s3, first(2, Behaviour(end_after=90_000, ranges=False)), Behaviour(ranges=False))
    rig.assert_stored(result, BODY)


def test_short_single_stream_for_ever_fails(s3: S3Server) -> None:
    rig, result = run(s3, usual=Behaviour(end_after=90_000, ranges=False))
    rig.assert_failed(result, "SHORT_BODY")


def test_body_of_unknown_length_is_too_weak(s3: S3Server) -> None:
    rig, result = run(s3, usual=Behaviour(ranges=False, length=False))
    rig.assert_failed(result, "EVIDENCE_TOO_WEAK")


def test_body_of_unknown_length_is_stored_when_the_vendor_gave_its_size(s3: S3Server) -> None:
    for how in (Behaviour(ranges=False, length=False), Behaviour(ranges=False, chunked=True)):
        s3.objects.clear()
        with SourceServer(BODY, usual=how) as source:
            rig = Rig(s3, source, remote=lambda source=source: Remote(source.url, size=len(BODY)))
            rig.assert_stored(rig.finish(), BODY)


def test_short_body_without_length_is_caught_by_the_vendors_size(s3: S3Server) -> None:
    with SourceServer(BODY, usual=Behaviour(ranges=False, length=False, end_after=100_000)) as source:
        rig = Rig(s3, source, remote=lambda: Remote(source.url, size=len(BODY)))
        result = rig.finish()
    rig.assert_failed(result, "EVIDENCE_MISMATCH")
    assert str(len(BODY)) in result.message
    assert "100000" in result.message


def test_broken_chunks_are_not_an_end(s3: S3Server) -> None:
    with SourceServer(BODY, usual=Behaviour(ranges=False, chunked=True, end_after=100_000)) as source:
        rig = Rig(s3, source, remote=lambda: Remote(source.url, size=len(BODY)))
        rig.assert_failed(rig.finish(), "SHORT_BODY")


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress])
def test_body_compressed_unasked_is_stored_as_the_file_it_is(s3: S3Server, encode: Callable[[bytes], bytes]) -> None:
    name = "gzip" if encode is gzip.compress else "deflate"
    how = Behaviour(headers={"Content-Encoding": name}, body=encode(BODY), ranges=False)
    rig, result = run(s3, usual=how)
    rig.assert_stored(result, BODY)


def test_damaged_compression_fails(s3: S3Server) -> None:
    damaged = bytearray(gzip.compress(BODY))
    damaged[len(damaged) // 2] ^= 255
    how = Behaviour(headers={"Content-Encoding": "gzip"}, body=bytes(damaged), ranges=False)
    rig, result = run(s3, usual=how)
    rig.assert_failed(result, "SOURCE_UNAVAILABLE")


# -- ranges that are none ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_range", ["bytes 5-9/100", "bytes 0-65535/*", "bytes */99", "items 0-1/2", "nonsense"])
def test_wrong_content_range_on_the_first_answer_means_one_stream(s3: S3Server, content_range: str) -> None:
    with SourceServer(BODY, usual=Behaviour(content_range=content_range)) as source:
        rig = Rig(s3, source)
        rig.assert_stored(rig.finish(), BODY)
    assert len(source.requests) == 2


def test_wrong_content_range_midway_is_asked_again(s3: S3Server) -> None:
    rig, result = run(s3, lambda r, n: Behaviour(content_range=f"bytes 0-1/{len(BODY)}") if n in (1, 2) else None)
    rig.assert_stored(result, BODY)


def test_ranges_that_stop_working_are_given_up(s3: S3Server) -> None:
    rig, result = run(s3, from_number(3, Behaviour(ranges=False)))
    rig.assert_stored(result, BODY)


def test_one_200_instead_of_206_is_asked_again(s3: S3Server) -> None:
    rig, result = run(s3, lambda r, n: Behaviour(ranges=False) if n == 2 else None)
    rig.assert_stored(result, BODY)


# -- a source that changes --------------------------------------------------------------------------------------------


def test_source_that_changes_midway_is_copied_anew(s3: S3Server) -> None:
    other = video(len(BODY), b"othr")
    with SourceServer(BODY) as source:

        def change(request: Request, number: int) -> Behaviour:
            if number == 3:
                source.body = other
            return Behaviour(etag='"v2"' if number >= 3 else '"v1"')

        source.script = change
        rig = Rig(s3, source)
        rig.assert_stored(rig.finish(), other)
    assert rig.checkpoint["generation"] == 2
    assert s3.calls["CreateMultipartUpload"] == 2


def test_source_that_shrinks_midway_is_copied_anew(s3: S3Server) -> None:
    shorter = video(3 * PART, b"shrt")
    with SourceServer(BODY, usual=Behaviour(etag=None)) as source:

        def change(request: Request, number: int) -> None:
            if number == 3:
                source.body, source.size = shorter, len(shorter)

        source.script = change
        rig = Rig(s3, source)
        rig.assert_stored(rig.finish(), shorter)


# -- URLs that end ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
def test_refused_url_is_renewed_once_for_all_connections(s3: S3Server, status: int) -> None:
    with SourceServer(BODY) as source:
        rig = Rig(s3, source, remote=lambda: Remote(f"{source.url}&n={rig.located}"))
        source.script = lambda r, n: Behaviour(status=status) if n >= 3 and "n=1" in r.path else None
        rig.assert_stored(rig.finish(), BODY)
    assert rig.located == 2


def test_url_is_renewed_before_it_expires(s3: S3Server) -> None:
    with SourceServer(BODY) as source:

        def remote() -> Remote:
            soon = rig.located == 1
            ends = datetime.now(UTC) + timedelta(seconds=0.6 if soon else 3600)
            return Remote(f"{source.url}&n={rig.located}", expires_at=ends)

        rig = Rig(s3, source, remote=remote)
        source.script = lambda r, n: Behaviour(delay=0.7) if "n=1" in r.path else None
        rig.assert_stored(rig.finish(), BODY)
    assert {r.path.rsplit("n=", 1)[1] for r in source.requests} == {"1", "2"}
    assert rig.located == 2


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (400, "SOURCE_UNAVAILABLE", "400"),
        (401, "SOURCE_REFUSED", "401.*download_headers"),
        (403, "SOURCE_REFUSED", "403.*Referer.*download_headers"),
        (451, "SOURCE_REFUSED", "451.*legal"),
        (405, "SOURCE_UNAVAILABLE", "405"),
        (416, "NOT_A_VIDEO", "416"),
    ],
)
def test_a_refusal_says_which_one_it_was_and_what_to_do(s3: S3Server, status: int, code: str, words: str) -> None:
    rig, result = run(s3, usual=Behaviour(status=status))
    rig.assert_failed(result, code)
    assert re.search(words, result.message)


def test_ready_but_404_is_waited_for(s3: S3Server) -> None:
    with SourceServer(BODY, script=first(9, Behaviour(status=404))) as source:
        rig = Rig(s3, source, budget=1)
        rig.assert_stored(rig.finish(), BODY)


def test_ready_but_never_there_is_gone_after_the_grace_period(s3: S3Server) -> None:
    rig, result = run(s3, usual=Behaviour(status=404), budget=1)
    rig.assert_failed(result, "SOURCE_GONE")


def test_vendor_without_a_url_is_asked_again(s3: S3Server) -> None:
    with SourceServer(BODY) as source:
        rig = Rig(s3, source, budget=1, remote=lambda: Remote(source.url) if rig.located > 3 else None)
        rig.assert_stored(rig.finish(), BODY)


# -- a source that is busy, broken, or not what it seems --------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
def test_throttling_source_is_asked_by_fewer_and_waited_for(s3: S3Server, status: int) -> None:
    how = Behaviour(status=status, headers={"Retry-After": "0"})
    with SourceServer(BODY, script=lambda r, n: how if n in (1, 2, 3) else None) as source:
        rig = Rig(s3, source)
        rig.assert_stored(rig.finish(), BODY)


def test_source_that_throttles_for_ever_fails(s3: S3Server) -> None:
    rig, result = run(s3, usual=Behaviour(status=429, headers={"Retry-After": "0"}), budget=2)
    rig.assert_failed(result, "SOURCE_THROTTLED")


def test_range_that_comes_too_slowly_is_asked_for_again(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipferry.transfer.source.SLOWEST", 0.1)
    rig, result = run(s3, lambda r, n: Behaviour(drip=0.05) if n in (0, 3) else None)
    rig.assert_stored(result, BODY)


def test_source_that_only_drips_fails(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipferry.transfer.source.SLOWEST", 0.05)
    rig, result = run(s3, usual=Behaviour(drip=0.03), budget=1)
    rig.assert_failed(result, "SOURCE_UNAVAILABLE")


def test_server_errors_are_asked_again(s3: S3Server) -> None:
    rig, result = run(s3, lambda r, n: Behaviour(status=500 + n % 3) if n % 3 else None)
    rig.assert_stored(result, BODY)


def test_server_errors_without_end_fail(s3: S3Server) -> None:
    rig, result = run(s3, from_number(2, Behaviour(status=500)))
    rig.assert_failed(result, "SOURCE_UNAVAILABLE")


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest/meta-data/iam", "https://evil.example/", "ftp://127.0.0.1/x", "/video?again=1"],
)
def test_redirects_to_nowhere_good_are_refused(s3: S3Server, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> Any:
        return lookup("8.8.8.8" if host == "evil.example" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    rig, result = run(s3, usual=Behaviour(status=302, headers={"Location": target}))
    rig.assert_failed(result, "ADDRESS_REFUSED")


def test_name_that_turns_to_the_metadata_service_midway_is_refused(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup, seen = socket.getaddrinfo, []

    def rebinding(host: str, *args: Any, **kwargs: Any) -> Any:
        if host != "cdn.example.com":
            return lookup(host, *args, **kwargs)
        seen.append(host)
        return lookup("127.0.0.1" if len(seen) == 1 else "169.254.169.254", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with SourceServer(BODY, usual=Behaviour(delay=0.1)) as source:  # slow, so that a second connection is opened
        url = source.url.replace("127.0.0.1", "cdn.example.com")
        rig = Rig(s3, source, remote=lambda: Remote(url))
        rig.assert_failed(rig.finish(), "ADDRESS_REFUSED")


def test_exotic_encoding_is_refused(s3: S3Server) -> None:
    how = Behaviour(headers={"Content-Encoding": "br"}, body=b"\x01" * 500, ranges=False)
    rig, result = run(s3, usual=how)
    rig.assert_failed(result, "SOURCE_UNAVAILABLE")


def test_content_md5_of_a_whole_answer_must_match(s3: S3Server) -> None:
    how = Behaviour(ranges=False, headers={"Content-MD5": content_md5(BODY)})
    rig, result = run(s3, usual=how)
    rig.assert_stored(result, BODY)
    assert isinstance(result, Stored)
    assert result.evidence["level"] == "content-md5"
    s3.objects.clear()
    rig, result = run(s3, usual=Behaviour(ranges=False, headers={"Content-MD5": content_md5(b"other")}))
    rig.assert_failed(result, "EVIDENCE_MISMATCH")
