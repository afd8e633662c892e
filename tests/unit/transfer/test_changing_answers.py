"""A source whose answers are not all alike: what the first one lacks, what each says anew, what one promises."""

from __future__ import annotations

import gzip
import hashlib
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from clipferry.outbound.client import Outbound
from clipferry.transfer import Failed, More, Retry, Stored
from clipferry.transfer.freshness import Link
from clipferry.transfer.source import LOOKS, Source
from clipferry.vendors.contract import Remote

from tests.unit.transfer.hls_world import QUICK, S3, TS, Copy, s3_bucket
from tests.unit.transfer.rig import OPTIONS, PART, Rig
from tests.unit.transfer.s3_server import S3Server
from tests.unit.transfer.source_server import Behaviour, Request, SourceServer, video
from tests.unit.transfer.test_bodies import LADDER, copied_ladder

BODY = video(5 * PART + 1234)
MD5 = hashlib.md5(BODY).hexdigest()
CHUNKED = Behaviour(ranges=False, chunked=True)
CLOSED = Behaviour(ranges=False, length=False)  # its end is that of the connection


@pytest.fixture
def s3() -> Iterator[S3Server]:
    with S3Server(min_part=PART) as server:
        yield server


@pytest.fixture
def bucket() -> Iterator[S3]:
    with s3_bucket() as found:
        yield found


# -- an answer that does not say how large the file is


@pytest.mark.parametrize("first", [CHUNKED, CLOSED])
def test_a_first_answer_without_a_size_is_looked_at_again(s3: S3Server, first: Behaviour) -> None:
    with SourceServer(BODY, script=lambda r, n: first if n == 0 else None) as source:
        rig = Rig(s3, source)
        rig.assert_stored(rig.call(), BODY)
    assert len(source.ranges_asked) == 1 + 6


def test_a_source_that_takes_its_time_to_declare_a_size_is_looked_at_a_few_times(s3: S3Server) -> None:
    with SourceServer(BODY, script=lambda r, n: CLOSED if n < LOOKS else None) as source:
        rig = Rig(s3, source)
        rig.assert_stored(rig.call(), BODY)


def test_a_body_whose_last_chunk_came_is_proven_whole(s3: S3Server) -> None:
    with SourceServer(BODY, usual=CHUNKED) as source:
        rig = Rig(s3, source)
        result = rig.call()
    rig.assert_stored(result, BODY)
    assert isinstance(result, Stored)
    assert result.evidence["level"] == "content-length"
    assert len(source.requests) == 2


def test_a_chunked_body_is_preferred_to_one_without_a_declared_end(s3: S3Server) -> None:
    with SourceServer(BODY, script=lambda r, n: CHUNKED if n == 1 else CLOSED) as source:
        rig = Rig(s3, source)
        rig.assert_stored(rig.call(), BODY)


def test_a_second_look_that_declares_less_leaves_the_first_answer(s3: S3Server) -> None:
    with SourceServer(BODY, script=lambda r, n: CHUNKED if n == 0 else CLOSED) as source:
        rig = Rig(s3, source)
        rig.assert_stored(rig.call(), BODY)
    assert len(source.requests) == 2


def test_a_second_look_that_fails_leaves_the_first_answer(s3: S3Server) -> None:
    with SourceServer(BODY, script=lambda r, n: CHUNKED if n == 0 else Behaviour(status=500)) as source:
        rig = Rig(s3, source)
        rig.assert_stored(rig.call(), BODY)


def test_evidence_too_weak_is_an_attempt_for_the_next_answer_may_declare_more(s3: S3Server) -> None:
    with SourceServer(BODY, usual=CLOSED) as source:
        rig = Rig(s3, source)
        result = rig.call()
        assert isinstance(result, Retry)
        assert (result.code, s3.calls["CreateMultipartUpload"]) == ("EVIDENCE_TOO_WEAK", 0)
        source.usual = Behaviour()
        rig.assert_stored(rig.call(), BODY)


@pytest.mark.parametrize(("how", "stored"), [(CHUNKED, True), (CLOSED, False)])
def test_a_stream_of_segments_is_decided_at_its_first_one(bucket: S3, how: Behaviour, stored: bool) -> None:
    result, asked = copied_ladder(
        bucket,
        lambda path, content, _: replace(how, body=content) if path.endswith(".ts") else Behaviour(body=content),
        {"options": replace(QUICK, connections=1)},
    )
    if stored:
        assert isinstance(result, Stored), result
        assert result.evidence["level"] == "content-length"
        return
    assert isinstance(result, Retry), result
    assert (result.code, bucket.objects()) == ("EVIDENCE_TOO_WEAK", {})
    assert [path for path in asked if path.endswith(".ts")] == ["/v/low/s0.ts"]


