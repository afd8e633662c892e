"""A source that is too slow for one call ends STORED or FAILED after calls that can be counted, never at the deadline.

Calls are a second long here and parts 64 KiB, in place of 15 minutes and 8 MiB.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from clipferry.jobs.file import DOWNLOAD_BUDGET
from clipferry.transfer import Failed, More, Retry, Stored

from tests.unit.transfer.rig import OPTIONS, PART, STEM, Rig
from tests.unit.transfer.s3_server import S3Fault, S3Server
from tests.unit.transfer.source_server import Behaviour, Request, SourceServer, video

MANY = replace(OPTIONS, connections=16, buffers=18 * PART)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of a second between two looks at the clock is much of a call here."""
    monkeypatch.setattr("clipferry.transfer.pump._TICK", 0.02)


@pytest.fixture
def s3() -> Iterator[S3Server]:
    with S3Server(min_part=PART // 2) as server:
        yield server


@dataclass
class Calls:
    """The calls of one copy, counted as the download function counts them."""

    rig: Rig
    seconds: float
    results: list[Any] = field(default_factory=list)
    attempts: int = 0
    reached: int = 0

    def run(self, most: int = 60) -> Calls:
        while len(self.results) < most and self.attempts < DOWNLOAD_BUDGET:
            ends = time.monotonic() + self.seconds
            self.results.append(result := self.rig.call(time_left=lambda ends=ends: ends - time.monotonic()))
            if self.rig.saves and self.rig.saves[-1][1] > self.reached:
                self.reached, self.attempts = self.rig.saves[-1][1], 0
            self.attempts += isinstance(result, Retry)
            if isinstance(result, Stored | Failed):
                break
        return self

    @property
    def last(self) -> Any:
        return self.results[-1]

    @property
    def failed(self) -> list[Retry]:
        return [result for result in self.results if isinstance(result, Retry)]


# -- slow, and stored -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kilobytes", "parts"),
    [(100, 22), (155, 32)],
)
def test_a_bandwidth_for_all_connections_together_is_used_though_no_part_would_come_over_all_of_them(
    s3: S3Server, kilobytes: int, parts: int
) -> None:
    """As 100 or 155 KB/s are to parts of 8 MiB in calls of 15 minutes: 10 or 16 parts a call over one connection."""
    a_call, seconds = kilobytes * 1000 * 855 / (8 * 1024 * 1024), 1.6
    body = video(parts * PART)
    with SourceServer(body, bandwidth=a_call * PART / (0.95 * seconds)) as source:
        calls = Calls(Rig(s3, source, options=MANY), seconds).run()
        calls.rig.assert_stored(calls.last, body)
    assert len(calls.results) <= 2 + 2 * parts / a_call
    assert len(calls.failed) <= 1
    assert source.bytes_sent < 2 * len(body)


