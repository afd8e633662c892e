"""Cancel, finish and retry: one effect each, from every status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from clipferry import transfer
from clipferry.aws import events
from clipferry.jobs.job import Job
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.steps.conclusion import TIME_FOR_A_DUTY
from clipferry.steps.finish import CONCLUDING, Closing, NotNow
from clipferry.store.job_records import NotFound, Superseded
from clipferry.vendors.contract import Look, LookStatus, VendorRefused, VendorUnavailable

from tests.unit.steps.vendor import RUNNING, clip, look
from tests.unit.steps.world import Crash, World


def queued(world: World) -> str:
    return world.submit()


def triggering(world: World) -> str:
    world.stage.trigger = [VendorUnavailable("timeout")]
    job_id = world.submit()
    world.trigger(job_id)
    return job_id


def waiting(world: World) -> str:
    job_id = world.submit()
    world.trigger(job_id)
    world.stage.poll = [RUNNING]
    world.poll(job_id)
    return job_id


def downloading(world: World) -> str:
    """One file stored, one upload open."""
    job_id = world.submit()
    world.trigger(job_id)
    world.stage.poll = [look(clip(0), clip(1), clip(2, LookStatus.RUNNING), status=LookStatus.RUNNING)]
    world.poll(job_id)
    world.download(job_id, "f001")
    world.copying.during = _crash
    with pytest.raises(Crash):
        world.download(job_id, "f002")
    world.copying.during = lambda: None
    return job_id


LIVE = {
    JobStatus.QUEUED: queued,
    JobStatus.TRIGGERING: triggering,
    JobStatus.WAITING: waiting,
    JobStatus.DOWNLOADING: downloading,
}


@pytest.mark.parametrize("status", LIVE)
def test_a_cancel_ends_everything_at_any_status(world: World, status: JobStatus) -> None:
    job_id = LIVE[status](world)
    assert world.job(job_id).status is status
    assert world.cancel(job_id).status is JobStatus.CANCELLED
    world.assert_honest(job_id, JobStatus.CANCELLED, stored=1 if status is JobStatus.DOWNLOADING else 0)
    assert len(world.stage.aborted) == (1 if status in (JobStatus.WAITING, JobStatus.DOWNLOADING) else 0)
    assert len(world.edge.sent) == 1


@pytest.mark.parametrize("status", LIVE)
def test_a_second_cancel_changes_nothing(world: World, status: JobStatus) -> None:
    job_id = LIVE[status](world)
    world.cancel(job_id)
    before, effects = world.job(job_id), len(world.edge.effects)
    assert world.cancel(job_id).status is JobStatus.CANCELLED
    assert world.job(job_id) == before
    assert len(world.edge.effects) == effects


def test_two_cancels_at_once_are_one(world: World) -> None:
    job_id = waiting(world)
    world.stage.abort = [lambda: bool(world.cancel(job_id))]
    world.cancel(job_id)
    assert len(world.edge.sent) == 1
    world.assert_honest(job_id, JobStatus.CANCELLED, stored=0)


def test_the_sweep_that_hears_of_the_stop_leaves_the_cancel_to_its_work(world: World) -> None:
    job_id = waiting(world)
    world.stage.abort = [lambda: bool(world.sweep_one(job_id))]
    world.cancel(job_id)
    assert len(world.edge.sent) == 1


def test_a_finish_that_meets_a_cancel_leaves_the_rest_to_it(world: World) -> None:
    job_id = waiting(world)
    world.stage.poll = [Look(LookStatus.FAILED)]
    world.poll(job_id)
    world.stage.abort = [lambda: bool(world.finish(job_id))]
    world.cancel(job_id)
    assert len(world.edge.sent) == 1
    world.assert_honest(job_id, JobStatus.CANCELLED, stored=0)


def test_a_finish_whose_move_took_effect_unheard_carries_out_the_rest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DynamoDB made the move, its answer was lost, and the repeated write met its own condition."""
    job_id = waiting(world)
    world.stage.poll = [Look(LookStatus.FAILED)]
    world.poll(job_id)
    change = world.rt.jobs.change

    def unheard(job: Job, *args: Any, **values: Any) -> None:
        change(job, *args, **values)
        if "finished_at" in values:
            raise Superseded(job_id)

    with monkeypatch.context() as lost:
        lost.setattr(world.rt.jobs, "change", unheard)
        assert world.finish(job_id)["next"] == "END"
    assert len(world.edge.sent) == 1
    world.settle()
    world.assert_honest(job_id, JobStatus.FAILED, stored=0)


