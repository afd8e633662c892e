"""Any sequence of calls, crashes and replays: no illegal move is ever asked for, and what has ended stays ended.

A model of one job's life against the store: every step, of any generation, at any time, as duplicates, late answers and
processes that die make them happen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from clipferry import transfer
from clipferry.jobs.job import Job
from clipferry.jobs.statuses import FILE_MOVES, JOB_MOVES, FileStatus, JobStatus
from clipferry.pacing.task_slots import LEASE
from clipferry.steps.finish import NotNow
from clipferry.steps.slots import DOWNLOADS
from clipferry.store.job_records import Superseded
from clipferry.vendors.contract import (
    Look,
    LookStatus,
    TriggerUncertain,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.steps import world as worlds
from tests.unit.steps.limited import account, busy, rows
from tests.unit.steps.vendor import RUNNING, clip, look
from tests.unit.steps.world import Crash

TROUBLE = [
    VendorUnavailable("timeout"),
    VendorUnavailable("refused", reached=False),
    VendorThrottled("slow", retry_after=9.0),
    VendorRefused("no"),
    TriggerUncertain("cannot tell"),
    TriggerUncertain("not yet", look_again=9.0),
]
LOOKS = [
    None,
    RUNNING,
    Look(LookStatus.UNKNOWN, "?"),
    Look(LookStatus.FAILED),
    Look(LookStatus.EMPTY),
    look(clip(0), clip(1, LookStatus.RUNNING), status=LookStatus.RUNNING),
    look(clip(0), clip(1, LookStatus.FAILED)),
    *TROUBLE[:4],
]
LEGS = [None, transfer.More(3), transfer.Retry("SHORT_BODY", "short"), transfer.Failed("NOT_A_VIDEO", "no")]
GENERATION = st.integers(-1, 1)  # beside the job's own: late and early callers
CRASH = st.none() | st.tuples(st.integers(0, 6), st.booleans())


class AnyOrder(RuleBasedStateMachine):
    @initialize(uncertain=st.sampled_from(["fail", "retrigger"]), findable=st.booleans(), limited=st.booleans())
    def submitted(self, uncertain: str, findable: bool, limited: bool) -> None:
        self.stack = contextlib.ExitStack()
        monkeypatch = self.stack.enter_context(pytest.MonkeyPatch.context())
        self.world = self.stack.enter_context(worlds.world(monkeypatch))
        self.world.stage.findable, self.world.stage.files = findable, 2
        if limited:
            account(self.world, max_in_flight=1, rate={"calls": 60, "per": 60})
        self.job_id = self.world.submit(on_uncertain=uncertain)
        self.before = self.world.job(self.job_id)
        self.sent: dict[str, JobStatus] = {}

    def call(self, act: Callable[[], Any], crash: tuple[int, bool] | None = None) -> None:
        """IllegalMove is not among what may come out: it would be a defect, never a race."""
        edge = self.world.edge
        edge.crash_at, edge.crash_after = (len(edge.effects) + crash[0], crash[1]) if crash else (None, False)
        with contextlib.suppress(Crash, Superseded, NotNow):
            act()
        edge.crash_at = None

    def generation(self, offset: int) -> int:
        return self.before.generation + offset

    @rule(
        offset=GENERATION,
        answer=st.sampled_from([None, *TROUBLE[:4]]),
        found=st.sampled_from([None, *TROUBLE]),
        lost=st.booleans(),
        crash=CRASH,
    )
    def trigger(self, offset: int, answer: Any, found: Any, lost: bool, crash: Any) -> None:
        stage = self.world.stage
        stage.trigger, stage.find, stage.lose = [answer], [found], [TROUBLE[0]] if lost else []
        self.call(lambda: self.world.trigger(self.job_id, self.generation(offset)), crash)

    @precondition(lambda self: self.before.refs_complete)
    @rule(offset=GENERATION, seen=st.sampled_from(LOOKS), crash=CRASH)
    def poll(self, offset: int, seen: Any, crash: Any) -> None:
        self.world.stage.poll = [seen]
        self.call(lambda: self.world.poll(self.job_id, self.generation(offset)), crash)

    @rule(offset=GENERATION, file=st.sampled_from(["f001", "f002"]), outcome=st.sampled_from(LEGS), crash=CRASH)
    def download(self, offset: int, file: str, outcome: Any, crash: Any) -> None:
        self.world.copying.results = [outcome]
        self.call(lambda: self.world.download(self.job_id, file, self.generation(offset)), crash)

    @rule(seconds=st.sampled_from([1, 60]))
    def others_call(self, seconds: int) -> None:
        busy(self.world, seconds)

    @rule(file=st.sampled_from(["f001", "f002"]))
    def cancel_during_a_download(self, file: str) -> None:
        self.world.copying.results = []
        self.world.copying.during = lambda: self.call(lambda: self.world.cancel(self.job_id))
        self.call(lambda: self.world.download(self.job_id, file, self.before.generation))
        self.world.copying.during = lambda: None

    @rule(offset=GENERATION, caught=st.sampled_from([None, None, "Poll"]), crash=CRASH)
    def finish(self, offset: int, caught: str | None, crash: Any) -> None:
        self.call(lambda: self.world.finish(self.job_id, self.generation(offset), caught), crash)

    @rule(crash=CRASH)
    def cancel(self, crash: Any) -> None:
        self.call(lambda: self.world.cancel(self.job_id), crash)

    @rule(crash=CRASH)
    def retry(self, crash: Any) -> None:
        self.call(lambda: self.world.retry(self.job_id), crash)

    @rule(seconds=st.sampled_from([1, 300, 2000]), crash=CRASH)
    def sweep(self, seconds: int, crash: Any) -> None:
        self.world.wait(seconds)
        self.call(self.world.sweep, crash)

    @rule(offset=st.integers(-1, 0))
    def an_execution_is_stopped(self, offset: int) -> None:
        execution = self.job_id, self.generation(offset)
        if execution in self.world.executions():
            self.world.stop_execution(*execution)
            self.call(lambda: self.world.sweep_one(*execution))

    @invariant()
    def only_legal_things_have_happened(self) -> None:
        if not hasattr(self, "world"):
            return
        before, after = self.before, self.world.job(self.job_id)
        assert after.generation >= before.generation
        assert _reachable(JOB_MOVES, before.status, after.status)
        if before.status.terminal and after.generation == before.generation:
            assert _without_bookkeeping(after) == _without_bookkeeping(before)
        for file in before.files:
            now = after.file(file.file_id)
            assert now is not None
            assert _reachable(FILE_MOVES, file.status, now.status)
            if file.status is FileStatus.STORED:
                assert now == file
        for event in self.world.edge.sent:
            end = f"{event['job_id']}-{event['event_id'].split('-')[1]}"
            assert self.sent.setdefault(end, event["status"]) == event["status"], "one generation, two ends"
        if after.on_uncertain == "fail":  # each piece of work that was asked for anew has a key of its own
            assert len(self.world.stage.tasks) == len(set(self.world.stage.tasks))
        self.before = after

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.stage.trigger, self.world.stage.find, self.world.stage.poll = [], [], []
        self.world.stage.lose, self.world.copying.results = [], []
        try:
            self.world.settle(sweeps=30)
            job = self.world.job(self.job_id)
            self.world.assert_honest_now(self.job_id, job.status, stored=_stored(job))
            self.world.wait(DOWNLOADS + 3 * LEASE)
            assert rows(self.world, "SLOT#") == rows(self.world, "WAIT#") == []
        finally:
            self.stack.close()


def _stored(job: Job) -> int:
    return sum(file.status is FileStatus.STORED for file in job.files)


def _reachable(moves: Any, start: Any, end: Any) -> bool:
    """By any number of legal moves: one call may make several."""
    seen, todo = {start}, [start]
    while todo:
        for target in moves[todo.pop()] - seen:
            seen.add(target)
            todo.append(target)
    return end in seen


def _without_bookkeeping(job: Job) -> dict[str, Any]:
    """What a user sees of an ended job. Its files may still be settled by whoever concludes it."""
    return {k: v for k, v in job.public().items() if k not in ("updated_at", "files", "progress")}


AnyOrder.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
test_any_order = AnyOrder.TestCase
