"""The trigger: work is asked for once, and a doubt goes away only by the vendor's word."""

from __future__ import annotations

import pytest
from clipferry.jobs.job import CALL_LIFETIME
from clipferry.jobs.statuses import JobStatus
from clipferry.steps.trigger import RETRIGGER_BUDGET, TRIGGER_BUDGET
from clipferry.vendors.contract import (
    Submitted,
    TriggerUncertain,
    VendorAuthFailed,
    VendorError,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)

from tests.unit.steps.vendor import RUNNING
from tests.unit.steps.world import Crash, World

LOST = VendorUnavailable("no reply within 20 s", reached=True)
NOT_SENT = VendorUnavailable("connection refused", reached=False)


def until_it_stops(world: World, job_id: str) -> str:
    """What the machine does with TRIGGER; the first other answer."""
    waited = 0
    for _ in range(100):
        state = world.trigger(job_id, waited=waited)
        if state["next"] != "TRIGGER":
            return str(state["next"])
        world.wait(state["wait_seconds"])
        waited += state["wait_seconds"]
    raise AssertionError("it never stops triggering")


def test_the_refs_are_written_and_the_first_look_waits_for_the_vendors_hint(world: World) -> None:
    job_id = world.submit()
    state = world.trigger(job_id)
    assert state | {"job_id": "", "wait_seconds": 0} == {
        "job_id": "",
        "generation": 1,
        "next": "WAIT",
        "wait_seconds": 0,
        "ready": [],
        "then": "WAIT",
    }
    assert 5 <= state["wait_seconds"] < 30
    job = world.job(job_id)
    assert (job.status, job.refs_complete, job.hint) == (JobStatus.WAITING, True, 5)
    assert len(job.vendor_refs["ids"]) == 1


def test_a_second_call_after_the_refs_were_written_asks_nothing(world: World) -> None:
    job_id = world.submit()
    world.trigger(job_id)
    assert world.trigger(job_id)["next"] == "WAIT"
    assert world.stage.calls["trigger"] == 1


def test_chunks_are_written_down_one_by_one_and_gone_on_with(world: World) -> None:
    world.stage.chunks = 3
    world.stage.trigger = [None, NOT_SENT]
    job_id = world.submit()
    assert world.trigger(job_id)["next"] == "TRIGGER"
    assert len(world.job(job_id).vendor_refs["ids"]) == 1
    assert until_it_stops(world, job_id) == "WAIT"
    assert len(world.stage.tasks) == len(set(world.stage.tasks)) == 3


def test_each_chunk_is_as_old_as_its_own_call(world: World) -> None:
    """A vendor may list new work late: how long a lookup has to wait counts from the call that is in doubt."""
    ages: list[float] = []

    def slowly() -> Submitted:
        world.wait(20)
        ages.append(world.job(job_id).elapsed(world.time))
        world.stage.tasks.append(f"{world.job(job_id).key}/{len(ages) - 1}")
        return Submitted({"ids": [str(n) for n in range(len(ages))]}, complete=len(ages) == 3)

    world.stage.trigger = [slowly] * 3
    job_id = world.submit()
    assert world.trigger(job_id)["next"] == "WAIT"
    assert ages == pytest.approx([20, 20, 20], abs=1)


def test_a_trigger_after_a_lookup_is_as_old_as_itself(world: World) -> None:
    world.stage.trigger, world.stage.lose = [LOST], [LOST]
    job_id = world.submit()
    world.trigger(job_id)
    world.wait(30)
    world.trigger(job_id)
    job = world.job(job_id)
    assert (job.in_doubt, job.trigger_attempts) == (True, 2)
    assert job.elapsed(world.time) < 5


def test_what_was_provably_not_sent_is_sent_again_without_a_lookup(world: World) -> None:
    world.stage.trigger = [NOT_SENT, NOT_SENT]
    job_id = world.submit()
    assert until_it_stops(world, job_id) == "WAIT"
    assert world.stage.calls == {"trigger": 3}


def test_what_is_never_sent_ends_as_unavailable(world: World) -> None:
    world.stage.trigger = [NOT_SENT] * 50
    job_id = world.submit()
    assert until_it_stops(world, job_id) == "FINISH"
    assert world.stage.calls == {"trigger": TRIGGER_BUDGET}
    assert world.job(job_id).error.code == "VENDOR_UNAVAILABLE"  # type: ignore[union-attr]


def test_throttled_calls_do_not_count_and_wait_as_the_vendor_says(world: World) -> None:
    world.stage.trigger = [VendorThrottled("slow down", retry_after=90.0)] * 20
    job_id = world.submit()
    assert world.trigger(job_id)["wait_seconds"] == 90
    assert until_it_stops(world, job_id) == "WAIT"
    assert world.job(job_id).trigger_attempts == 1


