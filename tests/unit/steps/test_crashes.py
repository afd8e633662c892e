"""The process dies right before and right after each effect it has; what comes next makes it good.

A scenario is run once undisturbed to learn its effects. Then, for each of them and for both sides, it is run in a
fresh world that dies there, and the machine, the sweep or the same user again goes on.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from clipferry.jobs.statuses import JobStatus
from clipferry.pacing.call_rates import ANY
from clipferry.pacing.task_slots import LEASE
from clipferry.steps import step_result
from clipferry.store.account_limits import LearnedDurations
from clipferry.vendors.contract import LookStatus

from tests.unit.steps import world as worlds
from tests.unit.steps.limited import SLOW, account, busy, rows
from tests.unit.steps.vendor import Scripted, clip, look
from tests.unit.steps.world import Crash, World

Act = Callable[[World], object]


@dataclass(frozen=True)
class Scenario:
    """`prepare` is not disturbed; `act` is, and `again` is what its caller may do after a crash; then all settles."""

    prepare: Act
    act: Act
    again: Act
    check: Act


def the_job(world: World) -> str:
    return world.submit(seed="the one", labels={"site": "gate"})


def nothing(world: World) -> None:
    return


def submit_and_settle(world: World) -> None:
    the_job(world)
    world.settle()


def succeeded_once(world: World) -> None:
    job_id = the_job(world)
    world.settle()
    world.assert_honest(job_id, JobStatus.SUCCEEDED, stored=1)
    assert len(world.stage.tasks) == len(set(world.stage.tasks)) == 2
    assert len(world.rt.jobs.list(worlds.EVERYTHING, 10)[0]) == 1


def succeeded_if_written(world: World) -> None:
    """Nobody asks again: a job whose row was not written does not exist, any other is done."""
    world.settle()
    for job in world.rt.jobs.list(worlds.EVERYTHING, 10)[0]:
        world.assert_honest(job.job_id, JobStatus.SUCCEEDED, stored=1)
    assert len(world.stage.tasks) == len(world.rt.jobs.list(worlds.EVERYTHING, 10)[0])


def two_chunks(world: World) -> None:
    world.stage.chunks = 2


WHOLE_WAY = Scenario(two_chunks, submit_and_settle, nothing, succeeded_once)
SUBMIT_AND_LEAVE = Scenario(nothing, the_job, nothing, succeeded_if_written)


def running_copy(world: World) -> None:
    """A job with an upload open and no process at it, while the vendor has not finished."""
    world.stage.poll = [look(clip(0), status=LookStatus.RUNNING)]
    job_id = the_job(world)
    world.trigger(job_id)
    world.wait(5)
    world.poll(job_id)
    world.copying.during = lambda: (_ for _ in ()).throw(Crash("in the copy"))
    with pytest.raises(Crash):
        world.download(job_id)
    world.copying.during = lambda: None


def cancel(world: World) -> None:
    world.cancel(the_job(world))


def cancelled_once(world: World) -> None:
    """The second click came to a cancel that had died: the sweep does what was left."""
    world.settle()
    world.assert_honest(the_job(world), JobStatus.CANCELLED, stored=0)
    assert {tuple(refs["ids"]) for refs in world.stage.aborted} == {tuple(world.job(the_job(world)).vendor_refs["ids"])}


CANCEL = Scenario(running_copy, cancel, cancel, cancelled_once)
CANCEL_AND_LEAVE = Scenario(running_copy, cancel, nothing, lambda world: left_or_cancelled(world))


def left_or_cancelled(world: World) -> None:
    """A cancel that died before it wrote anything down has not happened."""
    world.settle()
    status = world.job(the_job(world)).status
    world.assert_honest(the_job(world), status, stored=1 if status is JobStatus.SUCCEEDED else 0)
    assert status in (JobStatus.CANCELLED, JobStatus.SUCCEEDED)


def half_failed(world: World) -> None:
    """One file stored, one lost for good: PARTIAL."""
    from clipferry import transfer

    world.stage.files = 2
    world.copying.results = [None, transfer.Failed("NOT_A_VIDEO", "an error page")]
    job_id = the_job(world)
    world.settle()
    world.assert_honest(job_id, JobStatus.PARTIAL, stored=1)
    world.edge.sent.clear()


def retry(world: World) -> None:
    world.retry(the_job(world))


def retried_once(world: World) -> None:
    world.settle()
    job = world.job(the_job(world))
    world.assert_honest(job.job_id, JobStatus.SUCCEEDED, stored=2)
    assert len(world.stage.tasks) == 1, "vendor work that is still good is used again"
    again = [stem for stem in world.copying.copied if stem.endswith("f001")]
    assert len(again) == 1, "what is stored is not read again"


RETRY = Scenario(half_failed, retry, retry, retried_once)


def overdue(world: World) -> None:
    running_copy(world)
    world.stop_execution(the_job(world))
    world.wait(3600)


def sweep(world: World) -> None:
    world.sweep()


def timed_out_once(world: World) -> None:
    world.settle()
    world.assert_honest(the_job(world), JobStatus.TIMED_OUT, stored=0)


OVERDUE = Scenario(overdue, sweep, nothing, timed_out_once)


def lost_execution(world: World) -> None:
    running_copy(world)
    world.stop_execution(the_job(world))
    world.wait(3000)


def restarted_once(world: World) -> None:
    world.settle()
    world.assert_honest(the_job(world), JobStatus.SUCCEEDED, stored=1)
    assert len(world.stage.tasks) == 1


LOST = Scenario(lost_execution, sweep, nothing, restarted_once)


def many_looks_later(world: World) -> None:
    world.monkeypatch.setattr(step_result, "HAND_OVER_AT", 50)
    world.stage.poll = [worlds.RUNNING] * 3
    the_job(world)


def look_on(world: World) -> None:
    world.execute(the_job(world))


def handed_over_once(world: World) -> None:
    world.settle()
    world.assert_honest(the_job(world), JobStatus.SUCCEEDED, stored=1)
    assert world.job(the_job(world)).generation > 1
    assert len(world.stage.tasks) == 1


def untold(world: World) -> None:
    """A cancel that died right after the job had ended: nothing that has to follow was done."""
    running_copy(world)
    job_id = the_job(world)
    world.edge.crash_at, world.edge.crash_after = len(world.edge.effects), True
    with pytest.raises(Crash):
        world.cancel(job_id)
    world.edge.crash_at = None
    world.wait(300)


def told_once(world: World) -> None:
    world.settle()
    world.assert_honest(the_job(world), JobStatus.CANCELLED, stored=0)


UNTOLD = Scenario(untold, sweep, nothing, told_once)
HANDOVER = Scenario(many_looks_later, look_on, nothing, handed_over_once)


def full(world: World) -> None:
    """An account for one task at a time, which another job has running."""
    account(world, max_in_flight=1)
    world.trigger(world.submit(seed="the other"))
    the_job(world)


def the_other_ends(world: World) -> None:
    world.cancel(world.submit(seed="the other"))
    world.wait(200)


def free_again(world: World) -> None:
    full(world)
    world.trigger(the_job(world))
    the_other_ends(world)


def ask_for_a_slot(world: World) -> None:
    world.trigger(the_job(world))


def served_once(world: World) -> None:
    job_id = the_job(world)
    the_other_ends(world)
    world.settle()
    world.assert_honest_now(job_id, JobStatus.SUCCEEDED, stored=1)
    assert len(world.stage.tasks) == len(set(world.stage.tasks)) == 2
    assert rows(world, "SLOT#") == []
    world.wait(2 * LEASE)
    assert rows(world, "WAIT#") == [], "a ticket lost on the way holds up nobody for longer than a lease"


LINE_UP = Scenario(full, ask_for_a_slot, nothing, served_once)
TAKE_A_SLOT = Scenario(free_again, ask_for_a_slot, nothing, served_once)


def few_calls(world: World) -> None:
    """A vendor that takes a call a second, and an account whose slots are taken for a minute."""
    world.monkeypatch.setattr(Scripted, "rates", {ANY: SLOW})
    busy(world, 60)


def call_in_turn(world: World) -> None:
    job_id = the_job(world)
    world.wait(world.trigger(job_id)["wait_seconds"])
    world.trigger(job_id)


def learned_once(world: World) -> None:
    job_id = the_job(world)
    world.settle()
    world.assert_honest(job_id, JobStatus.SUCCEEDED, stored=1)
    assert len(world.stage.tasks) == 1
    assert LearnedDurations().read("scripted#2").count <= 1


OVER_BUDGET = Scenario(few_calls, call_in_turn, nothing, learned_once)

SCENARIOS = {
    "the whole way": WHOLE_WAY,
    "a submission and nobody comes back": SUBMIT_AND_LEAVE,
    "a cancel and a second click": CANCEL,
    "a cancel and nobody comes back": CANCEL_AND_LEAVE,
    "a retry": RETRY,
    "an overdue job": OVERDUE,
    "a lost execution": LOST,
    "a hand-over": HANDOVER,
    "a line for a slot": LINE_UP,
    "a slot that came free": TAKE_A_SLOT,
    "a budget that is taken": OVER_BUDGET,
    "an end that nobody was told of": UNTOLD,
}


def run(scenario: Scenario, crash_at: int | None = None, *, after: bool = False) -> list[str]:
    """The scenario's effects, having died at one of them or not, and what came of it checked."""
    with pytest.MonkeyPatch.context() as monkeypatch, worlds.world(monkeypatch) as world:
        scenario.prepare(world)
        first = len(world.edge.effects)
        if crash_at is not None:
            world.edge.crash_at, world.edge.crash_after = first + crash_at, after
        try:
            scenario.act(world)
        except Crash:
            scenario.again(world)
        effects = world.edge.effects[first:]
        scenario.check(world)
        return effects


def moments(scenario: Scenario) -> Iterator[tuple[int, bool, str]]:
    for number, effect in enumerate(run(scenario)):
        for after in (False, True):
            yield number, after, effect


@pytest.mark.parametrize("name", SCENARIOS)
def test_wherever_it_crashes_it_ends_as_it_should(name: str) -> None:
    scenario, failures = SCENARIOS[name], []
    for number, after, effect in moments(scenario):
        try:
            run(scenario, number, after=after)
        except (AssertionError, Crash) as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            failures.append(f"{'after' if after else 'before'} {effect} ({number}): {error} at {where.line}")
    assert not failures, "\n\n".join(failures)
