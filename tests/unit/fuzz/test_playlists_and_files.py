"""Whatever a file server sends, a copy comes to one of its results, in time and within its memory."""

from __future__ import annotations

import time
from typing import Any

import pytest
from clipferry.outbound.retry_after import retry_after
from clipferry.transfer import Failed, More, Retry, Stored
from clipferry.transfer.errors import AttemptFailed, Hopeless
from clipferry.transfer.hls.playlist import parse
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.fuzz.hostile import SECRET, fuzzed, in_time, texts
from tests.unit.transfer.rig import OPTIONS, Rig
from tests.unit.transfer.s3_server import S3Server
from tests.unit.transfer.source_server import Behaviour, SourceServer, video

TAGS = (
    *("#EXTM3U", "#EXT-X-ENDLIST", "#EXTINF:2,", "#EXT-X-STREAM-INF:BANDWIDTH=1", "#EXT-X-MEDIA:TYPE=AUDIO,URI="),
    *("#EXT-X-MAP:URI=", "#EXT-X-KEY:METHOD=AES-128,URI=", "#EXT-X-BYTERANGE:", "#EXT-X-TARGETDURATION:"),
    *("#EXT-X-DEFINE:NAME=", "#EXT-X-VERSION:", "#EXT-X-I-FRAME-STREAM-INF:URI=", "#EXT-X-DISCONTINUITY"),
    *("#EXT-X-SKIP:", "# ", "#EXT", "seg.ts", "https://a.example/s.ts", ""),
)
lines = st.tuples(st.sampled_from(TAGS), texts).map("".join)
playlists = st.lists(lines, max_size=12).map(lambda found: "#EXTM3U\n" + "\n".join(found))


@fuzzed(60)
@given(text=st.one_of(playlists, playlists.map(lambda text: text + "\n#EXT-X-ENDLIST"), texts))
def test_any_playlist_is_read_or_refused(text: str) -> None:
    content, said = text.encode("utf-8", "replace"), ""
    with in_time():
        try:
            parse(content, f"https://b.example/v/index.m3u8?{SECRET}").render(lambda reference: "x")
        except (AttemptFailed, Hopeless) as error:
            said = error.message
    assert SECRET not in said


@fuzzed(60)
@given(value=texts)
def test_any_retry_after_is_seconds_or_nothing(value: str) -> None:
    with in_time(0.5):
        found = retry_after(value)
    assert found is None or 0 <= found <= 7 * 86_400


def in_headers(text: str) -> str:
    """As far as a server's own library sends it."""
    return "".join(c for c in text if c.isprintable() and ord(c) < 256)[:2000]


RANGES = ("bytes 0-9/10", "bytes 0-65535/*", "bytes 5-1/3", "bytes 0-65535/99999999999999999999", "0-")
header_values = st.one_of(
    texts.map(in_headers), st.sampled_from([*RANGES, "gzip", "br", "identity", '"v1"', "W/", "0", "-1", "1e3"])
)
HEADERS = ("ETag", "Last-Modified", "Content-Encoding", "Content-Type", "Content-MD5", "Retry-After", "Location")
behaviours = st.builds(
    Behaviour,
    status=st.sampled_from([None, None, 200, 206, 204, 302, 403, 404, 416, 429, 500, 503]),
    headers=st.dictionaries(
        st.sampled_from(HEADERS),
        header_values,
        max_size=3,
    ),
    body=st.one_of(st.none(), st.binary(max_size=300), texts.map(lambda text: text.encode("utf-8", "replace"))),
    ranges=st.booleans(),
    length=st.booleans(),
    chunked=st.booleans(),
    end_after=st.one_of(st.none(), st.integers(0, 100)),
    content_range=st.one_of(st.none(), header_values),
)


@pytest.fixture(scope="module")
def s3() -> Any:
    with S3Server() as server:
        yield server


@fuzzed(25)
@given(answers=st.lists(behaviours, min_size=1, max_size=4), good=st.booleans())
def test_any_answers_of_a_file_server_come_to_a_result(s3: S3Server, answers: list[Behaviour], good: bool) -> None:
    s3.objects.clear()
    s3.uploads.clear()
    body = video(200_000) if good else b"\x00" * 200_000

    with SourceServer(body, script=lambda request, number: answers[number % len(answers)]) as source:
        rig = Rig(s3, source)
        ends = time.monotonic() + 3
        for _ in range(4):
            with in_time(4):
                result = rig.call(time_left=lambda: ends - time.monotonic(), backoff=0.001)
            assert isinstance(result, Stored | More | Retry | Failed)
            if isinstance(result, Stored | Failed) or time.monotonic() > ends:
                break
        if isinstance(result, Retry | Failed):
            assert "secret" not in result.message
        if isinstance(result, Stored):
            assert result.size == len(rig.stored_body())
    assert OPTIONS.buffers
