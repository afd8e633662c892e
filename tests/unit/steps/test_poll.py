"""The looks: what each one makes of the job, and what ends the looking."""

from __future__ import annotations

import pytest
from clipferry.jobs.file import DOWNLOAD_BUDGET
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.pacing.poll_plan import POLL_ERROR_BUDGET
from clipferry.steps.poll import UNKNOWN_BUDGET
from clipferry.vendors.contract import (
    Look,
    LookStatus,
    Sighting,
    VendorThrottled,
    VendorUnavailable,
)

from tests.unit.steps.vendor import RUNNING, clip, look
from tests.unit.steps.world import World

GARBAGE = VendorUnavailable("the reply is not JSON")


def looks(world: World, job_id: str) -> str:
    """What the machine does with WAIT; the first other answer."""
    for _ in range(100):
        state = world.poll(job_id)
        if state["next"] != "WAIT":
            return str(state["next"])
        assert state["wait_seconds"] >= 1
        world.wait(state["wait_seconds"])
    raise AssertionError("it looks for ever")


def test_a_running_task_is_looked_at_again(world: World, waiting: str) -> None:
    world.stage.poll = [RUNNING]
    assert world.poll(waiting)["next"] == "WAIT"
    job = world.job(waiting)
    assert (job.status, job.polls, job.progress, job.next_poll_at is None) == (JobStatus.WAITING, 1, 40, False)


def test_failed_looks_fail_the_job_only_when_the_budget_is_spent(world: World, waiting: str) -> None:
    world.stage.poll = [GARBAGE] * (POLL_ERROR_BUDGET - 1) + [RUNNING] + [GARBAGE] * POLL_ERROR_BUDGET
    assert looks(world, waiting) == "FINISH"
    assert world.stage.calls["poll"] == 2 * POLL_ERROR_BUDGET
    assert world.job(waiting).error.code == "VENDOR_UNAVAILABLE"  # type: ignore[union-attr]


def test_throttled_looks_are_no_errors_and_wait_as_told(world: World, waiting: str) -> None:
    world.stage.poll = [VendorThrottled("block", retry_after=60.0)] * (POLL_ERROR_BUDGET + 5)
    assert world.poll(waiting)["wait_seconds"] == 60
    assert looks(world, waiting) == "DOWNLOAD"
    assert world.job(waiting).poll_errors == 0


def test_a_status_nobody_knows_is_running_within_a_bound(world: World, waiting: str) -> None:
    world.stage.poll = [Look(LookStatus.UNKNOWN, "Pondering")] * 100
    assert looks(world, waiting) == "FINISH"
    assert world.stage.calls["poll"] == UNKNOWN_BUDGET
    error = world.job(waiting).error
    assert error is not None
    assert error.code == "VENDOR_STATUS_UNKNOWN"
    assert "Pondering" in error.message


def test_a_status_known_again_starts_the_bound_anew(world: World, waiting: str) -> None:
    strange = Look(LookStatus.UNKNOWN, "Pondering")
    world.stage.poll = [strange] * (UNKNOWN_BUDGET - 1) + [RUNNING] + [strange] * (UNKNOWN_BUDGET - 1)
    assert looks(world, waiting) == "DOWNLOAD"


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (Look(LookStatus.FAILED, "fail", message="disk full", vendor_code="77"), "VENDOR_TASK_FAILED"),
        (Look(LookStatus.FAILED, "fail", code="VENDOR_TASK_NOT_FOUND"), "VENDOR_TASK_NOT_FOUND"),
        (Look(LookStatus.EMPTY, code="NO_RECORDING"), "NO_RECORDING"),
        (Look(LookStatus.EMPTY), "VENDOR_TASK_EMPTY"),
        (Look(LookStatus.READY), "VENDOR_TASK_EMPTY"),
    ],
)
def test_a_task_that_yields_nothing_fails_the_job_and_says_why(
    world: World, waiting: str, seen: Look, code: str
) -> None:
    world.stage.poll = [seen]
    world.settle()
    world.assert_honest(waiting, JobStatus.FAILED, stored=0)
    assert world.job(waiting).error.code == code  # type: ignore[union-attr]


def test_files_are_downloaded_when_they_become_ready_one_by_one(world: World, waiting: str) -> None:
    running = LookStatus.RUNNING
    world.stage.poll = [
        look(clip(0), clip(1, running), status=running),
        look(clip(0), clip(1, running), status=running),
        look(clip(0), clip(1), clip(2)),
    ]
    state = world.poll(waiting)
    assert (state["next"], state["ready"], state["then"]) == ("DOWNLOAD", ["f001"], "WAIT")
    world.download(waiting)
    assert world.poll(waiting)["next"] == "WAIT"
    state = world.poll(waiting)
    assert (state["next"], state["ready"], state["then"]) == ("DOWNLOAD", ["f002", "f003"], "FINISH")


def test_some_files_failed_is_partial(world: World, waiting: str) -> None:
    lost = clip(1, LookStatus.FAILED, code="VENDOR_FILE_FAILED", message="disk full", vendor_code="-1")
    world.stage.poll = [look(clip(0), lost)]
    world.settle()
    world.assert_honest(waiting, JobStatus.PARTIAL, stored=1)
    error = world.job(waiting).file("f002").error  # type: ignore[union-attr]
    assert error is not None
    assert (error.code, error.message, error.vendor_code) == ("VENDOR_FILE_FAILED", "disk full", "-1")


def test_everything_failed_is_failed_with_the_files_code(world: World, waiting: str) -> None:
    world.stage.poll = [look(clip(0, LookStatus.FAILED), clip(1, LookStatus.FAILED))]
    world.settle()
    world.assert_honest(waiting, JobStatus.FAILED, stored=0)
    assert world.job(waiting).error.code == "VENDOR_FILE_FAILED"  # type: ignore[union-attr]