def test_parts_become_smaller_where_not_one_would_come_within_a_call(s3: S3Server) -> None:
    body, smallest = video(3 * PART // 2), PART // 2
    with SourceServer(body, bandwidth=0.7 * PART / 1.2) as source:
        calls = Calls(Rig(s3, source, options=replace(OPTIONS, smallest_part=smallest)), 1.2).run()
        calls.rig.assert_stored(calls.last, body)
    assert [type(result) for result in calls.results[:2]] == [Retry, More]
    assert "too slow" in calls.failed[0].message
    assert s3.calls["CreateMultipartUpload"] == 2
    assert calls.rig.checkpoint["part_size"] == smallest
    assert s3.uploads == {}


def test_parts_that_are_stored_are_not_given_up_for_smaller_ones(s3: S3Server) -> None:
    body = video(4 * PART)
    with SourceServer(body) as source:
        rig = Rig(s3, source, options=replace(OPTIONS, smallest_part=PART // 2))
        source.script = lambda request, number: Behaviour(hang_after=10) if number > 1 else None
        calls = Calls(rig, 0.5).run(most=3)
        source.script = lambda request, number: None
        rig.assert_stored(rig.finish(), body)
    assert [type(result) for result in calls.results] == [More, Retry, Retry]
    assert s3.calls["CreateMultipartUpload"] == 1


def test_a_call_leaves_to_the_next_how_many_connections_it_could_use(s3: S3Server) -> None:
    with SourceServer(video(60 * PART), bandwidth=7 * PART) as source:
        calls = Calls(Rig(s3, source, options=MANY), 2.0).run(most=1)
    assert isinstance(calls.last, More)
    assert 1 <= calls.rig.checkpoint["connections"] < MANY.connections


def test_a_call_begins_with_as_many_connections_as_the_last_one_could_use(s3: S3Server) -> None:
    with SourceServer(video(60 * PART), usual=Behaviour(hang_after=5000)) as source:
        Calls(Rig(s3, source, options=MANY, checkpoint={"connections": 3}), 0.4).run(most=1)
    assert source.most_at_once == 3


def test_a_checkpoint_of_the_release_before_goes_on(s3: S3Server) -> None:
    body = video(6 * PART)
    with SourceServer(body) as source:
        rig = Rig(s3, source)
        s3.fail("CompleteMultipartUpload", *[S3Fault(500, "InternalError")] * 5)
        assert isinstance(rig.call(), Retry)
        for name in ("connections", "part_size"):
            del rig.checkpoint[name]
        rig.assert_stored(rig.finish(), body)


# -- slow, and given up -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at_once", "bandwidth"), [(0, 60), (5000, 60), (5000, 30_000)])
def test_a_source_that_dribbles_fails_after_its_attempts(s3: S3Server, at_once: int, bandwidth: int) -> None:
    with SourceServer(video(6 * PART), bandwidth=bandwidth, usual=Behaviour(at_once=at_once)) as source:
        calls = Calls(Rig(s3, source), 0.3).run()
    assert [type(result) for result in calls.results] == [Retry] * DOWNLOAD_BUDGET
    assert {result.code for result in calls.failed} == {"SOURCE_UNAVAILABLE"}
    assert s3.objects == {}


def test_a_source_that_dribbles_after_some_parts_fails_after_its_attempts(s3: S3Server) -> None:
    body = video(6 * PART)
    with SourceServer(body, usual=Behaviour(at_once=PART)) as source:
        source.script = lambda request, number: source.behave(hang_after=100) if number > 2 else None
        calls = Calls(Rig(s3, source), 0.5).run()
    assert [type(result) for result in calls.results] == [More, *[Retry] * DOWNLOAD_BUDGET]
    assert calls.last.code == "SOURCE_UNAVAILABLE"


def test_a_slow_source_without_ranges_fails_after_its_attempts(s3: S3Server) -> None:
    """What has come of a single stream cannot be gone on with in the next call: each call is an attempt."""
    with SourceServer(video(8 * PART), bandwidth=4 * PART, usual=Behaviour(ranges=False)) as source:
        calls = Calls(Rig(s3, source), 0.6).run()
    assert [type(result) for result in calls.results] == [Retry] * DOWNLOAD_BUDGET
    assert "no ranges" in calls.last.message
    assert s3.uploads == {}


def test_a_stream_that_is_all_in_s3_when_the_time_is_over_is_completed_by_the_next_call(s3: S3Server) -> None:
    body = video(4 * PART)
    with SourceServer(body, usual=Behaviour(ranges=False)) as source:
        rig = Rig(s3, source)
        s3.fail("CompleteMultipartUpload", *[S3Fault(500, "InternalError")] * 5)
        assert isinstance(rig.call(), Retry)
        rig.assert_stored(rig.call(), body)
    assert len(source.requests) == 1


def test_a_file_that_is_never_there_when_looked_for_costs_its_grace_and_no_more(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time that a call takes to find nothing counts, or each of a dozen looks could take a whole call."""
    monkeypatch.setattr("clipferry.transfer.file_copy.not_there_wait", lambda waited: 0.001)

    def gone(request: Request, number: int) -> Behaviour:
        return Behaviour(status=404, delay=0.1)

    with SourceServer(video(2 * PART), script=gone) as source:
        calls = Calls(Rig(s3, source, options=replace(OPTIONS, not_there_grace=0.6)), 5.0).run(most=10)
    assert isinstance(calls.last, Failed)
    assert calls.last.code == "SOURCE_GONE"
    assert len(calls.results) <= 4


def test_the_grace_begins_anew_with_a_call_that_got_further(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipferry.transfer.file_copy.not_there_wait", lambda waited: 0.4)
    body = video(8 * PART)

    def now_and_then(request: Request, number: int) -> Behaviour | None:
        return Behaviour(status=404) if number % 5 > 1 else None

    with SourceServer(body, script=now_and_then) as source:
        options = replace(OPTIONS, connections=1, not_there_grace=0.5)
        calls = Calls(Rig(s3, source, options=options), 5.0).run()
        calls.rig.assert_stored(calls.last, body)
    assert sum(isinstance(result, More) for result in calls.results) >= 3


@pytest.mark.parametrize("state_can_be_kept", [True, False])
def test_what_cannot_be_read_back_within_a_call_is_an_attempt(s3: S3Server, state_can_be_kept: bool) -> None:
    body = video(4 * PART)
    with SourceServer(body) as source:
        rig = Rig(s3, source)
        s3.fail("CompleteMultipartUpload", S3Fault(drop=True, after=True), *[S3Fault(500, "InternalError")] * 4)
        assert isinstance(rig.call(), Retry)
        assert STEM + ".mp4" in s3.objects
        rig.checkpoint = {**rig.checkpoint, "digests": None}
        result = rig.call(time_left=lambda: 0.0)
        assert isinstance(result, Retry)
        assert result.code == "STORAGE_UNAVAILABLE"
        rig.assert_stored(rig.finish(), body)


def test_a_stopped_copy_whose_connections_wait_for_their_place_ends_at_once(s3: S3Server) -> None:
    """Most of the connections stand in line when the source refuses for good; none may wait until the call is over."""

    def refuse(request: Request, number: int) -> Behaviour | None:
        if number in (1, 2, 3):
            return Behaviour(status=429, headers={"Retry-After": "0"}, delay=0.05)
        return Behaviour(status=302, headers={"Location": "ftp://nowhere/"}, delay=0.1) if number > 3 else None

    with SourceServer(video(30 * PART), script=refuse) as source:
        began = time.monotonic()
        assert isinstance(Rig(s3, source, options=MANY).call(), Failed)
    assert time.monotonic() - began < 10
