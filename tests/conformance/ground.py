"""A job of one vendor from its door to its end: the real steps and the real copy, on a mocked AWS, against a simulator.

The clock of the job and the vendor's are moved together in place of waiting. Whatever a step raises fails the test.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from clipferry import transfer
from clipferry.jobs.job import Job
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.outbound.client import Outbound, Reply, Stream
from clipferry.steps.context import Runtime
from clipferry.steps.finish import Closing
from clipferry.store.job_records import Jobs
from clipferry.vendors import vendor_class

from local.simulators import simulator_class
from local.simulators.base import Simulator
from local.simulators.stage import Scene, Stage
from tests.unit.steps.aws import PREFIX, Edge, aws, client
from tests.unit.steps.world import STEPS_MAX, World

LIFETIME = 120.0  # seconds that a trigger or a poll may take: their functions' timeout


class Watching(Outbound):
    """The way out, with a list of what was downloaded through it. `before_call` is done before each API call."""

    def __init__(self) -> None:
        super().__init__(allow_private=True)
        self.fetched: list[str] = []
        self.before_call: Callable[[], None] = lambda: None

    def call(self, method: str, url: str, **options: Any) -> Reply:
        self.before_call()
        return super().call(method, url, **options)

    def stream(self, url: str, **options: Any) -> Stream:
        self.fetched.append(url)
        return super().stream(url, **options)


class Store:
    """S3 as moto can take it: bodies as bytes, one operation at a time."""

    def __init__(self) -> None:
        self._client, self._one_at_a_time = client("s3"), threading.Lock()
        self.exceptions, self.meta = self._client.exceptions, self._client.meta

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*words: Any, **parameters: Any) -> Any:
            body = {"Body": bytes(parameters["Body"])} if "Body" in parameters else {}
            with self._one_at_a_time:
                return getattr(self._client, name)(*words, **{**parameters, **body})

        return call


@dataclass(frozen=True)
class Answered:
    """What one call of a step told the machine, and what the job then was."""

    step: str
    wait: float  # seconds
    ready: tuple[str, ...]  # file ids handed to download
    statuses: tuple[FileStatus, ...]
    listed: bool
    took: float  # seconds


class Ground(World):
    """The world of `tests/unit/steps` with a real vendor, a real simulator and a real copy in it."""

    def __init__(self, edge: Edge, monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> None:
        super().__init__(edge, monkeypatch)
        self.simulator, self.vendor, self.stage = simulator, simulator.vendor, simulator.stage
        self.outbound = Watching()
        self.rt = Runtime(
            Jobs((self.vendor,)), self.outbound, now=lambda: self.time, sleep=self.wait, rng=random.Random(7)
        )
        self.s3 = Store()
        self.closing = Closing(self.rt, self.s3)  # type: ignore[arg-type]
        self.answered: list[Answered] = []
        self.call_seconds = 0.0  # that the vendor takes for a call
        self.outbound.before_call = lambda: self.wait(self.call_seconds)
        self.put_secret(simulator.secret())

    # -- what users do ----------------------------------------------------------------------------------------

    def put_secret(self, secret: Mapping[str, Any]) -> None:
        """Under the vendor's own name, in place of what is there."""
        secrets, text = client("secretsmanager"), json.dumps(secret)
        with self._aws_itself():
            try:
                secrets.create_secret(Name=f"{PREFIX}/{self.vendor}", SecretString=text)
            except secrets.exceptions.ResourceExistsException:
                secrets.put_secret_value(SecretId=f"{PREFIX}/{self.vendor}", SecretString=text)

    def ask_for(self, scene: Scene, **body: Any) -> str:
        """Submit the scene's request; the simulator is set for it. The job's id."""
        for name, value in scene.settings.items():
            setattr(self.simulator.settings, name, value)
        return self.submit(vendor=self.vendor, request=dict(scene.request), **body)

    def adopt(self, adopt: Mapping[str, Any]) -> str:
        return self.submit(vendor=self.vendor, adopt=dict(adopt))

    def play(self, scene: Scene, **body: Any) -> Job:
        """Ask for it and let everything come to its end."""
        job_id = self.ask_for(scene, **body)
        self.settle()
        return self.job(job_id)

    # -- the machine --------------------------------------------------------------------------------------------

    def trigger(self, job_id: str, generation: int = 1, time_left: Any = None, **run: Any) -> dict[str, Any]:
        return super().trigger(job_id, generation, time_left or self._lifetime(), **run)

    def poll(self, job_id: str, generation: int = 1, time_left: Any = None, **run: Any) -> dict[str, Any]:
        return super().poll(job_id, generation, time_left or self._lifetime(), **run)

    def _lifetime(self) -> Callable[[], float] | None:
        """What is left of a step that begins now, where a vendor call takes time."""
        begun = self.time
        return (lambda: LIFETIME - (self.time - begun).total_seconds()) if self.call_seconds else None

    def trigger_until_sent(self, job_id: str) -> None:
        """As the machine does, until there is something to look at, or an end."""
        self._walk(job_id, "Trigger", lambda: self.trigger(job_id), lambda state: state["next"] != "TRIGGER")

    def look_until_ready(self, job_id: str) -> None:
        """As the machine does, but that nothing is copied: until every file of the job is ready."""

        def over(state: dict[str, Any]) -> bool:
            job = self.job(job_id)
            assert state["next"] in ("WAIT", "DOWNLOAD"), job.error
            return job.listed and all(file.status is FileStatus.READY for file in job.files)

        self._walk(job_id, "Poll", lambda: self.poll(job_id), over)

    def _walk(
        self, job_id: str, name: str, step: Callable[[], dict[str, Any]], over: Callable[[dict[str, Any]], bool]
    ) -> None:
        for _ in range(STEPS_MAX):
            state = self._task(name, step)
            if over(state):
                return
            self.wait(state["wait_seconds"])
        raise AssertionError(f"{name} goes round without end: {self.job(job_id)}")

    def meet_the_clock(self) -> None:
        """From now on the vendor's clock shows the job's time, however much of it was passed by instead of waited."""
        self.simulator.clock.skew = (self.time - datetime.now(UTC)).total_seconds()

    def wait(self, seconds: float) -> None:
        super().wait(seconds)
        self.simulator.advance(seconds)

    def _task(self, name: str, step: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        begun = self.time
        state = step()
        took = (self.time - begun).total_seconds()
        jobs = [self.job(state["job_id"])] if "job_id" in state else []
        statuses = tuple(file.status for job in jobs for file in job.files)
        ready = tuple(state.get("ready", ()))
        listed = any(job.listed for job in jobs)
        self.answered.append(Answered(name, state.get("wait_seconds", 0), ready, statuses, listed, took))
        return state

    # -- proof --------------------------------------------------------------------------------------------------

    def assert_equal(self, job: Job) -> None:
        """What is stored is what the vendor served, each video once."""
        served = {str(known["sha256"]) for known in self.simulator.expected.values()}
        stored = [file for file in job.files if file.status is FileStatus.STORED]
        videos, hashes = self.videos(), set()
        for file in stored:
            body = videos[str(file.s3_uri).partition("/videos/")[2]]
            digest = hashlib.sha256(body).hexdigest()
            assert digest in served
            assert file.evidence is not None
            assert digest == file.evidence["sha256"]
            hashes.add(digest)
        assert len(hashes) == len(stored)

    def assert_silent(self) -> None:
        """No credential and no signed URL was written anywhere."""
        keys = [self.simulator.secret()[key] for key in vendor_class(self.vendor).secret_keys]
        queries = [url.partition("?")[2] for url in self.outbound.fetched]
        for secret in filter(None, [*keys, *queries]):
            assert not any(secret in written for written in self.edge.written)

    def assert_ended(self, job: Job, status: JobStatus, stored: int) -> None:
        """The job has one end that everything agrees on, and it stands up to proof."""
        self.assert_honest_now(job.job_id, status, stored=stored)
        self.assert_equal(self.job(job.job_id))
        self.assert_silent()

    def assert_failed(self, job: Job, code: str) -> None:
        """Failed for a reason with a name and words, and nothing is left of it."""
        self.assert_ended(job, JobStatus.FAILED, 0)
        assert job.error is not None
        assert (job.error.code, bool(job.error.message)) == (code, True)
        assert self.videos() == {}


@contextmanager
def ground(monkeypatch: pytest.MonkeyPatch, vendor: str) -> Iterator[Ground]:
    """Sets everything up and takes it down again."""
    real = transfer.copy

    def quick(**given: Any) -> Any:
        options = replace(given.pop("options"), connections=2, backoff=0.005, part_size=256 * 1024, buffers=1024 * 1024)
        return real(**given, options=options)

    with aws(monkeypatch) as edge, simulator_class(vendor)() as simulator, monkeypatch.context() as patches:
        patches.setattr(transfer, "copy", quick)
        yield Ground(edge, monkeypatch, simulator)


__all__ = ["Ground", "Stage", "ground"]
