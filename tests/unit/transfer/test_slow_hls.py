"""An HLS video whose source is too slow ends STORED or FAILED after calls that can be counted.

Calls are a second or two long here and segments 64 KiB.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from clipferry.jobs.file import DOWNLOAD_BUDGET
from clipferry.outbound.client import Outbound
from clipferry.transfer.connection_limit import Reading
from clipferry.transfer.hls.hls_copy import HlsCopy
from clipferry.transfer.interface import CopyCall, Destination, Failed, More, Options, Retry, Stored
from clipferry.vendors.contract import Remote

from tests.unit.transfer.hls_world import S3, TS, s3_bucket
from tests.unit.transfer.source_server import Behaviour, Request, SourceServer

SEGMENT = 348 * 188  # bytes
OPTIONS = Options(
    connections=8, part_size=8 * 1024 * 1024, buffers=8 * 24 * 1024 * 1024, backoff=0.005, save_every=0.05
)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of a second between two looks at the clock is much of a call here."""
    monkeypatch.setattr("clipferry.transfer.hls.hls_copy._TICK", 0.02)


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_bucket() as bucket:
        yield bucket


def video(segments: int) -> dict[str, bytes]:
    """The files of a video, by path."""
    names = [f"s{number}.ts" for number in range(segments)]
    lines = "".join(f"#EXTINF:2,\n{name}\n" for name in names)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{lines}#EXT-X-ENDLIST\n".encode()
    packets = {f"/v/{name}": TS * 347 + b"\x47" + bytes([number] * 187) for number, name in enumerate(names)}
    return {"/v/index.m3u8": playlist, **packets}


@dataclass
class Calls:
    """The calls of one copy, counted as the download function counts them."""

    source: SourceServer
    s3: S3
    seconds: float
    checkpoint: dict[str, Any] = field(default_factory=dict)
    results: list[Any] = field(default_factory=list)
    copied: int = 0
    attempts: int = 0

    def save(self, checkpoint: dict[str, Any], copied: int) -> None:
        self.checkpoint = checkpoint
        if copied > self.copied:
            self.copied, self.attempts = copied, 0

    def run(self, most: int = 40) -> Calls:
        url = self.source.url.partition("/video")[0] + "/v/index.m3u8"
        while len(self.results) < most and self.attempts < DOWNLOAD_BUDGET:
            ends = time.monotonic() + self.seconds
            call = CopyCall(
                locate=lambda: Remote(url, kind="hls"),
                destination=Destination("bucket", "p/f001"),
                outbound=Outbound(allow_private=True),
                hosts=[],
                s3=self.s3,  # type: ignore[arg-type]
                checkpoint=self.checkpoint,
                save=self.save,
                time_left=lambda ends=ends: ends - time.monotonic(),
                options=OPTIONS,
            )
            self.results.append(result := HlsCopy(call).run())
            self.attempts += isinstance(result, Retry)
            if isinstance(result, Stored | Failed):
                break
        return self

    @property
    def kinds(self) -> list[type]:
        return [type(result) for result in self.results]


def from_number(segment: int, how: Behaviour) -> Any:
    """The playlist and the segments before this one come at once, the others so."""

    def script(request: Request, _: int) -> Behaviour | None:
        name = request.path.rpartition("/")[2]
        return how if name.startswith("s") and int(name[1:-3]) >= segment else None

    return script


@pytest.mark.parametrize("ranges", [True, False])
def test_a_bandwidth_that_all_segments_share_is_used_though_none_of_eight_would_come_in_time(
    s3: S3, ranges: bool
) -> None:
    a_call, seconds, segments = 5, 1.6, 15
    free = Behaviour(at_once=10**6)
    with SourceServer(b"", files=video(segments), bandwidth=a_call * SEGMENT / (0.95 * seconds)) as source:
        source.usual = Behaviour(ranges=ranges)
        source.script = lambda request, _: free if request.path.endswith("m3u8") else None
        calls = Calls(source, s3, seconds).run()
    assert isinstance(calls.results[-1], Stored), calls.results
    assert calls.kinds.count(Retry) <= (1 if ranges else 3)
    assert len(calls.results) <= 3 + 2 * segments / a_call


def test_a_video_whose_segments_dribble_fails_after_its_attempts(s3: S3) -> None:
    with SourceServer(b"", files=video(4), bandwidth=2000) as source:
        source.script = from_number(0, Behaviour(at_once=5000))
        source.usual = Behaviour(at_once=10**6)
        calls = Calls(source, s3, 0.4).run()
    assert calls.kinds == [Retry] * DOWNLOAD_BUDGET
    assert {result.code for result in calls.results} == {"SOURCE_UNAVAILABLE"}


def test_one_segment_that_dribbles_among_others_fails_the_video_after_its_attempts(s3: S3) -> None:
    """What lies behind it is stored by the first calls, and then nothing more is."""

    def script(request: Request, _: int) -> Behaviour | None:
        return Behaviour(hang_after=5000) if request.path == "/v/s3.ts" else None

    with SourceServer(b"", files=video(12), script=script) as source:
        calls = Calls(source, s3, 0.6).run()
    assert More in calls.kinds
    assert calls.kinds[-DOWNLOAD_BUDGET:] == [Retry] * DOWNLOAD_BUDGET
    assert len(calls.kinds) <= 3 + DOWNLOAD_BUDGET
    asked = [request.path for request in source.requests]
    assert asked.count("/v/s9.ts") == 1, "what is stored is not asked for again"


def test_a_playlist_that_is_there_and_gone_again_does_not_hide_calls_without_a_segment(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipferry.transfer.hls.hls_copy.not_there_wait", lambda waited: 1.0)
    looks = []

    def script(request: Request, _: int) -> Behaviour:
        if request.path.endswith("m3u8"):
            looks.append(request)
            return Behaviour(status=404) if len(looks) % 3 else Behaviour()
        return Behaviour(hang_after=5000)

    with SourceServer(b"", files=video(3), script=script) as source:
        calls = Calls(source, s3, 0.3).run()
    assert calls.kinds.count(Retry) == DOWNLOAD_BUDGET
    assert len(calls.results) <= 2 * DOWNLOAD_BUDGET


def test_a_checkpoint_of_the_release_before_goes_on(s3: S3) -> None:
    with SourceServer(b"", files=video(6), script=from_number(3, Behaviour(hang_after=500))) as source:
        calls = Calls(source, s3, 0.5).run(most=1)
        calls.checkpoint = {k: v for k, v in calls.checkpoint.items() if k not in ("most", "connections")} | {"idle": 1}
        source.script = lambda request, _: None
        assert isinstance(calls.run(most=2).results[-1], Stored)
    assert [request.path for request in source.requests].count("/v/s0.ts") == 1


def test_a_part_of_a_segment_is_late_when_the_rest_of_the_segment_would_be() -> None:
    part = Reading(("v0/00001", 0), length=100, received=50, seen=0, since=0.0)
    assert not part.late(now=10.0, left=100.0)
    assert replace(part, behind=400).late(now=10.0, left=80.0)
    assert not replace(part, behind=400).late(now=10.0, left=100.0)
