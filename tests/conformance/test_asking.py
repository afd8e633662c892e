"""What a vendor is asked for: never twice for the same, never for too much at once, never for longer than a step lives.

Each of these has a wrong vendor in `toy/wrong.py` that it must fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from clipferry.jobs.job import Job
from clipferry.jobs.statuses import FileStatus, JobStatus

from local.simulators.faults import Fault
from local.simulators.stage import Lost, Scene
from tests.conformance.ground import LIFETIME, Ground

CALL_SECONDS = 12.0  # of a vendor that is merely slow


def many(ground: Ground) -> Scene:
    scene = ground.stage.many
    assert scene is not None, f"the stage of {ground.vendor} lacks `many`"
    return scene


def test_more_files_than_one_call_takes_are_all_stored(ground: Ground) -> None:
    job = ground.play(many(ground))
    ground.assert_ended(job, JobStatus.SUCCEEDED, many(ground).files)
    asked = ground.simulator.asked()
    assert len(set(asked)) == len(asked)


def test_more_files_than_one_call_takes_are_all_adopted(ground: Ground) -> None:
    """Without a copy of each: that they are ready is enough."""
    job_id = ground.ask_for(many(ground))
    ground.trigger_until_sent(job_id)
    assert ground.job(job_id).refs_complete, ground.job(job_id).error
    ground.wait(10_800)
    adopted = ground.adopt(ground.stage.adopt(ground.job(job_id).public()))
    ground.trigger_until_sent(adopted)
    ground.look_until_ready(adopted)
    assert len(ground.job(adopted).files) == many(ground).files
    assert len(set(ground.simulator.asked())) == len(ground.simulator.asked())


def test_a_lost_answer_about_many_files_is_made_good(ground: Ground) -> None:
    ground.simulator.fail_next(ground.stage.trigger, Fault("reset_after"))
    job_id = ground.ask_for(many(ground))
    ground.trigger_until_sent(job_id)
    asked = ground.simulator.asked()
    if Lost.FOUND in ground.stage.lost:
        assert len(set(asked)) == len(asked)
    ground.look_until_ready(job_id)
    assert len(ground.job(job_id).files) == many(ground).files


def test_a_retry_asks_for_nothing_that_is_stored(ground: Ground) -> None:
    job = ground.play(ground.stage.partly)
    before, fetched = len(ground.simulator.asked()), list(ground.outbound.fetched)
    kept = next(file for file in job.files if file.status is FileStatus.STORED)
    for name, value in ground.stage.mended.items():
        setattr(ground.simulator.settings, name, value)
    ground.retry(job.job_id)
    ground.settle()
    job = ground.job(job.job_id)
    ground.assert_ended(job, JobStatus.SUCCEEDED, 2)
    assert len(ground.simulator.asked()) - before <= 1, "more than what had failed"
    assert next(file for file in job.files if file.ref == kept.ref).s3_uri == kept.s3_uri
    assert len({url.partition("?")[0] for url in ground.outbound.fetched[len(fetched) :]}) == 1


@pytest.mark.parametrize("acted", [False, True])
def test_older_work_of_the_same_source_is_never_taken_for_that_of_a_lost_trigger(ground: Ground, acted: bool) -> None:
    older = ground.play(ground.stage.one)
    ground.assert_ended(older, JobStatus.SUCCEEDED, 1)
    ground.wait(600)
    ground.meet_the_clock()
    ground.simulator.fail_next(ground.stage.trigger, Fault("reset_after" if acted else "reset_before"))
    outcome = next(iter(ground.stage.lost)) if acted else ground.stage.unsent
    before = len(ground.simulator.tasks)
    job = ground.play(ground.stage.one)
    made = len(ground.simulator.tasks) - before
    if outcome is Lost.UNCERTAIN:
        assert job.error is not None
        assert (job.status, job.error.code, made) == (JobStatus.FAILED, "TRIGGER_UNCERTAIN", int(acted))
        return
    assert job.status is JobStatus.SUCCEEDED
    assert made in ((1, 2) if outcome is Lost.REPEATED else (1,))
    assert not ids(job) & ids(older)


def ids(job: Job) -> set[str]:
    """Every text in what the vendor gave a job."""

    def texts(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from texts(inner)

    return set(texts(job.vendor_refs))


#: Answers that are not the vendor's own word that it did nothing.
UNPROVEN = [
    Fault("html", 500),
    Fault("html", 502),
    Fault("html", 504),
    Fault("html", 200),
    Fault("status", 500),
    Fault("status", 503, retry_after=1),
    *(Fault("empty", status) for status in (200, 202, 204, 302, 307, 404, 408, 425, 499, 520)),
    *(Fault("body", body=body) for body in ("null", "{}", '{"ok"', '{"code": 500}')),
    Fault("truncated"),
    Fault("reset_after"),
]


@pytest.mark.parametrize("faults", [UNPROVEN[:10], UNPROVEN[10:]], ids=["errors", "bodies"])
def test_a_trigger_that_was_carried_out_is_not_sent_again_for_what_was_answered(
    ground: Ground, faults: list[Fault]
) -> None:
    for fault in faults:
        assert_carried_out_once(ground, replace(fault, acts=True))


def test_a_trigger_that_the_vendor_says_it_had_before_is_not_sent_again(ground: Ground) -> None:
    repeated = ground.stage.repeated
    assert repeated is not None, f"the stage of {ground.vendor} lacks `repeated`"
    assert_carried_out_once(ground, replace(repeated, acts=True))


def assert_carried_out_once(ground: Ground, fault: Fault) -> None:
    """One call, then a doubt that is cleared up, at once or later. Where repeating is harmless it may be repeated."""
    before = len(ground.simulator.tasks)
    ground.simulator.fail_next(ground.stage.trigger, fault)
    job_id = ground.ask_for(ground.stage.one)
    ground.trigger(job_id)
    assert len(ground.simulator.tasks) - before == 1, fault
    job = ground.job(job_id)
    assert job.in_doubt or job.refs_complete, fault
    ground.trigger_until_sent(job_id)
    again = 0 if Lost.FOUND in ground.stage.lost else 1
    assert len(ground.simulator.tasks) - before == 1 + again, fault
    ground.cancel(job_id)


def test_a_hop_that_sends_everything_twice_does_not_double_the_work(ground: Ground) -> None:
    """But for a vendor that takes every copy for a call of its own, and then the copies are not ours."""
    ground.simulator.fail_next(ground.stage.trigger, Fault("doubled"))
    job_id = ground.ask_for(ground.stage.one)
    ground.trigger_until_sent(job_id)
    assert ground.simulator.calls[ground.stage.trigger] == 1 or Lost.REPEATED in ground.stage.lost
    ground.settle()
    ground.assert_ended(ground.job(job_id), JobStatus.SUCCEEDED, 1)


def test_a_vendor_that_is_merely_slow_is_followed_to_the_end(ground: Ground) -> None:
    ground.call_seconds = CALL_SECONDS
    job_id = ground.ask_for(many(ground))
    ground.trigger_until_sent(job_id)
    ground.look_until_ready(job_id)
    assert max(answer.took for answer in ground.answered) < LIFETIME
    job = ground.job(job_id)
    assert (len(job.files), job.poll_errors) == (many(ground).files, 0)
    assert len(set(ground.simulator.asked())) == len(ground.simulator.asked())


def test_a_slow_vendor_is_searched_to_the_end(ground: Ground) -> None:
    """After a lost answer, in more calls than one step has time for."""
    ground.call_seconds = CALL_SECONDS * 3
    ground.simulator.fail_next(ground.stage.trigger, Fault("reset_after"))
    job_id = ground.ask_for(many(ground))
    ground.trigger_until_sent(job_id)
    assert max(answer.took for answer in ground.answered) < LIFETIME
    assert ground.job(job_id).refs_complete
    if Lost.FOUND in ground.stage.lost:
        assert len(set(ground.simulator.asked())) == len(ground.simulator.asked())


def test_a_vendor_that_says_later_is_asked_again_later(ground: Ground) -> None:
    assert ground.stage.later, f"the stage of {ground.vendor} lacks `later`"
    for fault in ground.stage.later:
        before = len(ground.simulator.tasks)
        for operation in (ground.stage.trigger, ground.stage.look):
            ground.simulator.fail_next(operation, fault, times=3)
        job_id = ground.ask_for(ground.stage.one)
        ground.trigger_until_sent(job_id)
        ground.look_until_ready(job_id)
        assert len(ground.simulator.tasks) == before + 1, fault
        ground.cancel(job_id)
