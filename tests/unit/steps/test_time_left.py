"""A vendor that is merely slow: a step stops asking before its own time is over, and the next one goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from clipferry.jobs.statuses import JobStatus
from clipferry.pacing.poll_plan import POLL_ERROR_BUDGET
from clipferry.vendors.contract import LookStatus, OutOfTime, Submitted

from tests.unit.steps.vendor import clip, look
from tests.unit.steps.world import World

CALL = 20.0  # seconds that the vendor takes for a call


def slow(world: World, lifetime: float = 120.0) -> Callable[[], float]:
    """Every vendor call takes its time; what is left of a step that begins now."""
    begun = world.time

    def call(name: str, act: Callable[[], object]) -> object:
        world.wait(CALL)
        return act()

    world.stage.effect = call
    return lambda: lifetime - (world.time - begun).total_seconds()


def test_chunks_that_do_not_fit_into_a_step_are_left_to_the_next(world: World) -> None:
    world.stage.chunks = 5
    job_id = world.submit()
    steps = 0
    while (state := world.trigger(job_id, time_left=slow(world)))["next"] == "TRIGGER":
        assert not world.job(job_id).in_doubt, "what was sent has its refs"
        steps += 1
        world.wait(state["wait_seconds"])
    assert (state["next"], steps) == ("WAIT", 1)
    assert [task.partition("/")[2] for task in world.stage.tasks] == ["0", "1", "2", "3", "4"]
    world.settle()
    world.assert_honest(job_id, JobStatus.SUCCEEDED, stored=1)


def test_a_step_with_little_time_still_makes_one_call(world: World) -> None:
    world.stage.chunks = 2
    job_id = world.submit()
    assert world.trigger(job_id, time_left=slow(world, lifetime=30))["next"] == "TRIGGER"
    assert world.trigger(job_id, time_left=slow(world, lifetime=30))["next"] == "WAIT"
    assert len(world.stage.tasks) == 2


def test_a_search_that_was_not_finished_goes_on_and_stays_in_doubt(world: World) -> None:
    world.stage.lose = [TimeoutError("the call was lost")]
    job_id = world.submit()
    with pytest.raises(TimeoutError):
        world.trigger(job_id)
    half = {"ids": ["one"], "absent": [7]}
    world.stage.find = [Submitted(half, complete=False, in_doubt=True)]
    assert world.trigger(job_id)["next"] == "TRIGGER"
    job = world.job(job_id)
    assert (job.in_doubt, job.vendor_refs) == (True, half)
    assert world.trigger(job_id)["next"] == "WAIT"
    assert (world.stage.calls["find"], len(world.stage.tasks)) == (2, 1)


def test_an_adoption_that_was_not_finished_goes_on(world: World) -> None:
    world.stage.adopt = [Submitted({"ids": ["one"]}, complete=False)]
    job_id = world.submit(adopt={"task_id": "one"})
    assert world.trigger(job_id)["next"] == "TRIGGER"
    assert world.job(job_id).vendor_refs == {"ids": ["one"]}
    assert world.trigger(job_id)["next"] == "WAIT"
    assert world.stage.calls["adopt"] == 2


def test_a_look_that_ran_out_of_time_keeps_what_it_saw_and_is_gone_on_with_at_once(world: World, waiting: str) -> None:
    seen = look(clip(0, LookStatus.RUNNING), status=LookStatus.RUNNING, cut_short=OutOfTime(), retry_after=1.0)
    world.stage.poll = [seen]
    state = world.poll(waiting)
    assert (state["next"], state["wait_seconds"]) == ("WAIT", 1)
    assert len(world.job(waiting).files) == 1


def test_a_call_is_not_begun_that_the_step_might_not_live_to_see_the_end_of(world: World, waiting: str) -> None:
    world.stage.calls_a_look = 9
    assert world.poll(waiting, time_left=lambda: 120.0)["next"] == "DOWNLOAD"
    world.stage.poll = []
    world.poll(waiting, time_left=lambda: 60.0)
    assert world.job(waiting).poll_errors == 1, "one call was made, the second was not"


def test_a_vendor_too_slow_for_a_single_answer_is_given_up_within_the_budget(world: World, waiting: str) -> None:
    world.stage.poll = [OutOfTime()] * 100
    for _ in range(POLL_ERROR_BUDGET):
        state = world.poll(waiting)
        world.wait(state["wait_seconds"])
    assert state["next"] == "FINISH"
    error = world.job(waiting).error
    assert error is not None
    assert (error.code, "too slowly" in error.message) == ("VENDOR_UNAVAILABLE", True)


def test_what_a_triggers_answer_leaves_out_is_looked_for_before_it_is_asked_for_again(world: World) -> None:
    world.stage.chunks = 2
    job_id = world.submit()
    named = {"ids": ["one"]}
    world.stage.trigger = [Submitted(named, complete=False, in_doubt=True)]
    assert world.trigger(job_id)["next"] == "TRIGGER"
    job = world.job(job_id)
    assert (job.in_doubt, job.vendor_refs, job.trigger_errors) == (True, named, 1)
    assert world.trigger(job_id)["next"] == "WAIT"
    assert world.stage.calls["find"] == 1


def test_an_answer_that_leaves_something_out_every_time_ends_within_the_budget(world: World) -> None:
    world.stage.trigger = [Submitted({"ids": ["one"]}, complete=False, in_doubt=True)] * 100
    world.stage.find = [Submitted({"ids": ["one"]}, complete=False)] * 100
    job_id = world.submit()
    world.settle()
    world.assert_honest(job_id, JobStatus.FAILED, stored=0)
    assert world.stage.calls["trigger"] <= 11