def test_no_wait_goes_beyond_the_deadline(world: World) -> None:
    world.stage.trigger = [VendorThrottled("slow down", retry_after=1e9)] * 2
    job_id = world.submit(deadline_seconds=60)
    assert world.trigger(job_id)["wait_seconds"] <= 61
    world.wait(61)
    assert world.trigger(job_id)["next"] == "FINISH"
    assert world.job(job_id).verdict is JobStatus.TIMED_OUT


def test_a_lost_reply_is_looked_for_and_found(world: World) -> None:
    world.stage.lose = [LOST]
    job_id = world.submit()
    assert until_it_stops(world, job_id) == "WAIT"
    assert len(world.stage.tasks) == 1
    assert world.job(job_id).refs_complete


def test_a_lost_call_that_provably_started_nothing_is_made_again(world: World) -> None:
    world.stage.trigger = [LOST]
    job_id = world.submit()
    assert until_it_stops(world, job_id) == "WAIT"
    assert len(world.stage.tasks) == 1
    assert world.stage.calls["find"] == 1


@pytest.mark.parametrize("trouble", [VendorThrottled("slow down"), NOT_SENT, LOST])
def test_trouble_with_the_lookup_leaves_the_doubt(world: World, trouble: VendorError) -> None:
    world.stage.lose, world.stage.find = [LOST], [trouble, trouble]
    job_id = world.submit()
    assert until_it_stops(world, job_id) == "WAIT"
    assert len(world.stage.tasks) == 1, "triggered again though nobody had said that the first was lost"


def test_a_vendor_that_cannot_tell_ends_uncertain(world: World) -> None:
    world.stage.lose, world.stage.findable = [LOST], False
    job_id = world.submit()
    assert until_it_stops(world, job_id) == "FINISH"
    job = world.job(job_id)
    assert job.verdict is JobStatus.FAILED
    assert job.error is not None
    assert job.error.code == "TRIGGER_UNCERTAIN"
    assert len(world.stage.tasks) == 1


def test_a_vendor_that_refuses_the_lookup_ends_uncertain_in_its_words(world: World) -> None:
    world.stage.lose = [LOST]
    world.stage.find = [VendorRefused("no such operation", code="InvalidAction", request_id="r-1")]
    job_id = world.submit()
    assert until_it_stops(world, job_id) == "FINISH"
    error = world.job(job_id).error
    assert error is not None
    assert (error.code, error.vendor_code, error.request_id) == ("TRIGGER_UNCERTAIN", "InvalidAction", "r-1")
    assert "no such operation" in error.message


def test_a_lookup_without_credentials_is_made_again_after_a_retry(world: World) -> None:
    world.stage.lose, world.stage.find = [LOST], [VendorAuthFailed("may not list")] * 1000
    job_id = world.submit(deadline_seconds=86_400)
    world.settle()
    world.stage.find.clear()
    assert world.job(job_id).error.code == "ACCOUNT_REFUSED"  # type: ignore[union-attr]
    world.retry(job_id)
    world.settle()
    world.assert_honest_now(job_id, JobStatus.SUCCEEDED, stored=1)
    assert len(world.stage.tasks) == 1


def test_calls_of_ours_that_died_are_no_failures_of_the_vendors(world: World) -> None:
    world.stage.trigger = [Crash("killed")] * (TRIGGER_BUDGET + 2)
    job_id = world.submit()
    for _ in range(TRIGGER_BUDGET + 2):
        with pytest.raises(Crash):
            world.trigger(job_id)
        world.wait(CALL_LIFETIME.total_seconds())
    assert until_it_stops(world, job_id) == "WAIT"
    job = world.job(job_id)
    assert (job.trigger_errors, job.trigger_attempts, len(world.stage.tasks)) == (0, TRIGGER_BUDGET + 3, 1)


def test_a_trigger_that_may_still_be_on_its_way_is_found_but_not_given_up(world: World) -> None:
    """Another call sent it and has not come back: what the vendor does not know yet may still come."""
    world.stage.trigger = [Crash("killed")]
    job_id = world.submit()
    with pytest.raises(Crash):
        world.trigger(job_id)
    state = world.trigger(job_id)
    assert (state["next"], state["wait_seconds"]) == ("TRIGGER", CALL_LIFETIME.total_seconds())
    assert (world.stage.calls["find"], world.stage.calls["trigger"]) == (1, 1)
    world.stage.tasks.append(f"{world.job(job_id).key}/0")  # it has come
    assert world.trigger(job_id)["next"] == "WAIT"
    assert world.stage.calls["trigger"] == 1


