"""The sweep: rows, executions and uploads that disagree are brought together."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from clipferry.aws import executions
from clipferry.jobs.statuses import JobStatus
from clipferry.steps.sweep import RESTART_BUDGET, Sweep
from clipferry.vendors.contract import Submitted

from tests.unit.steps.aws import BUCKET
from tests.unit.steps.vendor import RUNNING
from tests.unit.steps.world import World


def test_a_row_without_an_execution_is_started(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(executions, "start", _refused)
        job_id = world.submit()
    assert world.executions() == []
    assert world.sweep().started == [], "its maker may be about to start it"
    world.wait(300)
    assert world.sweep().started == [job_id]
    world.settle()
    world.assert_honest(job_id, JobStatus.SUCCEEDED, stored=1)


def test_an_execution_that_runs_is_left_alone(world: World) -> None:
    job_id = world.submit()
    world.trigger(job_id)
    world.wait(900)
    before = world.job(job_id)
    assert world.sweep().jobs == 0
    assert world.job(job_id) == before
    assert list(world.rt.jobs.due(world.time)) == []


def test_a_lost_execution_is_run_anew_within_its_budget(world: World) -> None:
    world.stage.poll = [RUNNING] * 1000
    job_id = world.submit(deadline_seconds=86_400)
    world.trigger(job_id)
    for generation in range(1, RESTART_BUDGET + 1):
        world.stop_execution(job_id, generation)
        assert world.sweep_one(job_id, generation).restarted == [job_id]
    world.stop_execution(job_id, RESTART_BUDGET + 1)
    assert world.sweep_one(job_id, RESTART_BUDGET + 1).ended == [job_id]
    world.assert_honest(job_id, JobStatus.FAILED, stored=0)
    assert world.job(job_id).error.code == "EXECUTION_LOST"  # type: ignore[union-attr]
    assert len(world.stage.tasks) == 1


def test_an_event_about_an_older_execution_is_old_news(world: World) -> None:
    job_id = world.submit()
    world.stop_execution(job_id)
    world.sweep_one(job_id)
    assert world.sweep_one(job_id).jobs == 0
    assert world.job(job_id).generation == 2


def test_a_verdict_whose_execution_died_is_carried_out_even_after_the_deadline(world: World) -> None:
    from clipferry.vendors.contract import Look, LookStatus

    world.stage.poll = [Look(LookStatus.EMPTY, code="NO_RECORDING")]
    job_id = world.submit()
    world.trigger(job_id)
    world.poll(job_id)
    world.stop_execution(job_id)
    world.wait(7200)
    assert world.sweep().ended == [job_id]
    world.assert_honest(job_id, JobStatus.FAILED, stored=0)
    assert world.job(job_id).error.code == "NO_RECORDING"  # type: ignore[union-attr]


def test_an_execution_that_died_and_whose_event_was_lost_is_found_at_the_next_run(world: World) -> None:
    job_id = world.submit(deadline_seconds=86_400)
    world.trigger(job_id)
    world.stop_execution(job_id)
    assert world.sweep().restarted == [job_id]
    assert world.sweep().restarted == [], "the row is of a later generation"
    world.settle()
    world.assert_honest(job_id, JobStatus.SUCCEEDED, stored=1)


def test_executions_that_ended_long_ago_or_with_their_jobs_are_left_alone(world: World) -> None:
    ended = world.submit()
    world.cancel(ended)
    old = world.submit(deadline_seconds=86_400)
    world.stage.trigger = [Submitted({"ids": ["slow"]}, first_look=7200.0)]
    world.trigger(old)
    world.stop_execution(old)
    world.wait(1800)
    assert world.sweep().jobs == 0, "its next look is not due yet, and its execution ended before the runs that saw it"


def test_an_overdue_job_whose_execution_hangs_is_ended_and_stopped(world: World) -> None:
    job_id = world.submit()
    world.trigger(job_id)
    world.wait(3600 + 60)
    assert world.sweep().ended == [], "the machine may be about to end it"
    world.wait(3600)
    assert world.sweep().ended == [job_id]
    world.assert_honest(job_id, JobStatus.TIMED_OUT, stored=0)


def test_a_job_that_cannot_be_swept_holds_no_other_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = world.submit()
    world.wait(1)
    second = world.submit()
    world.wait(300)
    for job_id in (first, second):
        world.stop_execution(job_id)
    status = executions.status

    def unreliable(job: object) -> str | None:
        if job.job_id == first:  # type: ignore[attr-defined]
            raise RuntimeError("a defect of ours")
        return status(job)  # type: ignore[arg-type]

    monkeypatch.setattr(executions, "status", unreliable)
    swept = world.sweep()
    assert (swept.failed, swept.restarted) == ([first], [second])


def test_a_job_that_could_not_be_swept_comes_last_next_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = world.submit()
    world.wait(1)
    second = world.submit()
    world.wait(300)
    monkeypatch.setattr(executions, "status", _refused)
    time_left = iter([60.0, 0.0, 0.0])
    assert Sweep(world.closing, lambda: next(time_left, 0.0)).run().failed == [first]
    world.wait(1)
    assert list(world.rt.jobs.due(world.time)) == [second, first]


def test_the_age_of_the_oldest_unfinished_job_is_told(world: World) -> None:
    assert world.sweep().oldest_age == 0
    world.submit()
    world.wait(50)
    assert world.sweep().oldest_age == 50
    world.settle()
    assert world.sweep().oldest_age == 0


def test_uploads_that_nobody_answers_for_are_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    live = world.submit(destination={"prefix": "a/b"}, deadline_seconds=86_400)
    done = world.submit()
    world.stage.poll = [RUNNING] * 3
    prefixes = [world.job(job_id).object_prefix for job_id in (live, done)]
    world.cancel(done)
    keys = [prefix + "f001.mp4" for prefix in prefixes] + [prefixes[1].replace(done, "0" * 26) + "f", "not/ours.mp4"]
    for key in keys:
        world.s3.create_multipart_upload(Bucket=BUCKET, Key=key)
    born, pages = world.time, world.s3.get_paginator("list_multipart_uploads").paginate(Bucket=BUCKET)
    monkeypatch.setattr(world.s3, "get_paginator", lambda _: _Born(list(pages), born))
    world.wait(3599)
    assert world.sweep().uploads_aborted == 0, "too young: it may just not be written down yet"
    world.wait(1)
    assert world.sweep().uploads_aborted == 2
    assert {upload["Key"] for upload in world.uploads()} == {keys[0], keys[3]}


def test_an_event_about_a_job_long_gone_is_no_error(world: World) -> None:
    assert world.sweep_one("0" * 26).jobs == 0


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("01K0000000000000000000000A-7", ("01K0000000000000000000000A", 7)),
        ("by-hand", None),
        ("7", None),
        ("x-\N{SUPERSCRIPT TWO}", None),
        ("", None),
    ],
)
def test_the_name_of_an_execution_names_the_job_and_its_generation(name: str, parsed: tuple[str, int] | None) -> None:
    assert executions.parse_name(name) == parsed


class _Born:
    """Pages of uploads that began at a given time: moto says 2010 of every one."""

    def __init__(self, pages: list[Any], born: datetime) -> None:
        self.pages = [{"Uploads": [upload | {"Initiated": born} for upload in page["Uploads"]]} for page in pages]

    def paginate(self, **_: object) -> list[Any]:
        return self.pages


def _refused(*_: object) -> None:
    from botocore.exceptions import ClientError

    raise ClientError({"Error": {"Code": "ThrottlingException"}}, "StartExecution")