def test_a_cancel_that_died_is_concluded_by_the_sweep(world: World) -> None:
    job_id = waiting(world)
    world.stage.abort = [Crash("gone")]
    with pytest.raises(Crash):
        world.cancel(job_id)
    world.settle()
    world.assert_honest(job_id, JobStatus.CANCELLED, stored=0)


def test_a_vendor_that_does_not_answer_holds_no_cancel_up(world: World) -> None:
    job_id = waiting(world)
    world.stage.abort = [VendorUnavailable("timeout")]
    world.cancel(job_id)
    world.assert_honest(job_id, JobStatus.CANCELLED, stored=0)


def test_what_has_ended_otherwise_cannot_be_cancelled(world: World) -> None:
    job_id = succeeded(world)
    with pytest.raises(NotNow, match="SUCCEEDED cannot be cancelled"):
        world.cancel(job_id)


@pytest.mark.parametrize("act", [World.cancel, World.retry])
def test_a_job_that_does_not_exist(world: World, act: Callable[[World, str], object]) -> None:
    with pytest.raises(NotFound):
        act(world, "0" * 26)


def failed(world: World) -> str:
    world.stage.trigger = [VendorRefused("the camera is offline")]
    job_id = world.submit()
    world.settle()
    return job_id


def partial(world: World) -> str:
    world.stage.files = 2
    world.copying.results = [None, transfer.Failed("NOT_A_VIDEO", "an error page")]
    job_id = world.submit()
    world.settle()
    return job_id


def timed_out(world: World) -> str:
    world.stage.poll = [RUNNING]
    job_id = world.submit()
    world.trigger(job_id)
    world.poll(job_id)
    world.wait(3600)
    world.settle()
    return job_id


def cancelled(world: World) -> str:
    job_id = downloading(world)
    world.cancel(job_id)
    return job_id


ENDED = {
    JobStatus.FAILED: failed,
    JobStatus.PARTIAL: partial,
    JobStatus.TIMED_OUT: timed_out,
    JobStatus.CANCELLED: cancelled,
}


@pytest.mark.parametrize("status", ENDED)
def test_a_retry_takes_up_what_is_not_stored(world: World, status: JobStatus) -> None:
    job_id = ENDED[status](world)
    before = world.job(job_id)
    assert before.status is status
    world.stage.files = max(1, len(before.files))
    copied = len(world.copying.copied)
    assert world.retry(job_id).generation == before.generation + 1
    world.settle()
    world.assert_honest_now(job_id, JobStatus.SUCCEEDED, stored=world.stage.files)
    kept = [f.s3_uri for f in before.files if f.status is FileStatus.STORED]
    assert kept == [f.s3_uri for f in world.job(job_id).files][: len(kept)]
    assert len(world.copying.copied) - copied == world.stage.files - len(kept), "what is stored is not read again"


@pytest.mark.parametrize("status", ENDED)
def test_a_second_retry_meets_the_first(world: World, status: JobStatus) -> None:
    job_id = ENDED[status](world)
    first, second = world.retry(job_id), world.retry(job_id)
    assert (first.generation, first.status) == (second.generation, second.status)
    assert len(world.executions()) == 1


@pytest.mark.parametrize(
    ("status", "tasks"), [(JobStatus.PARTIAL, 1), (JobStatus.TIMED_OUT, 2), (JobStatus.CANCELLED, 2)]
)
def test_vendor_work_that_is_still_good_is_used_again(world: World, status: JobStatus, tasks: int) -> None:
    """What was told to stop is spent; the copying of a finished task is not."""
    job_id = ENDED[status](world)
    world.stage.files = max(1, len(world.job(job_id).files))
    world.retry(job_id)
    world.settle()
    assert len(world.stage.tasks) == len(set(world.stage.tasks)) == tasks


def test_spent_vendor_work_is_asked_for_anew_under_a_new_key(world: World) -> None:
    world.copying.results = [VendorRefused("the link's days are over", kind="SOURCE_EXPIRED")]
    job_id = world.submit()
    world.settle()
    key = world.job(job_id).key
    world.retry(job_id)
    world.settle()
    world.assert_honest_now(job_id, JobStatus.SUCCEEDED, stored=1)
    assert world.job(job_id).key != key
    assert [entry.partition("/")[0] for entry in world.stage.tasks] == [key, world.job(job_id).key]


def test_a_retry_of_a_doubt_is_a_users_word_to_trigger_again(world: World) -> None:
    world.stage.lose, world.stage.findable = [VendorUnavailable("timeout")], False
    job_id = world.submit()
    world.settle()
    assert world.job(job_id).error.code == "TRIGGER_UNCERTAIN"  # type: ignore[union-attr]
    world.retry(job_id)
    world.settle()
    world.assert_honest_now(job_id, JobStatus.SUCCEEDED, stored=1)
    assert len(world.stage.tasks) == 2


