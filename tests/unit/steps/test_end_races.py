"""The end of a job beside everything that may happen to it at that moment: a late end changes nothing of a retry's, and
the rows of a job live and die together."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from clipferry.jobs.job import CALL_LIFETIME, COPY_LIFETIME
from clipferry.jobs.statuses import JobStatus
from clipferry.store.rows import Item
from clipferry.vendors.contract import Look, LookStatus

from tests.unit.steps.interleaving import Call, assert_in_every_order
from tests.unit.steps.vendor import RUNNING, clip, look
from tests.unit.steps.world import Crash, World

State = Callable[[World], None]
Do = Callable[[World, str], object]


def the_job(world: World) -> str:
    return world.submit(seed="the one", labels={"site": "gate"})


def waiting(world: World) -> None:
    world.stage.files = 2
    job_id = the_job(world)
    world.trigger(job_id)
    world.wait(5)


def downloading(world: World) -> None:
    """One file stored, one upload open and nobody at it, the vendor not done."""
    waiting(world)
    job_id = the_job(world)
    world.stage.poll = [look(clip(0), clip(1), status=LookStatus.RUNNING)]
    world.poll(job_id)
    world.download(job_id, "f001")
    world.copying.during = lambda: (_ for _ in ()).throw(Crash("in the copy"))  # type: ignore[assignment]
    with pytest.raises(Crash):
        world.download(job_id, "f002")
    world.copying.during = lambda: None


def failed_by_the_vendor(world: World) -> None:
    """Its end is decided and not yet carried out."""
    downloading(world)
    world.stage.poll = [Look(LookStatus.FAILED)]
    world.poll(the_job(world))


def all_copied(world: World) -> None:
    waiting(world)
    job_id = the_job(world)
    world.poll(job_id)
    for file_id in ("f001", "f002"):
        world.download(job_id, file_id)


def overdue(world: World) -> None:
    downloading(world)
    world.stop_execution(the_job(world))
    world.wait(4000)


def untold(world: World) -> None:
    """A cancel that died right after the job had ended."""
    downloading(world)
    job_id = the_job(world)
    world.edge.crash_at, world.edge.crash_after = len(world.edge.effects), True
    with pytest.raises(Crash):
        world.cancel(job_id)
    world.edge.crash_at = None
    world.wait(CALL_LIFETIME.total_seconds())


def cancelled(world: World) -> None:
    downloading(world)
    world.cancel(the_job(world))


def retried(world: World) -> None:
    cancelled(world)
    world.retry(the_job(world))


def trigger(world: World, job_id: str) -> object:
    return world.trigger(job_id, world.job(job_id).generation)


def poll(world: World, job_id: str) -> object:
    return world.poll(job_id, world.job(job_id).generation)


def download(world: World, job_id: str) -> object:
    return world.download(job_id, "f002", world.job(job_id).generation)


def finish(world: World, job_id: str) -> object:
    return world.finish(job_id, world.job(job_id).generation)


def cancel(world: World, job_id: str) -> object:
    return world.cancel(job_id)


def retry(world: World, job_id: str) -> object:
    return world.retry(job_id)


def retry_and_run(world: World, job_id: str) -> object:
    """To the end of the retried job, if it can be retried."""
    world.retry(job_id)
    generation = world.job(job_id).generation
    world.trigger(job_id, generation)
    world.poll(job_id, generation)
    for file_id in ("f001", "f002"):
        world.download(job_id, file_id, generation)
    return world.finish(job_id, generation)


def sweep(world: World, job_id: str) -> object:
    return world.sweep()


def all_is_well(world: World) -> None:
    """Whatever came of it: what can be seen of the job from outside agrees, now and from here on."""
    job_id = the_job(world)
    world.settle()
    world.wait(COPY_LIFETIME.total_seconds() + 60)
    world.sweep()  # takes back what a late copy left
    job = world.job(job_id)
    stored = sum(file.s3_uri is not None for file in job.files)
    world.assert_honest_now(job_id, job.status, stored=stored)
    assert world.manifest(job_id)["generation"] == job.generation
    assert len(world.stage.tasks) == len(set(world.stage.tasks))
    assert job.finished_at is not None
    expected = int(job.finished_at.timestamp()) + 90 * 86_400
    assert {row.sk: row.expires_at for row in Item.query(f"JOB#{job_id}") if row.expires_at != expected} == {}


RACES: list[tuple[State, Do, Do]] = [
    (waiting, cancel, retry_and_run),
    (downloading, cancel, retry_and_run),
    (failed_by_the_vendor, finish, retry_and_run),
    (overdue, sweep, retry_and_run),
    (untold, sweep, retry_and_run),
    (untold, retry, sweep),
    (cancelled, retry, retry),
    (retried, cancel, retry),
    (retried, cancel, trigger),
    (waiting, poll, cancel),
    (waiting, poll, poll),
    (waiting, poll, sweep),
    (downloading, poll, cancel),
    (downloading, poll, download),
    (downloading, download, download),
    (downloading, download, cancel),
    (downloading, cancel, cancel),
    (all_copied, finish, finish),
    (all_copied, finish, cancel),
    (all_copied, finish, poll),
    (overdue, sweep, sweep),
    (overdue, sweep, cancel),
    (overdue, sweep, download),
]


@pytest.mark.parametrize(("before", "one", "other"), RACES, ids=lambda step: step.__name__)
def test_whatever_happens_beside_an_end_all_agrees_afterwards(before: State, one: Do, other: Do) -> None:
    def both(world: World) -> list[Call]:
        before(world)
        job_id = the_job(world)
        return [lambda: one(world, job_id), lambda: other(world, job_id)]

    long = {retry_and_run, sweep, download, finish} & {one, other}
    switches = 1 if long else 2  # one is what it takes for a call that stops anywhere and goes on when all is over
    assert_in_every_order(both, all_is_well, switches=switches)


def test_a_poll_under_way_at_a_cancel_leaves_no_file_behind() -> None:
    """The look has seen files before the cancel, and would record them after it."""

    def both(world: World) -> list[Call]:
        waiting(world)
        job_id = the_job(world)
        return [lambda: world.poll(job_id), lambda: world.cancel(job_id)]

    def no_file_is_open(world: World) -> None:
        job = world.job(the_job(world))
        assert job.status is JobStatus.CANCELLED
        assert all(file.status.settled for file in job.files)
        assert len({row.expires_at for row in Item.query(f"JOB#{job.job_id}")}) == 1

    assert_in_every_order(both, no_file_is_open, reads=True, switches=2)


def test_the_manifest_says_what_a_look_wrote_between_the_reading_and_the_end_of_a_cancel() -> None:
    def look_and_cancel(world: World) -> list[Call]:
        waiting(world)
        job_id = the_job(world)
        world.stage.poll = [RUNNING]
        return [lambda: world.poll(job_id), lambda: world.cancel(job_id)]

    def manifest_is_the_row(world: World) -> None:
        world.settle()
        job_id = the_job(world)
        shown, said = json.loads(json.dumps(world.job(job_id).public())), world.manifest(job_id)
        assert {**said, "updated_at": None} == {**shown, "updated_at": None}

    assert_in_every_order(look_and_cancel, manifest_is_the_row, reads=True, switches=2)
