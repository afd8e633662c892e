"""A job that outlives an execution's history goes on in another: nothing is asked for, or copied, twice."""

from __future__ import annotations

import pytest
from clipferry import transfer
from clipferry.jobs.file import DOWNLOAD_BUDGET
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.steps import step_result
from clipferry.vendors.contract import VendorUnavailable

from tests.unit.steps.limited import account
from tests.unit.steps.vendor import RUNNING
from tests.unit.steps.world import World

FULL = step_result.HAND_OVER_AT


def test_a_long_wait_is_handed_over_before_the_history_is_full(
    world: World, waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_result, "HAND_OVER_AT", 70)  # a trigger and three looks
    world.stage.poll = [RUNNING] * 7
    world.settle()
    world.assert_honest(waiting, JobStatus.SUCCEEDED, stored=1)
    assert world.job(waiting).generation == 3
    assert len(world.stage.tasks) == 1


def test_what_is_ready_at_a_hand_over_is_downloaded_by_the_next_execution(world: World, waiting: str) -> None:
    state = world.poll(waiting, events=FULL)
    assert (state["next"], list(state["ready"])) == ("HANDOVER", [])
    assert world.stage.calls["poll"] == 0, "the next execution looks"
    world.settle()
    world.assert_honest(waiting, JobStatus.SUCCEEDED, stored=1)
    assert world.job(waiting).files[0].attempts == 0


def test_a_copy_of_more_calls_than_a_history_holds_goes_on_in_the_next_execution(world: World, waiting: str) -> None:
    world.calls_of_a_map = 4
    world.copying.results = [transfer.More(1)] * (4 * DOWNLOAD_BUDGET)
    world.settle()
    world.assert_honest(waiting, JobStatus.SUCCEEDED, stored=1)
    job = world.job(waiting)
    assert (job.generation, job.files[0].attempts) == (DOWNLOAD_BUDGET + 1, 0)
    assert world.copying.copied == [job.object_prefix + "f001"]


def test_an_upload_under_way_is_kept_over_a_hand_over(world: World, waiting: str) -> None:
    assert world.poll(waiting)["next"] == "DOWNLOAD"
    world.copying.during = lambda: (_ for _ in ()).throw(TimeoutError("the call is over"))  # type: ignore[assignment]
    with pytest.raises(TimeoutError):
        world.download(waiting)
    begun = world.job(waiting).files[0].checkpoint["upload"]["upload_id"]
    assert world.poll(waiting, events=FULL)["next"] == "HANDOVER"
    file = world.job(waiting).files[0]
    assert (file.status, file.checkpoint["upload"]["upload_id"]) == (FileStatus.READY, begun)


def test_a_long_line_for_a_slot_is_handed_over_with_its_place(world: World) -> None:
    account(world, max_in_flight=1)
    world.trigger(world.submit(seed="the other"))
    job_id = world.submit()
    assert world.trigger(job_id)["next"] == "TRIGGER"
    ticket = world.job(job_id).ticket
    assert world.trigger(job_id, events=FULL)["next"] == "HANDOVER"
    job = world.job(job_id)
    assert (job.status, job.generation, job.ticket, len(world.stage.tasks)) == (JobStatus.QUEUED, 2, ticket, 1)
    assert world.trigger(job_id, generation=2)["next"] == "TRIGGER"


def test_a_doubt_is_handed_over_as_a_doubt(world: World) -> None:
    world.stage.trigger = [VendorUnavailable("no reply within 20 s", reached=True)]
    job_id = world.submit()
    world.trigger(job_id)
    assert world.trigger(job_id, events=FULL)["next"] == "HANDOVER"
    job = world.job(job_id)
    assert job.in_doubt
    assert job.quiet_until is not None, "the old execution's trigger may still be on its way"
    world.settle()
    world.assert_honest(job_id, JobStatus.SUCCEEDED, stored=1)
    assert len(world.stage.tasks) == 1


@pytest.mark.parametrize("step", ["trigger", "poll"])
def test_a_hand_over_crashed_after_its_write_is_swept_up(world: World, waiting: str, step: str) -> None:
    assert getattr(world, step)(waiting, events=FULL)["next"] == "HANDOVER"
    assert getattr(world, step)(waiting, events=FULL)["next"] == "STOP", "the old execution is told that it is over"
    world.stop_execution(waiting)
    world.settle()
    world.assert_honest(waiting, JobStatus.SUCCEEDED, stored=1)


def test_a_job_past_its_deadline_is_ended_rather_than_handed_over(world: World, waiting: str) -> None:
    world.wait(10 * 24 * 3600)
    assert world.poll(waiting, events=FULL)["next"] == "FINISH"
    assert world.job(waiting).verdict is JobStatus.TIMED_OUT