def succeeded(world: World) -> str:
    job_id = world.submit()
    world.settle()
    return job_id


@pytest.mark.parametrize("prepare", [*LIVE.values(), succeeded])
def test_what_runs_or_has_succeeded_is_not_retried(world: World, prepare: Callable[[World], str]) -> None:
    job_id = prepare(world)
    before = world.job(job_id)
    with pytest.raises(NotNow):
        world.retry(job_id)
    assert world.job(job_id) == before


def test_a_retry_during_the_conclusion_is_not_undone_by_it(world: World) -> None:
    """The old end is still at its duties when the user takes the job up again."""
    job_id = downloading(world)
    world.stage.files = 3
    world.stage.abort = [lambda: bool(world.retry(job_id))]
    world.cancel(job_id)
    world.settle()
    world.assert_honest_now(job_id, JobStatus.SUCCEEDED, stored=3)


def test_an_event_that_was_not_taken_is_sent_by_the_sweep(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = world.submit()
    refused = iter([True] * 7)
    announce = events.announce

    def unreliable(job: object) -> None:
        if next(refused, False):
            raise events.EventNotSent("ThrottlingException")
        announce(job)  # type: ignore[arg-type]

    monkeypatch.setattr(events, "announce", unreliable)
    world.settle()
    world.assert_honest(job_id, JobStatus.SUCCEEDED, stored=1)


def test_an_entry_that_eventbridge_refuses_is_an_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = world.submit()
    world.settle()

    class Refusing:
        def put_events(self, **_: object) -> dict[str, object]:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}

    monkeypatch.setattr(events, "_client", Refusing)
    with pytest.raises(events.EventNotSent, match="InternalFailure"):
        events.announce(world.job(job_id))


def test_a_step_whose_repeats_ran_out_fails_the_job(world: World) -> None:
    world.stage.poll = [RuntimeError("a defect of ours")] * 1000
    job_id = world.submit()
    world.settle()
    world.assert_honest(job_id, JobStatus.FAILED, stored=0)
    assert world.job(job_id).error.code == "INTERNAL_ERROR"  # type: ignore[union-attr]


def test_a_finish_of_an_older_generation_only_stops(world: World) -> None:
    job_id = failed(world)
    world.retry(job_id)
    assert world.finish(job_id, 1)["next"] == "STOP"
    assert world.job(job_id).status is JobStatus.QUEUED


def test_a_bucket_that_does_not_answer_lets_finish_be_repeated(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = world.submit()
    world.trigger(job_id)
    world.poll(job_id)
    world.download(job_id)
    slow_down = ClientError({"Error": {"Code": "SlowDown"}}, "PutObject")
    with monkeypatch.context() as broken:
        broken.setattr(world.s3, "put_object", lambda **_: (_ for _ in ()).throw(slow_down))
        with pytest.raises(ClientError):
            world.finish(job_id)
    world.settle()
    world.assert_honest(job_id, JobStatus.SUCCEEDED, stored=1)


def test_the_rows_of_the_files_go_when_the_jobs_does(world: World) -> None:
    from clipferry.store.rows import Item

    job_id = partial(world)
    rows = list(Item.query(f"JOB#{job_id}"))
    assert {row.expires_at for row in rows} == {int(world.job(job_id).finished_at.timestamp()) + 90 * 86_400}  # type: ignore[union-attr]
    world.retry(job_id)
    assert {row.expires_at for row in Item.query(f"JOB#{job_id}")} == {None}


def _crash() -> None:
    raise Crash("in the copy")


def test_a_cancel_with_little_time_ends_the_job_and_leaves_the_rest_to_the_sweep(world: World) -> None:
    job_id = waiting(world)
    closing = Closing(world.rt, world.s3)
    assert closing.within(lambda: TIME_FOR_A_DUTY - 1).cancel(job_id).status is JobStatus.CANCELLED
    assert (world.edge.sent, world.stage.aborted) == ([], [])
    world.wait(CONCLUDING.total_seconds())
    world.settle()
    world.assert_honest(job_id, JobStatus.CANCELLED, stored=0)
    assert (len(world.edge.sent), len(world.stage.aborted)) == (1, 1)


def test_a_cancel_of_many_files_stops_between_two_of_them_when_its_time_is_over(world: World) -> None:
    job_id = downloading(world)
    left = iter([60.0] * 4)  # of four looks at the clock; then the time is over
    assert Closing(world.rt, world.s3).within(lambda: next(left, 0.0)).cancel(job_id).status is JobStatus.CANCELLED
    assert world.edge.sent == []
    world.wait(CONCLUDING.total_seconds())
    world.settle()
    world.assert_honest(job_id, JobStatus.CANCELLED, stored=1)
