"""One small world a test: the mocked account, the scripted vendor, a clock, and a machine that runs executions.

The machine walks the states as `statemachine/retrieve.asl.json` does: it repeats a step that raised, follows the data
that a step answers with, and moves the clock instead of waiting.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aws_lambda_powertools import Logger
from clipferry import transfer, vendors
from clipferry.aws import executions
from clipferry.jobs.job import Job
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.outbound.client import Outbound
from clipferry.steps.context import Runtime
from clipferry.steps.download import download
from clipferry.steps.finish import Closing
from clipferry.steps.poll import poll
from clipferry.steps.step_result import Run
from clipferry.steps.submit import retry, submit
from clipferry.steps.sweep import Sweep, Swept
from clipferry.steps.trigger import trigger
from clipferry.store.job_records import Jobs, Listing

from tests.unit.steps.aws import BUCKET, PREFIX, Crash, Edge, aws, client
from tests.unit.steps.copying import Copying
from tests.unit.steps.vendor import RUNNING, SIGNED, Scripted, Stage

TASK_ATTEMPTS = 7  # the machine's retries of one task, and the first try
STEPS_MAX = 400  # of one execution in a test: more is an endless loop
SECRET = "canary-secret-value"
EVERYTHING = Listing()


class World:
    def __init__(self, edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
        self.edge, self.copying = edge, Copying()
        self.stage = Stage(effect=edge.effect, before_read=lambda name: edge.before_read(name))
        self.monkeypatch = monkeypatch
        self.time = datetime.now(UTC).replace(microsecond=0)
        self.rt = Runtime(
            Jobs(("scripted",)),
            Outbound(),
            now=lambda: self.time,
            sleep=self.wait,
            rng=random.Random(7),
            logger=Logger(service="test"),
        )
        self.s3 = client("s3")
        self.closing = Closing(self.rt, self.s3)
        self.machine = client("stepfunctions")
        self.calls_of_a_map = 600  # of its downloads; then they are left to another execution

    # -- users ------------------------------------------------------------------------------------------------

    def submit(self, *, seed: str | None = None, **body: Any) -> str:
        body.setdefault("vendor", "scripted")
        if "adopt" not in body:
            body.setdefault("request", {"url": SIGNED})
        return submit(self.rt, body, seed=seed).job_id

    def cancel(self, job_id: str) -> Job:
        return self.closing.cancel(job_id)

    def retry(self, job_id: str) -> Job:
        return retry(self.rt, job_id)

    # -- steps ------------------------------------------------------------------------------------------------

    def trigger(
        self, job_id: str, generation: int = 1, time_left: Callable[[], float] | None = None, **run: Any
    ) -> dict[str, Any]:
        return trigger(self.rt, job_id, generation, Run(**run), time_left).as_state()

    def poll(
        self, job_id: str, generation: int = 1, time_left: Callable[[], float] | None = None, **run: Any
    ) -> dict[str, Any]:
        return poll(self.rt, job_id, generation, Run(**run), time_left).as_state()

    def download(self, job_id: str, file_id: str = "f001", generation: int = 1) -> dict[str, Any]:
        return download(self.rt, self.s3, job_id, generation, file_id, lambda: 60.0).as_state()

    def finish(self, job_id: str, generation: int = 1, caught: str | None = None) -> dict[str, Any]:
        return self.closing.finish(job_id, generation, caught).as_state()

    def sweep(self) -> Swept:
        return Sweep(self.closing, lambda: 60.0).run()

    def sweep_one(self, job_id: str, generation: int = 1) -> Swept:
        """As after an event about the end of an execution."""
        return Sweep(self.closing, lambda: 60.0).reconcile(job_id, generation)

    # -- the machine ------------------------------------------------------------------------------------------

    def execute(self, job_id: str, generation: int = 1) -> None:
        """Run one execution to its end, or until something stops it from outside."""
        state: dict[str, Any] = {"next": "TRIGGER"}
        step, self.events, self.waited, self.broken = 0, 0, 0, list[str]()
        while self.running(job_id, generation):
            step += 1
            assert step < STEPS_MAX, "the execution goes round without end"
            try:
                state = self._next(state, job_id, generation)
            except _Over:
                self._end(job_id, generation)

    def _next(self, state: dict[str, Any], job_id: str, generation: int) -> dict[str, Any]:
        match state["next"]:
            case "TRIGGER":
                run = self._come_through(state.get("wait_seconds", 0), events=10)
                return self._task("Trigger", lambda: self.trigger(job_id, generation, **run))
            case "WAIT":
                run = self._come_through(state["wait_seconds"], events=20)
                state = self._task("Poll", lambda: self.poll(job_id, generation, broken=self.broken, **run))
                self.broken = self.broken if "caught" in state else []
                return state
            case "DOWNLOAD":
                calls = self.calls_of_a_map // len(state["ready"])
                outcomes = {file_id: self._copy(job_id, file_id, generation, calls) for file_id in state["ready"]}
                self.broken = [file_id for file_id, outcome in outcomes.items() if "caught" in outcome]
                if any(outcome.get("more") for outcome in outcomes.values()):
                    self.events += 25_000
                    return {"next": "WAIT", "wait_seconds": 0}
                return {"next": state["then"], "wait_seconds": state["wait_seconds"]}
            case "FINISH":
                caught = state.get("caught")
                return self._task("Finish", lambda: self.finish(job_id, generation, caught))
            case "HANDOVER":
                self.start_execution(job_id, generation + 1)
                raise _Over
        assert state["next"] in ("END", "STOP")
        raise _Over

    def _come_through(self, wait: int, *, events: int) -> dict[str, int]:
        """Wait, and what the machine says of the execution after that; the step to come counts the next time."""
        self.wait(wait)
        self.waited += wait
        run = {"events": self.events, "waited": self.waited}
        self.events += events
        return run

    def _copy(self, job_id: str, file_id: str, generation: int, calls: int) -> dict[str, Any]:
        """The last call's answer."""
        outcome: dict[str, Any] = {}
        while self.running(job_id, generation):
            outcome = self._task("Download", lambda: self.download(job_id, file_id, generation))
            self.events, calls = self.events + 13, calls - 1
            if not outcome.get("more") or calls < 1:
                break
            self.wait(outcome["wait_seconds"])
        return outcome

    def _task(self, name: str, step: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        for attempt in range(TASK_ATTEMPTS):
            try:
                return step()
            except (Crash, Exception):
                self.wait(2**attempt)
        if name == "Finish":
            raise _Over
        return {"next": "FINISH", "caught": name}

    def wait(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def running(self, job_id: str, generation: int) -> bool:
        return executions.parse_name(f"{job_id}-{generation}") in self.executions()

    def executions(self) -> list[tuple[str, int] | None]:
        found = self.machine.list_executions(stateMachineArn=self._arn("stateMachine"), statusFilter="RUNNING")
        return [executions.parse_name(execution["name"]) for execution in found["executions"]]

    def start_execution(self, job_id: str, generation: int = 1) -> None:
        """By the machine itself, which hands over."""
        with self._aws_itself():
            self.machine.start_execution(
                stateMachineArn=self._arn("stateMachine"),
                name=f"{job_id}-{generation}",
                input=json.dumps({"job_id": job_id, "generation": generation}),
            )

    def stop_execution(self, job_id: str, generation: int = 1) -> None:
        """From outside, or because it is over: moto knows no other end of one that does not run."""
        with self._aws_itself():
            self.machine.stop_execution(executionArn=f"{self._arn('execution')}:{job_id}-{generation}")

    @contextmanager
    def _aws_itself(self) -> Iterator[None]:
        self.edge.aws_itself = True
        yield
        self.edge.aws_itself = False

    _end = stop_execution

    @staticmethod
    def _arn(kind: str) -> str:
        return f"arn:aws:states:us-east-1:123456789012:{kind}:retrieve"

    def settle(self, *, sweeps: int = 8) -> None:
        """Run whatever runs, then sweep every five minutes, until every job has ended and its duties are done."""
        for _ in range(sweeps):
            while running := self.executions():
                for job_id, generation in filter(None, running):
                    self.execute(job_id, generation)
            due = [self.job(job_id) for job_id in self.rt.jobs.due(self.time + timedelta(days=1))]
            if all(job.status.terminal and job.event_sent for job in due):
                return
            self.wait(300)
            self.sweep()
        raise AssertionError("something is left hanging")

    # -- what is there ----------------------------------------------------------------------------------------

    def job(self, job_id: str) -> Job:
        return self.rt.jobs.load(job_id)

    def objects(self) -> dict[str, bytes]:
        found = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {entry["Key"]: self.s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read() for entry in found}

    def videos(self) -> dict[str, bytes]:
        return {key: body for key, body in self.objects().items() if not key.endswith("manifest.json")}

    def manifest(self, job_id: str) -> dict[str, Any]:
        found = self.s3.get_object(Bucket=BUCKET, Key=self.job(job_id).manifest_key)
        manifest: dict[str, Any] = json.loads(found["Body"].read())
        return manifest

    def uploads(self) -> list[Any]:
        found: list[Any] = self.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return found

    def event_ids(self) -> list[str]:
        return [event["event_id"] for event in self.edge.sent]

    def assert_honest(self, job_id: str, status: JobStatus, *, stored: int) -> None:
        """The job has come to one end, and everything that can be seen of it from outside agrees."""
        self.assert_honest_now(job_id, status, stored=stored)
        assert set(self.event_ids()) == {f"{job_id}-{self.job(job_id).generation}-{status}"}

    def assert_honest_now(self, job_id: str, status: JobStatus, *, stored: int) -> None:
        """The same for a job that had other ends before."""
        job = self.job(job_id)
        assert job.status is status
        assert job.event_sent
        assert sum(f.status is FileStatus.STORED for f in job.files) == stored
        assert all(f.status.settled for f in job.files)
        uris = sorted(f.s3_uri.removeprefix(f"s3://{BUCKET}/") for f in job.files if f.s3_uri)
        assert sorted(self.videos()) == uris
        assert f"{job_id}-{job.generation}-{status}" in self.event_ids()
        assert self.manifest(job_id)["status"] == status
        assert self.uploads() == []
        assert self.executions() == []


class _Over(Exception):
    """The execution has ended."""


@contextmanager
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Sets everything up and takes it down again."""
    with aws(monkeypatch) as edge:
        found = World(edge, monkeypatch)
        monkeypatch.setitem(vendors.VENDORS, "scripted", "tests.unit.steps.vendor:Scripted")
        monkeypatch.setattr(Scripted, "stage", found.stage)
        monkeypatch.setattr(transfer, "copy", found.copying.copy)
        monkeypatch.setattr(transfer, "abandon", found.copying.abandon)
        secret = json.dumps({"vendor": "scripted", "secret_key": SECRET})
        client("secretsmanager").create_secret(Name=f"{PREFIX}/scripted", SecretString=secret)
        edge.effects.clear()
        edge.written.clear()
        yield found


__all__ = ["EVERYTHING", "RUNNING", "SECRET", "SIGNED", "Crash", "World", "world"]
