"""A process may die between any two steps. Hypothesis picks the step; the next call goes on and ends well.

Death is an exception that is not an Exception, raised by every request and every save from the chosen step on: nothing
can be cleaned up by the dead, as nothing can after kill -9.
"""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest
from clipferry.outbound.client import Outbound, Stream
from clipferry.transfer import Stored, abandon
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.transfer.rig import PART, STEM, Rig
from tests.unit.transfer.s3_server import S3Server
from tests.unit.transfer.source_server import SourceServer, video

BODY = video(6 * PART + 99)
STEPS = 40  # one undisturbed copy of BODY takes about thirty


class Killed(BaseException):
    """The end of a process."""


class Life:
    """Counts steps and ends at one of them, before or after the step took effect."""

    def __init__(self, end: int, *, after: bool) -> None:
        self._end, self._after = end, after
        self._steps = itertools.count(1)
        self._lock = threading.Lock()
        self._dead = False

    def step(self, action: Any, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            if self._dead:
                raise Killed
            last = next(self._steps) >= self._end
            self._dead = last
        if last and not self._after:
            raise Killed
        result = action(*args, **kwargs)
        if last:
            raise Killed
        return result


class MortalClient:
    """An S3 client whose every call is a step."""

    def __init__(self, client: Any, life: Life) -> None:
        self._client, self._life = client, life
        self.meta = client.meta

    def __getattr__(self, name: str) -> Any:
        return lambda **params: self._life.step(getattr(self._client, name), **params)


@pytest.fixture(scope="module")
def source() -> Any:
    with SourceServer(BODY) as server:
        yield server


@pytest.fixture(scope="module")
def s3() -> Any:
    with S3Server(min_part=PART) as server:
        yield server


def killed_call(rig: Rig, life: Life, monkeypatch: pytest.MonkeyPatch) -> object:
    """One call in a life that may end; what it returned, or None when it died."""
    living, save = rig.s3.client(), rig.save
    stream = Outbound.stream

    def mortal_stream(self: Outbound, *args: Any, **kwargs: Any) -> Stream:
        opened: Stream = life.step(stream, self, *args, **kwargs)
        return opened

    with monkeypatch.context() as patch:
        patch.setattr(Outbound, "stream", mortal_stream)
        rig.client = MortalClient(living, life)
        rig.save = lambda checkpoint, copied: life.step(save, checkpoint, copied)  # type: ignore[method-assign]
        try:
            return rig.call(save_every=0.0)
        except Killed:
            return None
        finally:
            rig.client, rig.save = None, save  # type: ignore[method-assign]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deaths=st.lists(st.tuples(st.integers(1, STEPS), st.booleans()), min_size=1, max_size=4))
def test_copy_killed_between_any_two_steps_ends_stored(
    s3: S3Server, source: SourceServer, monkeypatch: pytest.MonkeyPatch, deaths: list[tuple[int, bool]]
) -> None:
    s3.objects.clear()
    rig = Rig(s3, source)
    for end, after in deaths:
        killed_call(rig, Life(end, after=after), monkeypatch)
    rig.assert_stored(rig.finish(), BODY)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(end=st.integers(1, STEPS), after=st.booleans())
def test_job_cancelled_after_a_death_leaves_no_upload(
    s3: S3Server, source: SourceServer, monkeypatch: pytest.MonkeyPatch, end: int, after: bool
) -> None:
    s3.objects.clear()
    rig = Rig(s3, source)
    killed_call(rig, Life(end, after=after), monkeypatch)
    abandon(s3.client(), "bucket", rig.checkpoint)
    assert s3.uploads == {}


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("end", range(1, STEPS, 3))
def test_what_s3_has_is_not_read_from_the_source_again(
    s3: S3Server, source: SourceServer, monkeypatch: pytest.MonkeyPatch, end: int, after: bool
) -> None:
    s3.objects.clear()
    rig = Rig(s3, source)
    killed_call(rig, Life(end, after=after), monkeypatch)
    there = {n for upload in s3.uploads.values() for n in upload.parts} if rig.checkpoint.get("upload") else set()
    before = len(source.requests)
    result = rig.finish()
    rig.assert_stored(result, BODY)
    assert not {request.range[0] // PART + 1 for request in source.requests[before:] if request.range} & there


def test_object_completed_by_the_dead_is_verified_by_reading_it_back(s3: S3Server, source: SourceServer) -> None:
    """The reply to completion and every digest are lost: SHA-256 comes from the stored object."""
    s3.objects.clear()
    rig = Rig(s3, source)
    client = s3.client()
    complete = client.complete_multipart_upload

    def complete_and_die(**params: Any) -> None:
        complete(**params)
        raise Killed

    client.complete_multipart_upload = complete_and_die
    rig.client = client
    with pytest.raises(Killed):
        rig.call()
    assert STEM + ".mp4" in s3.objects
    rig.client = None
    rig.checkpoint = {**rig.checkpoint, "digests": None}
    asked, sent = s3.calls["GetObject"], source.bytes_sent
    result = rig.finish()
    rig.assert_stored(result, BODY)
    assert isinstance(result, Stored)
    assert s3.calls["GetObject"] > asked
    assert source.bytes_sent == sent