def test_a_vendor_that_says_that_something_is_missing_makes_it_partial(world: World, waiting: str) -> None:
    world.stage.poll = [look(clip(0), code="RECORDING_INCOMPLETE", message="the camera was offline for a while")]
    world.settle()
    world.assert_honest(waiting, JobStatus.PARTIAL, stored=1)
    assert world.job(waiting).error.code == "RECORDING_INCOMPLETE"  # type: ignore[union-attr]


def test_a_task_that_fails_after_a_file_was_stored_is_partial(world: World, waiting: str) -> None:
    one_of_two = look(clip(0), clip(1, LookStatus.RUNNING), status=LookStatus.RUNNING)
    world.stage.poll = [one_of_two, Look(LookStatus.FAILED, "fail")]
    world.settle()
    world.assert_honest(waiting, JobStatus.PARTIAL, stored=1)


def test_the_deadline_ends_it_as_timed_out_and_stops_the_vendor(world: World, waiting: str) -> None:
    world.stage.poll = [RUNNING] * 1000
    world.settle()
    world.assert_honest(waiting, JobStatus.TIMED_OUT, stored=0)
    assert world.job(waiting).error.code == "DEADLINE_PASSED"  # type: ignore[union-attr]
    assert len(world.stage.aborted) == 1


def test_the_last_wait_ends_at_the_deadline(world: World, waiting: str) -> None:
    world.stage.poll = [RUNNING] * 1000
    world.time = world.job(waiting).deadline_at.replace(microsecond=0)
    world.wait(-7)
    assert world.poll(waiting)["wait_seconds"] <= 8


def test_a_copy_that_dies_every_time_is_counted_and_given_up(world: World, waiting: str) -> None:
    world.copying.results = [RuntimeError("out of memory")] * 1000
    world.settle()
    world.assert_honest(waiting, JobStatus.FAILED, stored=0)
    file = world.job(waiting).files[0]
    assert file.attempts == DOWNLOAD_BUDGET
    assert file.error is not None
    assert file.error.code == "DOWNLOAD_BROKEN"


def test_a_file_nobody_ever_begins_is_given_up_too(world: World, waiting: str) -> None:
    state = world.poll(waiting)
    for turns in range(1, DOWNLOAD_BUDGET + 1):
        assert state["next"] == "DOWNLOAD"
        world.wait(state["wait_seconds"])
        state = world.poll(waiting, events=33 * turns, broken=["f001"])
    assert state["next"] == "FINISH"
    assert world.job(waiting).files[0].status is FileStatus.FAILED


def test_a_broken_copy_counts_once_however_often_the_look_after_it_is_repeated(world: World, waiting: str) -> None:
    world.poll(waiting)
    for _ in range(DOWNLOAD_BUDGET + 1):
        world.poll(waiting, events=33, broken=["f001"])
    assert world.job(waiting).files[0].attempts == 1
    world.stage.poll = [VendorUnavailable("timeout")]
    world.poll(waiting, events=66, broken=["f001"])
    assert world.job(waiting).files[0].attempts == 2, "the machine says it once, whatever the vendor says"


def test_what_was_handed_out_and_never_came_to_a_call_is_no_attempt(world: World, waiting: str) -> None:
    """The poll was killed after its last write, or the execution was stopped, again and again."""
    for _ in range(DOWNLOAD_BUDGET + 1):
        assert world.poll(waiting)["next"] == "DOWNLOAD"
    world.copying.results = [RuntimeError("stopped")]
    with pytest.raises(RuntimeError):
        world.download(waiting)
    for _ in range(DOWNLOAD_BUDGET + 1):
        assert list(world.poll(waiting)["ready"]) == ["f001"]
    assert (world.job(waiting).files[0].status, world.job(waiting).files[0].attempts) == (FileStatus.COPYING, 0)


def test_a_file_no_longer_listed_when_the_vendor_is_done_is_not_waited_for(world: World, waiting: str) -> None:
    world.stage.poll = [look(clip(0, LookStatus.RUNNING), clip(1), status=LookStatus.RUNNING), look(clip(1))]
    for _ in range(2):
        state = world.poll(waiting)
        world.wait(state["wait_seconds"])
    assert world.job(waiting).files[0].status is FileStatus.PENDING, "one list without it may be a bad one"
    world.stage.poll = [look(clip(1))] * 9
    world.settle()
    job = world.job(waiting)
    assert (job.status, job.files[0].error.code) == (JobStatus.PARTIAL, "VENDOR_FILE_MISSING")  # type: ignore[union-attr]
    assert job.finished_at < job.deadline_at  # type: ignore[operator]


def test_what_the_vendor_notes_about_a_pending_file_is_kept(world: World, waiting: str) -> None:
    def pending(since: int) -> Look:
        return Look(LookStatus.RUNNING, files=[Sighting("one", "one.mp4", LookStatus.RUNNING, detail={"since": since})])

    world.stage.poll = [pending(1), pending(2)]
    for since in (1, 2):
        world.poll(waiting)
        assert world.job(waiting).files[0].detail == {"since": since}


def test_a_verdict_is_not_looked_behind(world: World, waiting: str) -> None:
    world.stage.poll = [Look(LookStatus.FAILED)]
    assert world.poll(waiting)["next"] == "FINISH"
    assert world.poll(waiting)["next"] == "FINISH"
    assert world.trigger(waiting)["next"] == "FINISH"
    assert world.stage.calls["poll"] == 1
