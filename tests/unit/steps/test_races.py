"""Calls of one job at once: whatever the order of their effects, the vendor is asked once and the job has one end.

Lambda may be invoked twice for one state (Step Functions retries what it did not hear of), and users click twice.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from clipferry.jobs.statuses import JobStatus
from clipferry.vendors.contract import VendorThrottled, VendorUnavailable

from tests.unit.steps.interleaving import Call, assert_in_every_order
from tests.unit.steps.world import Crash, World

LOST = VendorUnavailable("no reply within 20 s", reached=True)


def the_job(world: World) -> str:
    return world.submit(seed="the one")


def queued(world: World) -> None:
    the_job(world)


def throttled(world: World) -> None:
    """TRIGGERING, and not in doubt."""
    world.stage.trigger = [VendorThrottled("slow down")]
    world.trigger(the_job(world))


def in_doubt(world: World) -> None:
    """A trigger was sent, nothing came of it, and its answer was lost."""
    world.stage.trigger = [LOST]
    world.trigger(the_job(world))


def between_chunks(world: World) -> None:
    """The first of two chunks is at the vendor, and the second was throttled."""
    world.stage.chunks = 2
    world.stage.trigger = [None, VendorThrottled("slow down")]
    world.trigger(the_job(world))


def chunk_in_doubt(world: World) -> None:
    world.stage.chunks = 2
    world.stage.trigger = [None, LOST]
    world.trigger(the_job(world))


def call_died(world: World) -> None:
    """A call was killed between its intent and the vendor's answer, for all that anybody knows."""
    world.stage.trigger = [Crash("killed")]
    with pytest.raises(Crash):
        world.trigger(the_job(world))


def trigger_until_it_waits(world: World) -> None:
    """As the machine does."""
    for _ in range(20):
        state = world.trigger(the_job(world))
        if state["next"] != "TRIGGER":
            break
        world.wait(state["wait_seconds"])
    assert state["next"] == "WAIT"


def each_piece_once(world: World) -> None:
    trigger_until_it_waits(world)
    assert len(world.stage.tasks) == len(set(world.stage.tasks)) == world.stage.chunks
    assert world.job(the_job(world)).status is JobStatus.WAITING


@pytest.mark.parametrize(
    ("before", "switches"),
    [(queued, None), (throttled, None), (in_doubt, 2), (between_chunks, 2), (chunk_in_doubt, 2), (call_died, 2)],
)
def test_two_triggers_at_once_start_each_piece_of_work_once(
    before: Callable[[World], None], switches: int | None
) -> None:
    def two(world: World) -> list[Call]:
        before(world)
        world.wait(60)
        job_id = the_job(world)
        return [lambda: world.trigger(job_id)] * 2

    assert_in_every_order(two, each_piece_once, switches=switches)


def test_a_trigger_beside_a_fresh_execution_starts_the_work_once() -> None:
    """The sweep takes an execution for lost whose trigger is still at it."""

    def beside(world: World) -> list[Call]:
        throttled(world)
        world.wait(60)
        job_id = the_job(world)
        world.stop_execution(job_id)
        return [lambda: world.trigger(job_id), lambda: (world.sweep_one(job_id), world.trigger(job_id, generation=2))]

    def one_task(world: World) -> None:
        world.settle()
        assert len(world.stage.tasks) == 1

    assert_in_every_order(beside, one_task, switches=2)


def test_a_trigger_beside_a_cancel_and_a_retry_starts_no_work_twice() -> None:
    """What the cancel stopped may be asked for anew, under a key of its own; nothing is asked for twice."""

    def beside(world: World) -> list[Call]:
        throttled(world)
        world.wait(60)
        job_id = the_job(world)
        return [
            lambda: world.trigger(job_id),
            lambda: (world.cancel(job_id), world.retry(job_id), world.trigger(job_id, generation=2)),
        ]

    def one_job(world: World) -> None:
        world.settle()
        assert len(world.stage.tasks) == len(set(world.stage.tasks))
        assert world.job(the_job(world)).status in (JobStatus.SUCCEEDED, JobStatus.CANCELLED)

    assert_in_every_order(beside, one_job, switches=1)
