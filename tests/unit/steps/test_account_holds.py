"""An account that is refused while vendor work of its jobs runs: the work waits, and one probe serves all its jobs."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from clipferry.jobs.job import CALL_LIFETIME
from clipferry.jobs.problems import Problem
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.settings import settings
from clipferry.steps.account_holds import LONGEST_WAIT, PROBE_INTERVAL
from clipferry.steps.finish import end_of
from clipferry.vendors.contract import LookStatus, VendorUnavailable

from tests.unit.steps.aws import PREFIX, client
from tests.unit.steps.limited import account
from tests.unit.steps.vendor import clip, look
from tests.unit.steps.world import SECRET, World

DAY = 86_400
GRACE = 3600
LOST = VendorUnavailable("no reply within 20 s", reached=True)


def expire(world: World) -> None:
    """The vendor accepts another key from now on, which the account does not have yet."""
    world.stage.accepted = "rotated"


def rotate(world: World) -> None:
    account(world, secret_key="rotated")


class Fleet:
    """Executions side by side, each woken when its wait is over."""

    def __init__(self, world: World, job_ids: list[str], state: str) -> None:
        self.world, self.looked_after = world, dict.fromkeys(job_ids, "")
        self.wakes: list[tuple[float, str, str]] = [
            (world.rt.epoch() + 7 * number, job_id, state) for number, job_id in enumerate(job_ids)
        ]
        heapq.heapify(self.wakes)

    def run(self, seconds: float) -> None:
        """Until then, or until all have come to FINISH."""
        until = self.world.rt.epoch() + seconds
        while self.wakes and self.wakes[0][0] <= until:
            at, job_id, state = heapq.heappop(self.wakes)
            self.world.wait(max(0.0, at - self.world.rt.epoch()))
            self._step(job_id, state)
        self.world.wait(max(0.0, until - self.world.rt.epoch()))

    def _step(self, job_id: str, state: str) -> None:
        world = self.world
        if state == "DOWNLOAD":
            outcome = world.download(job_id)
            following, wait = ("DOWNLOAD" if outcome["more"] else "FINISH"), outcome["wait_seconds"]
        else:
            turn = world.trigger(job_id) if state == "TRIGGER" else world.poll(job_id)
            following, wait = turn["next"], 0 if turn["next"] == "DOWNLOAD" else turn["wait_seconds"]
        if following == "FINISH":
            world.finish(job_id)
        else:
            heapq.heappush(self.wakes, (world.rt.epoch() + wait, job_id, following))


def waiting(world: World, number: int) -> list[str]:
    """So many jobs whose vendor work runs."""
    job_ids = [world.submit(deadline_seconds=DAY) for _ in range(number)]
    for job_id in job_ids:
        world.trigger(job_id)
    world.wait(10)
    return job_ids


def in_doubt(world: World) -> str:
    world.stage.lose = [LOST]
    job_id = world.submit(deadline_seconds=DAY)
    world.trigger(job_id)
    world.wait(10)
    return job_id


def adopting(world: World) -> str:
    return world.submit(adopt={"task_id": "there"}, deadline_seconds=DAY)


def half_triggered(world: World) -> str:
    """The first of two chunks is at the vendor."""
    world.stage.chunks = 2
    world.stage.trigger = [None, VendorUnavailable("refused", reached=False)]
    job_id = world.submit(deadline_seconds=DAY)
    world.trigger(job_id)
    world.wait(10)
    return job_id


def looking(world: World) -> str:
    return waiting(world, 1)[0]


def downloading(world: World) -> str:
    job_id = looking(world)
    world.poll(job_id)
    return job_id


STEPS = {
    "trigger's next chunk": (half_triggered, "TRIGGER"),
    "find": (in_doubt, "TRIGGER"),
    "adopt": (adopting, "TRIGGER"),
    "poll": (looking, "WAIT"),
    "download": (downloading, "DOWNLOAD"),
}


@pytest.mark.parametrize("name", STEPS)
def test_running_work_waits_for_its_account_and_loses_nothing(world: World, name: str) -> None:
    before, state = STEPS[name]
    job_id = before(world)
    tasks = list(world.stage.tasks)
    expire(world)
    fleet = Fleet(world, [job_id], state)
    fleet.run(GRACE - 300)
    job = world.job(job_id)
    assert (job.waits_for, job.verdict) == ("account", None)
    told = job.files[0].error if job.status is JobStatus.DOWNLOADING else job.error
    assert told is not None
    assert (told.code, told.vendor_code, told.request_id) == ("ACCOUNT_REFUSED", "Forbidden", "r1")
    assert world.stage.tasks == tasks
    rotate(world)
    fleet.run(2 * LONGEST_WAIT)
    assert world.job(job_id).waits_for != "account"
    world.settle()
    world.assert_honest(job_id, JobStatus.SUCCEEDED, stored=1)
    job = world.job(job_id)
    assert (job.error, job.files[0].error, job.files[0].attempts, job.trigger_errors) == (None, None, 0, _lost(name))
    assert len(world.stage.tasks) == len(set(world.stage.tasks)) == (0 if name == "adopt" else world.stage.chunks)


def _lost(name: str) -> int:
    return 1 if name in ("find", "trigger's next chunk") else 0


@pytest.mark.parametrize("name", STEPS)
def test_after_its_grace_a_job_ends_as_refused_and_can_be_retried(world: World, name: str) -> None:
    before, state = STEPS[name]
    job_id = before(world)
    expire(world)
    began = world.time
    Fleet(world, [job_id], state).run(2 * GRACE)
    job = world.job(job_id)
    assert (job.status, job.error.code if job.error else None) == (JobStatus.FAILED, "ACCOUNT_REFUSED")
    assert job.finished_at is not None
    assert GRACE <= (job.finished_at - began).total_seconds() <= GRACE + LONGEST_WAIT
    rotate(world)
    world.retry(job_id)
    world.settle()
    world.assert_honest_now(job_id, JobStatus.SUCCEEDED, stored=1)
    assert len(world.stage.tasks) == len(set(world.stage.tasks)) == (0 if name == "adopt" else world.stage.chunks)


def test_the_jobs_of_an_account_share_one_probe(world: World) -> None:
    job_ids = waiting(world, 8)
    expire(world)
    fleet = Fleet(world, job_ids, "WAIT")
    minutes = 40
    for minute in range(1, minutes + 1):
        fleet.run(60)
        assert world.stage.refusals <= 1 + minute * 60 / PROBE_INTERVAL
    assert world.stage.refusals >= minutes * 60 / LONGEST_WAIT, "and it is tried all the time"
    assert {world.job(job_id).waits_for for job_id in job_ids} == {"account"}
    rotate(world)
    refused = world.stage.refusals
    fleet.run(3 * LONGEST_WAIT)
    assert world.stage.refusals <= refused + 1, "each probe reads the secret afresh"
    world.settle()
    assert {world.job(job_id).status for job_id in job_ids} == {JobStatus.SUCCEEDED}
    assert len(world.stage.tasks) == len(job_ids)


def test_a_job_that_was_not_refused_itself_makes_no_call_under_a_hold(world: World) -> None:
    first, second = waiting(world, 2)
    expire(world)
    world.poll(first)
    world.poll(second)
    assert world.stage.refusals == 1
    error = world.job(second).error
    assert error is not None
    assert "the key has expired" in error.message, "it says what the other was told"


def test_a_probe_that_nobody_answers_proves_nothing(world: World) -> None:
    first, second = waiting(world, 2)
    expire(world)
    world.poll(first)
    rotate(world)
    world.wait(PROBE_INTERVAL)
    world.stage.poll = [VendorUnavailable("timeout")]
    world.poll(first)
    calls = world.stage.calls["poll"]
    assert world.poll(second)["next"] == "WAIT"
    assert (world.stage.calls["poll"], world.job(second).waits_for) == (calls, "account")


def test_a_refusal_of_something_else_proves_that_the_account_works(world: World) -> None:
    from clipferry.vendors.contract import VendorRefused

    first, second = waiting(world, 2)
    expire(world)
    world.poll(first)
    rotate(world)
    world.wait(PROBE_INTERVAL)
    world.stage.poll = [VendorRefused("no such task")]
    world.poll(first)
    assert world.poll(second)["next"] == "DOWNLOAD"


class TestNewWork:
    def test_fails_at_once(self, world: World) -> None:
        expire(world)
        job_id = world.submit()
        assert world.trigger(job_id)["next"] == "FINISH"
        world.settle()
        world.assert_honest(job_id, JobStatus.FAILED, stored=0)
        assert world.job(job_id).error.code == "ACCOUNT_REFUSED"  # type: ignore[union-attr]

    def test_fails_at_once_under_a_hold_too_and_is_a_probe_of_its_own(self, world: World) -> None:
        running = looking(world)
        expire(world)
        world.poll(running)
        new = world.submit()
        assert world.trigger(new)["next"] == "FINISH"
        rotate(world)
        assert world.trigger(world.submit())["next"] == "WAIT", "nobody waits for a hold whose key was changed"
        assert world.poll(running)["next"] == "DOWNLOAD"

    def test_spares_the_others_a_call(self, world: World) -> None:
        running = looking(world)
        expire(world)
        world.trigger(world.submit())
        world.poll(running)
        assert (world.stage.refusals, world.job(running).waits_for) == (1, "account")

    def test_waits_where_a_trigger_of_a_call_that_crashed_may_have_started_it(self, world: World) -> None:
        world.stage.lose, world.stage.searched = [LOST], False
        job_id = world.submit()
        world.trigger(job_id)
        expire(world)
        world.wait(CALL_LIFETIME.total_seconds() + 1)

        assert world.trigger(job_id)["next"] == "TRIGGER"

        assert world.job(job_id).waits_for == "account"

    def test_waits_where_a_lost_trigger_may_have_started_it(self, world: World) -> None:
        world.stage.lose, world.stage.findable = [LOST], False
        job_id = world.submit(on_uncertain="retrigger")
        while not world.job(job_id).retriggers:
            assert world.trigger(job_id)["next"] == "TRIGGER"
            world.wait(60)
        expire(world)
        assert world.trigger(job_id)["next"] == "TRIGGER"
        assert world.job(job_id).waits_for == "account"
        rotate(world)
        world.wait(PROBE_INTERVAL + 90)
        assert world.trigger(job_id)["next"] == "WAIT"


class TestSecrets:
    def test_a_secret_deleted_by_mistake_is_waited_for(self, world: World) -> None:
        job_id = looking(world)
        with gone(world):
            fleet = Fleet(world, [job_id], "WAIT")
            fleet.run(600)
            job = world.job(job_id)
            assert (job.waits_for, job.error.code if job.error else None) == ("account", "ACCOUNT_MISSING")
        fleet.run(2 * LONGEST_WAIT)
        world.settle()
        world.assert_honest(job_id, JobStatus.SUCCEEDED, stored=1)

    def test_of_an_account_that_makes_no_sense_any_more_is_waited_for(self, world: World) -> None:
        job_id = downloading(world)
        client("secretsmanager").put_secret_value(SecretId=f"{PREFIX}/scripted", SecretString="{}")
        _forget()
        fleet = Fleet(world, [job_id], "DOWNLOAD")
        fleet.run(600)
        assert world.job(job_id).waits_for == "account"
        account(world)
        fleet.run(2 * LONGEST_WAIT)
        world.settle()
        world.assert_honest(job_id, JobStatus.SUCCEEDED, stored=1)

    def test_for_good_end_the_job_by_their_own_name(self, world: World) -> None:
        job_id = looking(world)
        with gone(world):
            Fleet(world, [job_id], "WAIT").run(2 * GRACE)
        job = world.job(job_id)
        assert (job.status, job.error.code if job.error else None) == (JobStatus.FAILED, "ACCOUNT_MISSING")

    @pytest.mark.parametrize("body", [{}, {"adopt": {"task_id": "there"}}])
    def test_that_were_never_there_fail_a_job_at_once(self, world: World, body: dict[str, Any]) -> None:
        job_id = world.submit(account="nobody", **body)
        assert world.trigger(job_id)["next"] == "FINISH"
        assert world.job(job_id).error.code == "ACCOUNT_MISSING"  # type: ignore[union-attr]


def test_the_deadline_holds_while_a_job_waits_for_its_account(world: World) -> None:
    job_id = world.submit(deadline_seconds=900)
    world.trigger(job_id)
    world.wait(10)
    expire(world)
    Fleet(world, [job_id], "WAIT").run(GRACE)
    job = world.job(job_id)
    assert job.status is JobStatus.TIMED_OUT
    assert job.finished_at is not None
    assert job.finished_at <= job.deadline_at + timedelta(seconds=2)


def test_a_cancel_under_a_hold_makes_no_call(world: World) -> None:
    job_id = looking(world)
    expire(world)
    world.poll(job_id)
    world.cancel(job_id)
    assert world.stage.refusals == 1
    world.assert_honest(job_id, JobStatus.CANCELLED, stored=0)
    assert world.job(job_id).waits_for is None


def test_files_wait_each_for_itself_and_none_costs_an_attempt(world: World) -> None:
    world.stage.files = 2
    world.stage.poll = [look(clip(0), clip(1), status=LookStatus.READY)]
    job_id = looking(world)
    world.poll(job_id)
    world.download(job_id, "f001")
    expire(world)
    for _ in range(10):
        outcome = world.download(job_id, "f002")
        assert outcome["more"]
        world.wait(outcome["wait_seconds"])
    job = world.job(job_id)
    assert [file.status for file in job.files] == [FileStatus.STORED, FileStatus.COPYING]
    assert (job.files[1].attempts, job.waits_for) == (0, "account")
    rotate(world)
    world.settle()
    world.assert_honest(job_id, JobStatus.SUCCEEDED, stored=2)


def test_a_late_look_that_is_refused_does_not_spoil_a_job_whose_files_are_stored(world: World) -> None:
    job_id = downloading(world)
    world.download(job_id)
    expire(world)
    world.poll(job_id)  # Step Functions may invoke a step twice

    world.finish(job_id)

    job = world.job(job_id)
    assert (job.status, job.error) == (JobStatus.SUCCEEDED, None)


@pytest.mark.parametrize("still_refused", [True, False])
@pytest.mark.parametrize(("code", "status"), [("ACCOUNT_REFUSED", "SUCCEEDED"), ("VENDOR_FILES_MISSING", "PARTIAL")])
def test_only_a_report_of_the_vendor_makes_stored_files_partial(
    world: World, code: str, status: str, still_refused: bool
) -> None:
    job_id = downloading(world)
    world.download(job_id)
    job = world.job(job_id)
    job.error, job.refused_at = Problem(code, "said"), world.time if still_refused else None

    assert end_of(job, None, world.time) == (status, job.error if status == "PARTIAL" else None)


def test_a_grace_of_zero_is_no_grace(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = looking(world)
    monkeypatch.setenv("ACCOUNT_GRACE_SECONDS", "0")
    settings.cache_clear()
    expire(world)
    assert world.poll(job_id)["next"] == "FINISH"


@contextmanager
def gone(world: World) -> Iterator[None]:
    secrets: Any = client("secretsmanager")
    secrets.delete_secret(SecretId=f"{PREFIX}/scripted", ForceDeleteWithoutRecovery=True)
    _forget()
    yield
    value = f'{{"vendor": "scripted", "secret_key": "{SECRET}"}}'
    secrets.create_secret(Name=f"{PREFIX}/scripted", SecretString=value)


def _forget() -> None:
    """What this process has read of the secrets."""
    from tests.unit.steps.aws import forget_values

    forget_values()