@pytest.mark.parametrize("trouble", [TriggerUncertain("no list"), VendorRefused("no such lookup")])
def test_a_doubt_is_no_end_while_the_trigger_may_still_be_on_its_way(world: World, trouble: VendorError) -> None:
    world.stage.trigger, world.stage.find = [Crash("killed")], [trouble, trouble]
    job_id = world.submit()
    with pytest.raises(Crash):
        world.trigger(job_id)
    state = world.trigger(job_id)
    assert (state["next"], world.job(job_id).verdict) == ("TRIGGER", None)
    world.wait(state["wait_seconds"])
    assert world.trigger(job_id)["next"] == "FINISH"
    assert world.job(job_id).error.code == "TRIGGER_UNCERTAIN"  # type: ignore[union-attr]


def test_an_answer_that_comes_after_another_call_took_over_changes_nothing(world: World) -> None:
    """The first call's throttling comes late: it must not take the doubt of the second call's trigger away."""
    job_id = world.submit()

    def throttled_late() -> None:
        world.wait(CALL_LIFETIME.total_seconds())
        world.stage.trigger = [Crash("killed")]
        with pytest.raises(Crash):
            world.trigger(job_id)
        raise VendorThrottled("slow down")

    world.stage.trigger = [throttled_late]
    world.trigger(job_id)
    assert world.job(job_id).in_doubt


def test_a_vendor_that_will_know_later_is_asked_later(world: World) -> None:
    world.stage.lose = [LOST]
    world.stage.find = [TriggerUncertain("not uploaded yet", look_again=70.0)] * (TRIGGER_BUDGET + 3)
    job_id = world.submit()
    assert world.trigger(job_id)["next"] == "TRIGGER"
    assert world.trigger(job_id)["wait_seconds"] == 70
    assert until_it_stops(world, job_id) == "WAIT"
    assert len(world.stage.tasks) == 1
    assert world.job(job_id).elapsed(world.time) >= 70 * (TRIGGER_BUDGET + 2), "all but the first, not waited here"


def test_a_lookup_that_never_answers_ends_uncertain(world: World) -> None:
    world.stage.lose, world.stage.find = [LOST], [LOST] * 50
    job_id = world.submit()
    assert until_it_stops(world, job_id) == "FINISH"
    assert world.job(job_id).error.code == "TRIGGER_UNCERTAIN"  # type: ignore[union-attr]
    assert world.stage.calls["find"] < TRIGGER_BUDGET + 1


def test_a_job_that_allows_it_is_triggered_again_a_bounded_number_of_times(world: World) -> None:
    world.stage.lose, world.stage.findable = [LOST] * 50, False
    job_id = world.submit(on_uncertain="retrigger")
    assert until_it_stops(world, job_id) == "FINISH"
    assert len(world.stage.tasks) == 1 + RETRIGGER_BUDGET
    assert world.job(job_id).error.code == "TRIGGER_UNCERTAIN"  # type: ignore[union-attr]


def test_a_job_that_allows_it_goes_on_with_the_second_trigger(world: World) -> None:
    world.stage.lose, world.stage.findable = [LOST], False
    job_id = world.submit(on_uncertain="retrigger")
    assert until_it_stops(world, job_id) == "WAIT"
    assert len(world.stage.tasks) == 2


@pytest.mark.parametrize(
    ("error", "code", "vendor_code"),
    [
        (VendorRefused("the camera is offline", code="9201", request_id="r-1"), "VENDOR_REFUSED", "9201"),
        (VendorRefused("no such task", kind="VENDOR_TASK_NOT_FOUND"), "VENDOR_TASK_NOT_FOUND", None),
        (
            VendorAuthFailed("signature does not match", code="SignatureDoesNotMatch"),
            "ACCOUNT_REFUSED",
            "SignatureDoesNotMatch",
        ),
    ],
)
def test_a_no_ends_the_job_in_the_vendors_words(
    world: World, error: VendorError, code: str, vendor_code: str | None
) -> None:
    world.stage.trigger = [error] * 3
    job_id = world.submit()
    world.settle()
    job = world.job(job_id)
    assert (job.status, job.error.code, job.error.vendor_code) == (JobStatus.FAILED, code, vendor_code)  # type: ignore[union-attr]
    assert job.error.request_id == error.request_id  # type: ignore[union-attr]
    assert not job.in_doubt, "a call that was refused had no effect"


def test_a_refused_job_can_be_retried_though_its_vendor_keeps_no_list(world: World) -> None:
    world.stage.trigger, world.stage.findable = [VendorRefused("the camera is offline")], False
    job_id = world.submit()
    world.settle()
    world.retry(job_id)
    world.settle()
    world.assert_honest_now(job_id, JobStatus.SUCCEEDED, stored=1)