# -- validators that change


def by_etag(number: int) -> Behaviour:
    return Behaviour(etag=f'"v{number}"')


def by_date(number: int) -> Behaviour:
    return Behaviour(etag=None, headers={"Last-Modified": f"Sat, 21 Nov 2026 02:00:{number % 60:02d} GMT"})


def called_until_decided(rig: Rig) -> tuple[list[float], object]:
    """The waits between calls, and what the last one came to."""
    waits = []
    while isinstance(result := rig.call(), More):
        waits.append(result.wait_seconds)
    return waits, result


@pytest.mark.parametrize("says", [by_etag, by_date])
def test_validators_that_change_with_each_answer_are_given_up_after_some_pauses(s3: S3Server, says: object) -> None:
    with SourceServer(BODY, script=lambda r, n: says(n)) as source:  # type: ignore[operator]
        rig = Rig(s3, source)
        waits, result = called_until_decided(rig)
        rig.assert_stored(result, BODY)
        assert waits == [2, 4, 8, 16, 32]
    assert source.requests[-1].range is None
    assert "if-range" not in source.requests[-1].headers


def test_a_file_that_is_changing_for_some_seconds_is_copied_when_it_rests(s3: S3Server) -> None:
    other = video(len(BODY), b"othr")
    with SourceServer(BODY, script=lambda r, n: by_etag(n)) as source:
        rig = Rig(s3, source)
        assert rig.call() == More(2)
        source.body, source.script = other, lambda r, n: None
        rig.assert_stored(rig.call(), other)


def test_a_checksum_of_the_whole_lets_changing_validators_be_read_in_ranges(s3: S3Server) -> None:
    with SourceServer(BODY, script=lambda r, n: by_etag(n)) as source:
        rig = Rig(s3, source, remote=lambda: Remote(source.url, md5=MD5))
        _, result = called_until_decided(rig)
        rig.assert_stored(result, BODY)
    assert len(source.ranges_asked) == len(source.requests)


def test_a_checksum_of_the_whole_still_decides_about_what_was_read(s3: S3Server) -> None:
    """Half of the answers are of another file of the same size."""
    other = video(len(BODY), b"othr")
    with SourceServer(BODY) as source:

        def script(request: Request, number: int) -> Behaviour:
            source.body = other if number % 2 else BODY
            return by_etag(number)

        source.script = script
        rig = Rig(s3, source, remote=lambda: Remote(source.url, md5=MD5))
        _, result = called_until_decided(rig)
    assert isinstance(result, Retry)
    assert (result.code, s3.objects) == ("EVIDENCE_MISMATCH", {})


def test_a_source_that_never_stays_the_same_size_fails(s3: S3Server) -> None:
    with SourceServer(BODY) as source:

        def script(request: Request, number: int) -> Behaviour:
            source.size = len(BODY) - number
            return Behaviour(etag=None)

        source.script = script
        rig = Rig(s3, source, remote=lambda: Remote(source.url, md5=MD5))
        _, result = called_until_decided(rig)
    rig.assert_failed(result, "SOURCE_CHANGED")


def test_a_single_connection_that_breaks_is_an_attempt_without_validators(s3: S3Server) -> None:
    with SourceServer(BODY, script=lambda r, n: by_etag(n)) as source:
        rig = Rig(s3, source, checkpoint={"generation": 6})
        source.script = lambda r, n: replace(by_etag(n), end_after=None if r.range else 90_000)
        result = rig.call()
        assert isinstance(result, Retry)
        assert result.code == "SHORT_BODY"
        source.script = lambda r, n: by_etag(n)
        rig.assert_stored(rig.call(), BODY)


def test_a_segment_whose_validators_change_is_read_over_one_connection(bucket: S3) -> None:
    """Its first answer breaks; the rest, asked for as a range, says another ETag."""
    segment = TS * 2000

    def behave(path: str, content: bytes, number: int) -> Behaviour:
        if path != "/v/low/s0.ts":
            return Behaviour(body=content)
        broken = 100_000 if number == 0 else None
        whole = {"Content-Range": f"bytes 0-{len(segment) - 1}/{len(segment)}"}
        if number == 0:
            return Behaviour(status=206, body=segment, headers=whole, end_after=broken, etag='"a"')
        return Behaviour(body=segment, etag=f'"{number}"')

    LADDER["/v/low/s0.ts"], before = segment, LADDER["/v/low/s0.ts"]
    try:
        result, asked = copied_ladder(bucket, behave)
    finally:
        LADDER["/v/low/s0.ts"] = before
    assert isinstance(result, Stored), result
    assert (asked["/v/index.m3u8"], asked["/v/low/s0.ts"]) == (1, 3)
    assert len(segment) in bucket.objects().values()


