"""How a body arrives decides nothing about what is stored: coded or not, whole it is stored, cut it is an attempt."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from clipferry.outbound.client import Outbound
from clipferry.outbound.file_headers import FileHeaders
from clipferry.transfer import Failed, Retry, Stored

from tests.unit.transfer.hls_world import QUICK, S3, TS, Copy, s3_bucket
from tests.unit.transfer.rig import PART, Rig
from tests.unit.transfer.s3_server import S3Server
from tests.unit.transfer.source_server import Behaviour, Request, SourceServer, video

BODY = video(5 * PART + 1234)
SEGMENT = TS * 20
MEDIA = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\ns0.ts\n#EXTINF:2,\ns1.ts\n#EXT-X-ENDLIST\n"
MASTER = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow/index.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nhigh/index.m3u8\n"
LADDER = {
    "/v/index.m3u8": MASTER,
    "/v/low/index.m3u8": MEDIA,
    "/v/high/index.m3u8": MEDIA,
    **{f"/v/{name}/s{number}.ts": SEGMENT for name in ("low", "high") for number in (0, 1)},
}
Pack = Callable[[bytes], bytes]


@pytest.fixture
def s3() -> Iterator[S3Server]:
    with S3Server(min_part=PART) as server:
        yield server


@pytest.fixture
def bucket() -> Iterator[S3]:
    with s3_bucket() as found:
        yield found


def members(body: bytes) -> bytes:
    """Several gzip members, as servers send that compress a file in blocks."""
    size = max(1, len(body) // 3)
    return b"".join(gzip.compress(body[at : at + size]) for at in range(0, len(body), size))


def deflated(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def cut(pack: Pack) -> Pack:
    return lambda body: pack(body)[:-7]


def continued(pack: Pack) -> Pack:
    return lambda body: pack(body) + b"\x00" * 100


WHOLE = [("gzip", members), ("x-gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", deflated)]
WHOLE += [("gzip, gzip", lambda body: gzip.compress(members(body))), ("gzip", bytes)]
WHOLE += [(name, bytes) for name in ("aws-chunked", "", "none", "binary", "utf-8")]
NOT_WHOLE = [("gzip", cut(members)), ("gzip", continued(members)), ("deflate", cut(zlib.compress))]
NOT_WHOLE += [("deflate", continued(deflated)), ("br", bytes), ("zstd", bytes)]


def copied_file(s3: S3Server, usual: Behaviour, body: bytes = BODY) -> tuple[Rig, Any, SourceServer]:
    with SourceServer(body, usual=usual) as source:
        rig = Rig(s3, source)
        return rig, rig.finish(), source


def copied_ladder(
    bucket: S3, behave: Callable[[str, bytes, int], Behaviour], options: dict[str, Any] | None = None
) -> Any:
    """One call of a copy of LADDER; `behave` says how a path is answered for the n-th time, from 0 on."""
    asked: dict[str, int] = {}

    def script(request: Any, _: int) -> Behaviour:
        number = asked[request.path] = asked.get(request.path, -1) + 1
        content = LADDER.get(request.path)
        return behave(request.path, content, number) if content is not None else Behaviour(status=404)

    with SourceServer(b"", script=script) as source:
        copy = Copy(SimpleNamespace(url=source.url.rpartition("/")[0]), bucket, **(options or {}))
        return copy(), {path: count + 1 for path, count in asked.items()}


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize(("coding", "pack"), WHOLE)
def test_a_coded_file_is_stored_as_the_file_it_is(s3: S3Server, coding: str, pack: Pack, chunked: bool) -> None:
    how = Behaviour(headers={"Content-Encoding": coding}, body=pack(BODY), chunked=chunked)
    rig, result, _ = copied_file(s3, how)
    rig.assert_stored(result, BODY)


@pytest.mark.parametrize("coding", ["aws-chunked", "none"])
def test_a_file_with_a_meaningless_coding_is_read_in_ranges(s3: S3Server, coding: str) -> None:
    rig, result, source = copied_file(s3, Behaviour(headers={"Content-Encoding": coding}))
    rig.assert_stored(result, BODY)
    assert len(source.ranges_asked) == 6


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize(("coding", "pack"), NOT_WHOLE)
def test_a_coded_file_that_is_not_whole_is_never_stored(s3: S3Server, coding: str, pack: Pack, chunked: bool) -> None:
    how = Behaviour(headers={"Content-Encoding": coding}, body=pack(BODY), chunked=chunked)
    _, result, _ = copied_file(s3, how)
    assert isinstance(result, Failed)
    assert result.code in ("SHORT_BODY", "SOURCE_UNAVAILABLE")
    assert s3.objects == {}


@pytest.mark.parametrize("what", [".m3u8", ".ts"])
@pytest.mark.parametrize(("coding", "pack"), WHOLE)
def test_coded_playlists_and_segments_are_copied_as_what_they_are(
    bucket: S3, what: str, coding: str, pack: Pack
) -> None:
    def behave(path: str, content: bytes, _: int) -> Behaviour:
        if not path.endswith(what):
            return Behaviour(body=content)
        return Behaviour(headers={"Content-Encoding": coding}, body=pack(content))

    result, _ = copied_ladder(bucket, behave)
    assert isinstance(result, Stored), result
    assert sorted(bucket.objects().values())[-4:] == [len(SEGMENT)] * 4
    assert len(bucket.objects()) == 7


@pytest.mark.parametrize("path", ["/v/index.m3u8", "/v/high/index.m3u8", "/v/low/s1.ts"])
@pytest.mark.parametrize(("coding", "pack"), NOT_WHOLE)
def test_a_coded_playlist_or_segment_that_is_not_whole_is_an_attempt(
    bucket: S3, path: str, coding: str, pack: Pack
) -> None:
    def behave(asked: str, content: bytes, _: int) -> Behaviour:
        if asked != path:
            return Behaviour(body=content)
        return Behaviour(headers={"Content-Encoding": coding}, body=pack(content))

    result, _ = copied_ladder(bucket, behave)
    assert isinstance(result, Retry), result
    assert "index.m3u8" not in bucket.objects()


# -- playlists whose server does not say where they end


def closed(content: bytes) -> Behaviour:
    """A body that ends with its connection."""
    return Behaviour(body=content, length=False)


def test_a_media_playlist_is_whole_when_its_last_line_says_so(bucket: S3) -> None:
    result, asked = copied_ladder(
        bucket, lambda path, content, _: closed(content) if path.endswith("w/index.m3u8") else Behaviour(body=content)
    )
    assert isinstance(result, Stored), result
    assert (result.evidence["level"], asked["/v/low/index.m3u8"]) == ("content-length", 1)


@pytest.mark.parametrize("end", [len(MEDIA) - 3, MEDIA.index(b"#EXT-X-ENDLIST"), MEDIA.index(b"#EXTINF:2,\ns1"), 7])
def test_a_media_playlist_cut_short_is_an_attempt_and_nothing_final(bucket: S3, end: int) -> None:
    def behave(path: str, content: bytes, _: int) -> Behaviour:
        return closed(content[:end]) if path == "/v/low/index.m3u8" else Behaviour(body=content)

    for options in ({}, {"options": replace(QUICK, minimum_evidence="none")}):
        result, _ = copied_ladder(bucket, behave, options)
        assert isinstance(result, Retry), result
        assert "cut" in result.message
        assert bucket.objects() == {}


def test_a_master_playlist_without_a_declared_end_is_asked_for_as_a_range(bucket: S3) -> None:
    """The first answer lacks a variant; the answer to a range says how large the whole is."""

    def behave(path: str, content: bytes, number: int) -> Behaviour:
        if path != "/v/index.m3u8":
            return Behaviour(body=content)
        if number == 0:
            return closed(content[: content.index(b"#EXT-X-STREAM-INF:BANDWIDTH=2")])
        whole = {"Content-Range": f"bytes 0-{len(content) - 1}/{len(content)}"}
        return Behaviour(status=206, body=content, headers=whole, length=False)

    result, _ = copied_ladder(bucket, behave)
    assert isinstance(result, Stored), result
    assert bucket.read("index.m3u8").count(b"index.m3u8") == 2


@pytest.mark.parametrize("content_range", ["bytes 0-9/4000", "bytes 5-90/91", "nonsense"])
def test_an_answer_to_the_range_that_is_not_the_whole_proves_nothing(bucket: S3, content_range: str) -> None:
    def behave(path: str, content: bytes, number: int) -> Behaviour:
        if path != "/v/index.m3u8":
            return Behaviour(body=content)
        if number != 1:
            return closed(content)
        return Behaviour(status=206, body=content[:10], headers={"Content-Range": content_range})

    result, asked = copied_ladder(bucket, behave)
    assert (result.code, asked["/v/index.m3u8"]) == ("EVIDENCE_TOO_WEAK", 3)


def test_a_range_that_is_cut_is_not_the_whole_that_it_promises(bucket: S3) -> None:
    def behave(path: str, content: bytes, number: int) -> Behaviour:
        if path != "/v/index.m3u8":
            return Behaviour(body=content)
        promised = {"Content-Range": f"bytes 0-{len(content) - 1}/{len(content)}"}
        short = content[: content.index(b"#EXT-X-STREAM-INF:BANDWIDTH=2")]
        return Behaviour(status=206, body=short, headers=promised, length=False) if number == 1 else closed(short)

    result, _ = copied_ladder(bucket, behave)
    assert isinstance(result, Retry), result
    assert (result.code, bucket.objects()) == ("EVIDENCE_TOO_WEAK", {})


def test_a_master_playlist_that_comes_twice_the_same_is_as_weak_as_its_missing_end(bucket: S3) -> None:
    """A cut at the same line each time looks like a whole playlist: `MinimumEvidence` decides."""

    def behave(path: str, content: bytes, _: int) -> Behaviour:
        return closed(content) if path == "/v/index.m3u8" else Behaviour(body=content)

    result, _ = copied_ladder(bucket, behave)
    assert isinstance(result, Retry)
    assert (result.code, bucket.objects()) == ("EVIDENCE_TOO_WEAK", {})
    assert "does not say where it ends" in result.message

    result, _ = copied_ladder(bucket, behave, {"options": replace(QUICK, minimum_evidence="none")})
    assert isinstance(result, Stored), result
    assert result.evidence["level"] == "none"


def test_a_master_playlist_that_comes_twice_unlike_is_an_attempt(bucket: S3) -> None:
    def behave(path: str, content: bytes, number: int) -> Behaviour:
        return closed(content[: 60 - number]) if path == "/v/index.m3u8" else Behaviour(body=content)

    result, _ = copied_ladder(bucket, behave, {"options": replace(QUICK, minimum_evidence="none")})
    assert isinstance(result, Retry)
    assert (result.code, "60 and with 59 bytes" in result.message) == ("SHORT_BODY", True)


# -- headers of the account


def test_an_accounts_headers_go_with_every_request_for_a_stream(bucket: S3) -> None:
    def behave(_: str, content: bytes, __: int) -> Behaviour:
        return Behaviour(body=content)

    def wants_a_referer(request: Request, number: int) -> Behaviour:
        good = request.headers.get("referer") == "https://player.example/"
        return behave(request.path, LADDER[request.path], number) if good else Behaviour(status=403)

    with SourceServer(b"", script=wants_a_referer) as source:
        copy = Copy(SimpleNamespace(url=source.url.rpartition("/")[0]), bucket)
        refused = copy()
        assert isinstance(refused, Retry)
        assert (refused.code, "download_headers" in refused.message) == ("SOURCE_REFUSED", True)
        headers = FileHeaders({"Referer": "https://player.example/"})
        headers.trust(source.url)
        assert isinstance(copy(outbound=Outbound(allow_private=True).sending(headers)), Stored)


def test_an_accounts_headers_go_with_every_range_of_a_file(s3: S3Server) -> None:
    with SourceServer(
        BODY, script=lambda r, n: None if r.headers.get("x-token") == "secret" else Behaviour(status=401)
    ) as source:
        headers = FileHeaders({"X-Token": "secret"}, ["127.0.0.1"])
        rig = Rig(s3, source, outbound=Outbound(allow_private=True).sending(headers))
        rig.assert_stored(rig.call(), BODY)


# -- refusals, and how long to wait


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v/index.m3u8", 403, "SOURCE_REFUSED"),
        ("/v/low/index.m3u8", 403, "SOURCE_REFUSED"),
        ("/v/low/s1.ts", 403, "SOURCE_REFUSED"),
        ("/v/low/s1.ts", 451, "SOURCE_REFUSED"),
        ("/v/low/index.m3u8", 404, "HLS_SEGMENT_MISSING"),
        ("/v/low/s1.ts", 410, "HLS_SEGMENT_MISSING"),
    ],
)
def test_a_refused_part_of_a_stream_says_which_refusal_it_was(bucket: S3, path: str, status: int, code: str) -> None:
    result, _ = copied_ladder(
        bucket, lambda asked, content, _: Behaviour(status=status) if asked == path else Behaviour(body=content)
    )
    assert isinstance(result, Retry), result
    assert (result.code, f"HTTP {status}" in result.message) == (code, True)


def test_a_playlist_is_left_alone_for_as_long_as_its_server_asks(bucket: S3) -> None:
    busy = Behaviour(status=503, headers={"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"})
    result, asked = copied_ladder(bucket, lambda *_: busy)
    assert isinstance(result, Retry)
    assert (result.code, result.wait_seconds, asked) == ("SOURCE_THROTTLED", 86_400, {"/v/index.m3u8": 1})