def test_an_adoption_asks_for_no_new_work(world: World) -> None:
    job_id = world.submit(adopt={"task_id": "t-9"})
    world.settle()
    world.assert_honest(job_id, JobStatus.SUCCEEDED, stored=1)
    assert world.stage.calls["trigger"] == 0
    assert world.job(job_id).vendor_refs == {"ids": ["t-9"]}


def test_an_adoption_that_never_works_ends_as_unavailable(world: World) -> None:
    world.stage.adopt = [LOST] * 50
    job_id = world.submit(adopt={"task_id": "t-9"})
    assert until_it_stops(world, job_id) == "FINISH"
    assert world.job(job_id).error.code == "VENDOR_UNAVAILABLE"  # type: ignore[union-attr]
    assert world.stage.calls["adopt"] == TRIGGER_BUDGET


def test_an_older_generation_has_no_say(world: World) -> None:
    job_id = world.submit()
    assert world.trigger(job_id, 2)["next"] == "STOP"
    world.cancel(job_id)
    assert world.trigger(job_id)["next"] == "STOP"
    assert world.stage.calls["trigger"] == 0


def test_a_cancel_during_the_call_wins(world: World) -> None:
    job_id = world.submit()

    def answer_late() -> Submitted:
        world.cancel(job_id)
        return Submitted({"id": "late"})

    world.stage.trigger = [answer_late]
    assert world.trigger(job_id)["next"] == "STOP"
    assert world.job(job_id).status is JobStatus.CANCELLED


def test_another_execution_finds_the_work_of_an_older_trigger_that_was_on_its_way(world: World) -> None:
    """Stopped from outside in the middle of the call; the sweep hears of it at once and starts a new generation."""
    job_id = world.submit()

    def answer_late() -> Submitted:
        world.stop_execution(job_id)
        world.sweep_one(job_id)
        world.stage.tasks.append(f"{world.job(job_id).key}/0")
        return Submitted({"id": "late"})

    world.stage.trigger = [answer_late]
    world.trigger(job_id)
    assert world.job(job_id).generation == 2
    assert world.trigger(job_id, 2)["next"] == "WAIT"
    world.settle()
    world.assert_honest(job_id, JobStatus.SUCCEEDED, stored=1)
    assert len(world.stage.tasks) == 1


def test_waits_before_the_trigger_that_worked_are_no_part_of_the_time_since(world: World) -> None:
    """Else a vendor that throttles for a while has its work looked upon as old before it began."""
    world.stage.trigger = [VendorThrottled("slow down", retry_after=500)] * 3
    job_id = world.submit()
    assert until_it_stops(world, job_id) == "WAIT"
    assert world.job(job_id).elapsed(world.time) == 0
    world.stage.poll = [RUNNING]
    world.poll(job_id, waited=1505)
    assert world.job(job_id).elapsed(world.time) == 5, "the wait for the first look and no other"


def test_a_wait_cut_short_is_no_part_of_the_time_since(world: World) -> None:
    """Else a recording of an hour counts as long over when its execution was stopped after a minute."""
    world.stage.trigger = [Submitted({"ids": ["slow"]}, first_look=3600.0)]
    job_id = world.submit()
    world.trigger(job_id)
    assert world.trigger(job_id)["wait_seconds"] == 3600, "the step was repeated, so that nothing was waited for"
    world.wait(60)
    world.stop_execution(job_id)
    world.sweep_one(job_id)
    assert world.trigger(job_id, 2)["wait_seconds"] == 3540


def test_waits_that_ran_faster_than_the_clock_count_over_executions(world: World) -> None:
    world.stage.trigger = [Submitted({"ids": ["slow"]}, first_look=3600.0)]
    world.stage.poll = [RUNNING] * 9
    job_id = world.submit()
    world.trigger(job_id)
    for waited in (3600, 3600, 3660):  # the second look is a repeated one
        world.poll(job_id, waited=waited)
    assert world.job(job_id).elapsed(world.time) == 3660
    world.stop_execution(job_id)
    world.sweep_one(job_id)
    assert world.trigger(job_id, 2)["wait_seconds"] == 1
    world.poll(job_id, 2, waited=40)
    assert world.job(job_id).elapsed(world.time) == 3700


def test_waits_before_the_adoption_that_worked_are_no_part_of_the_time_since(world: World) -> None:
    world.stage.adopt = [VendorThrottled("slow down", retry_after=500)] * 3
    job_id = world.submit(adopt={"task_id": "t"})
    assert until_it_stops(world, job_id) == "WAIT"
    assert world.job(job_id).elapsed(world.time) == 0