@pytest.mark.parametrize("says", [by_etag, by_date])
@pytest.mark.parametrize("grows", [False, True])
def test_byte_ranges_of_a_resource_whose_validators_change_are_taken_by_its_size(
    bucket: S3, says: Callable[[int], Behaviour], grows: bool
) -> None:
    """After the starts that a changing source gets. A resource whose size changes too is never stored."""
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2"]
    for number in range(3):
        lines += ["#EXTINF:2,", f"#EXT-X-BYTERANGE:{len(TS) * 2}@{len(TS) * 2 * number}", "all.ts"]
    root = "\n".join([*lines, "#EXT-X-ENDLIST"]).encode()

    def script(request: Any, number: int) -> Behaviour:
        if request.path == "/v/index.m3u8":
            return Behaviour(body=root, ranges=False)
        size = 6 + number * grows
        start, last = request.range
        body = (TS * size)[start : last + 1]
        headers = {"Content-Range": f"bytes {start}-{start + len(body) - 1}/{len(TS) * size}"} | says(number).headers
        return replace(says(number), status=206, body=body, headers=headers)

    with SourceServer(b"", script=script) as source:
        copy = Copy(SimpleNamespace(url=source.url.rpartition("/")[0]), bucket)
        results = [copy()]
        while isinstance(results[-1], More):
            results.append(copy())
    if grows:
        assert (type(results[-1]), results[-1].code) == (Failed, "SOURCE_CHANGED")
    else:
        assert isinstance(results[-1], Stored), results
        assert bucket.read("v0/00003.ts") == TS * 2
    assert len(results) == QUICK.max_starts


# -- promises


@pytest.mark.parametrize("total", [20 * 10**12, 2 * 10**12, 10**19 - 1])
def test_memory_does_not_grow_with_what_is_promised(s3: S3Server, total: int) -> None:
    how = Behaviour(content_range=f"bytes 0-65535/{total}", end_after=PART)
    with SourceServer(BODY, usual=how) as source:
        rig = Rig(s3, source)
        tracemalloc.start()
        result = rig.call()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    rig.assert_failed(result, "TOO_LARGE")
    assert peak < 8_000_000


def test_a_promise_within_bounds_takes_no_more_than_the_buffers(s3: S3Server) -> None:
    """A terabyte promised, a part sent: parts are larger then, and fewer."""
    how = Behaviour(content_range=f"bytes 0-65535/{10**12}", end_after=PART)
    with SourceServer(BODY, usual=how) as source:
        rig = Rig(s3, source, options=replace(OPTIONS, buffers=128 * 1024 * 1024))
        tracemalloc.start()
        result = rig.call()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert isinstance(result, Retry)
    assert peak < 144 * 1024 * 1024


def test_a_range_that_is_asked_for_is_never_larger_than_the_buffer_it_is_for() -> None:
    with SourceServer(BODY, usual=Behaviour(content_range=f"bytes 0-9999999999/{10**13}")) as source:
        copied = Source(Link(lambda: Remote(source.url)), Outbound(allow_private=True), [], OPTIONS)
        assert copied.open(PART, 1e18).facts.ranges is False
        copied.close()


@pytest.mark.parametrize("size", [PART, None])
def test_what_a_body_expands_to_is_bounded(s3: S3Server, monkeypatch: pytest.MonkeyPatch, size: int | None) -> None:
    """By what the vendor says that the file has, else by what one object holds."""
    monkeypatch.setattr("clipferry.transfer.pump.MAX_PARTS", 3)
    bomb = gzip.compress(BODY[:4096] + bytes(50_000_000))
    with SourceServer(BODY, usual=Behaviour(headers={"Content-Encoding": "gzip"}, body=bomb)) as source:
        rig = Rig(s3, source, remote=lambda: Remote(source.url, size=size))
        tracemalloc.start()
        result = rig.call()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert isinstance(result, Retry if size else Failed), result
    assert result.code == ("EVIDENCE_MISMATCH" if size else "TOO_LARGE")
    assert s3.calls["UploadPart"] <= 3
    assert (s3.uploads, s3.objects) == ({}, {})
    assert peak < 8_000_000
