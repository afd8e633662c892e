"""What a job comes to, whatever its vendor: one suite for all of them."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from clipferry.aws.account_secrets import load_account
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.vendors import vendor_class

from local.simulators.faults import Fault
from local.simulators.stage import Lost
from tests.conformance.ground import Ground


def test_work_is_asked_for_followed_and_stored(ground: Ground) -> None:
    job = ground.play(ground.stage.one)
    ground.assert_ended(job, JobStatus.SUCCEEDED, 1)
    assert ground.simulator.calls[ground.stage.trigger] == 1


def test_work_that_exists_is_adopted_without_starting_any(ground: Ground) -> None:
    first = ground.play(ground.stage.one)
    again = ground.adopt(ground.stage.adopt(first.public()))
    ground.settle()
    job = ground.job(again)
    assert (job.status, len(job.files)) == (JobStatus.SUCCEEDED, 1)
    ground.assert_equal(job)
    assert ground.simulator.calls[ground.stage.trigger] == 1


def test_work_that_the_vendor_does_not_know_is_named(ground: Ground) -> None:
    job_id = ground.adopt(ground.stage.unknown)
    ground.settle()
    job = ground.job(job_id)
    ground.assert_failed(job, "VENDOR_TASK_NOT_FOUND")
    assert job.error is not None
    assert ground.stage.unknown_id in job.error.message


def test_each_file_is_handed_to_download_when_it_is_ready(ground: Ground) -> None:
    """Not when the last one is: others are still to come, or not even known."""
    job = ground.play(ground.stage.three)
    ground.assert_ended(job, JobStatus.SUCCEEDED, 3)
    handed = [answer for answer in ground.answered if answer.step == "Poll" and answer.ready]
    assert [len(answer.ready) for answer in handed] == [1, 1, 1]
    assert [answer.listed for answer in handed] == [False, False, True]
    stored = [answer.statuses.count(FileStatus.STORED) for answer in handed]
    assert stored == [0, 1, 2]


def test_one_file_that_fails_costs_no_other(ground: Ground) -> None:
    job = ground.play(ground.stage.partly)
    ground.assert_ended(job, JobStatus.PARTIAL, 1)
    (failed,) = [file for file in job.files if file.status is FileStatus.FAILED]
    assert failed.error is not None
    assert (failed.error.code, bool(failed.error.message)) == (ground.stage.partly.code, True)


def test_a_url_that_is_not_there_yet_is_waited_for(ground: Ground) -> None:
    ground.simulator.fail_next("download", Fault("missing"), times=6)
    job = ground.play(ground.stage.one)
    ground.assert_ended(job, JobStatus.SUCCEEDED, 1)


def test_a_url_that_never_works_is_given_up(ground: Ground) -> None:
    ground.simulator.fail_next("download", Fault("missing"), times=None)
    job = ground.play(ground.stage.one)
    ground.assert_ended(job, JobStatus.FAILED, 0)
    (file,) = job.files
    assert file.error is not None
    assert file.error.code == "SOURCE_GONE"


@pytest.mark.parametrize("after", [0, 40_000])
def test_a_url_that_expires_on_the_way_is_renewed_and_the_copy_goes_on(ground: Ground, after: int) -> None:
    ground.simulator.fail_next("download", Fault("reset", after=after))
    ground.simulator.fail_next("download", Fault("expired"))
    job = ground.play(ground.stage.one)
    ground.assert_ended(job, JobStatus.SUCCEEDED, 1)
    assert ground.simulator.calls["download"] >= 3
    assert ground.simulator.calls[ground.stage.trigger] == 1


def test_a_status_that_nobody_told_of_is_followed_within_a_bound(ground: Ground) -> None:
    job = ground.play(ground.stage.odd)
    ground.assert_failed(job, ground.stage.odd.code)
    assert 2 < job.polls < 100


def test_a_task_without_files_is_not_a_success(ground: Ground) -> None:
    job = ground.play(ground.stage.empty)
    ground.assert_failed(job, ground.stage.empty.code)


@pytest.mark.parametrize("hint", [None, 400])
def test_a_vendor_that_throttles_is_left_alone_for_a_while(ground: Ground, hint: int | None) -> None:
    """For as long as it said, or else for half a minute; and it does no harm however often it happens."""
    for operation in (ground.stage.trigger, ground.stage.look):
        ground.simulator.fail_next(operation, Fault("throttle", retry_after=hint), times=7)
    job = ground.play(ground.stage.one)
    ground.assert_ended(job, JobStatus.SUCCEEDED, 1)
    for step in ("Trigger", "Poll"):
        waits = [answer.wait for answer in ground.answered if answer.step == step][:7]
        assert len(waits) == 7
        assert min(waits) >= (hint or 20)
    assert len(ground.simulator.tasks) == 1


def test_credentials_that_the_vendor_refuses_end_the_job(ground: Ground) -> None:
    for key in vendor_class(ground.vendor).secret_keys:
        ground.put_secret(ground.simulator.secret() | {key: "wrong-canary"})
        job = ground.play(ground.stage.one)
        assert job.error is not None
        assert (job.status, job.error.code) == (JobStatus.FAILED, "ACCOUNT_REFUSED")
        load_account(ground.vendor, ground.vendor, fresh=True)
    assert ground.simulator.tasks == []
    assert not any("wrong-canary" in written for written in ground.edge.written)


def test_credentials_that_were_changed_are_read_afresh(ground: Ground) -> None:
    right = ground.simulator.secret()
    ground.put_secret(right | {key: "old" for key in vendor_class(ground.vendor).secret_keys})
    load_account(ground.vendor, ground.vendor)  # into the cache
    ground.put_secret(right)
    job = ground.play(ground.stage.one)
    ground.assert_ended(job, JobStatus.SUCCEEDED, 1)


GARBAGE: list[dict[str, Any]] = [
    {"kind": "html"},
    {"kind": "html", "status": 200},
    {"kind": "empty"},
    {"kind": "empty", "status": 204},
    {"kind": "truncated"},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 503},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    *({"kind": "body", "body": body} for body in ("null", "[]", '"ok"', "{}", "{", "\ufeff{}", '{"code": {}}', "NaN")),
    {"kind": "body", "body": "[" * 100_000},
]


@pytest.mark.parametrize("faults", [GARBAGE[:9], GARBAGE[9:]], ids=["transport", "bodies"])
def test_looks_that_bring_garbage_are_repeated(ground: Ground, faults: list[dict[str, Any]]) -> None:
    for fault in faults:
        ground.simulator.fail_next(ground.stage.look, Fault(**fault))
    job = ground.play(ground.stage.one)
    ground.assert_ended(job, JobStatus.SUCCEEDED, 1)
    assert ground.simulator.calls[ground.stage.look] > len(faults)


def test_a_vendor_that_sends_nothing_but_garbage_is_given_up(ground: Ground) -> None:
    ground.simulator.fail_next(ground.stage.look, Fault("html"), times=None)
    job = ground.play(ground.stage.one)
    ground.assert_failed(job, "VENDOR_UNAVAILABLE")
    assert ground.simulator.calls[ground.stage.look] < 30


@pytest.mark.parametrize("skew", [-86_400.0, 86_400.0])
def test_a_clock_that_is_a_day_off_costs_nothing(ground: Ground, skew: float) -> None:
    ground.simulator.clock.skew = skew
    job = ground.play(ground.stage.one)
    ground.assert_ended(job, JobStatus.SUCCEEDED, 1)
    assert len(ground.simulator.tasks) == 1


@pytest.mark.parametrize("fault", ["reset_after", "truncated"])
def test_a_trigger_whose_reply_was_lost_is_never_doubled_blindly(ground: Ground, fault: str) -> None:
    for number, (outcome, settings) in enumerate(ground.stage.lost.items()):
        ground.simulator.fail_next(ground.stage.trigger, Fault(fault))
        for name, value in settings.items():
            setattr(ground.simulator.settings, name, value)
        before = len(ground.simulator.tasks)
        job = ground.play(ground.stage.one)
        made = len(ground.simulator.tasks) - before
        assert (outcome, made) in [(Lost.FOUND, 1), (Lost.REPEATED, 2), (Lost.UNCERTAIN, 1)], number
        assert_outcome(ground, job.job_id, outcome)


def test_a_trigger_that_broke_off_before_the_vendor_acted(ground: Ground) -> None:
    """From here it looks like a lost reply: repeated only where that is known to be safe."""
    ground.simulator.fail_next(ground.stage.trigger, Fault("reset_before"))
    job = ground.play(ground.stage.one)
    assert len(ground.simulator.tasks) == (0 if ground.stage.unsent is Lost.UNCERTAIN else 1)
    assert_outcome(ground, job.job_id, ground.stage.unsent)


def assert_outcome(ground: Ground, job_id: str, outcome: Lost) -> None:
    job = ground.job(job_id)
    if outcome is Lost.UNCERTAIN:
        assert job.error is not None
        assert (job.status, job.error.code) == (JobStatus.FAILED, "TRIGGER_UNCERTAIN")
    else:
        assert (job.status, len(job.files)) == (JobStatus.SUCCEEDED, 1)
        ground.assert_equal(job)


def test_a_vendor_that_cannot_be_reached_is_triggered_again(ground: Ground) -> None:
    """Nothing was sent, which is certain: no doubt, whatever the vendor."""
    secret = ground.simulator.secret()
    ground.put_secret(secret | {"endpoint": f"http://127.0.0.1:{free_port()}"})
    job_id = ground.ask_for(ground.stage.one)
    assert ground.trigger(job_id)["next"] == "TRIGGER"
    assert not ground.job(job_id).in_doubt
    ground.put_secret(secret)
    load_account(ground.vendor, ground.vendor, fresh=True)
    ground.settle()
    ground.assert_ended(ground.job(job_id), JobStatus.SUCCEEDED, 1)
    assert len(ground.simulator.tasks) == 1


def free_port() -> int:
    """One on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_success_after_a_cancel_changes_nothing_until_a_retry(ground: Ground) -> None:
    job_id = ground.ask_for(ground.stage.one)
    ground.trigger(job_id)
    ground.cancel(job_id)
    ground.wait(7200)
    for step in (ground.trigger, ground.poll):
        assert step(job_id)["next"] == "STOP"
    ground.settle()
    ground.assert_ended(ground.job(job_id), JobStatus.CANCELLED, 0)
    ground.retry(job_id)
    ground.settle()
    ground.assert_ended(ground.job(job_id), JobStatus.SUCCEEDED, 1)
    assert len(ground.simulator.tasks) == (2 if vendor_class(ground.vendor).can_abort else 1)
