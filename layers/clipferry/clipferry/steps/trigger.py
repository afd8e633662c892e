"""Start the vendor's work once. The intent is written before the call and the refs after it; whoever comes back to an
intent without refs looks for the work before asking for any."""

from __future__ import annotations

from datetime import timedelta

from clipferry.accounts import AccountError
from clipferry.cadence import error_wait
from clipferry.jobs import Job, JobStatus, Problem
from clipferry.steps.runtime import Runtime, problem_of, task_of
from clipferry.steps.turn import Turn, current, overtaken
from clipferry.store import Superseded
from clipferry.vendors.contract import (
    Submitted,
    TriggerUncertain,
    VendorAuthFailed,
    VendorError,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)

TRIGGER_BUDGET = 6  # failed calls: those that never reached the vendor, and the lookups after one that may have


def trigger(rt: Runtime, job_id: str, generation: int) -> Turn:
    """Start the work, adopt it, or find it; then say how long to wait. Raises NotFound."""
    job = rt.jobs.load(job_id)
    if not current(job, generation):
        return Turn(job, generation, "STOP")
    if job.verdict:
        return Turn(job, generation, "FINISH")
    try:
        if rt.now() >= job.deadline_at:
            problem = Problem("DEADLINE_PASSED", f"not triggered within {job.deadline_seconds} seconds")
            return end(rt, job, JobStatus.TIMED_OUT, problem)
        return _trigger(rt, job)
    except Superseded as error:
        return overtaken(rt, job_id, generation, error)


def _trigger(rt: Runtime, job: Job) -> Turn:
    try:
        if job.refs_complete:
            return _wait(rt, job, Submitted(job.vendor_refs, job.hint - job.elapsed(rt.now())))
        if job.adopt is not None:
            rt.jobs.change(job, rt.now(), triggered_at=rt.now())
            return _wait(rt, job, rt.ask(job, lambda vendor: vendor.adopt(task_of(job, rt.now()))))
        return _wait(rt, job, _submit(rt, job))
    except VendorThrottled as error:
        return _again(rt, job, error, retry_after=error.retry_after, sent=False, counts=False)
    except VendorUnavailable as error:
        return _again(rt, job, error, retry_after=None, sent=error.reached, counts=True)
    except TriggerUncertain as error:
        return _uncertain(rt, job, error)
    except (AccountError, VendorRefused, VendorAuthFailed) as error:
        return end(rt, job, JobStatus.FAILED, problem_of(error))


def _submit(rt: Runtime, job: Job) -> Submitted:
    """New work at the vendor, in as many calls as it takes, each one's refs written before the next call."""
    submitted = None
    if job.in_doubt:
        rt.jobs.change(job, rt.now(), trigger_attempts=job.trigger_attempts + 1)
        submitted = rt.ask(job, lambda vendor: vendor.find(task_of(job, rt.now())))
    if submitted is None:
        _intend(rt, job)
        submitted = rt.ask(job, lambda vendor: vendor.trigger(task_of(job, rt.now())))
    while not submitted.complete:
        rt.jobs.change(job, rt.now(), vendor_refs=dict(submitted.refs))
        submitted = rt.ask(job, lambda vendor: vendor.trigger(task_of(job, rt.now())))
    return submitted


def _intend(rt: Runtime, job: Job) -> None:
    """Write down that a trigger is about to be sent. `triggered_at` of an earlier doubt stays: its work may surface."""
    now = rt.now()
    rt.jobs.change(
        job, now, JobStatus.TRIGGERING, triggered_at=job.triggered_at or now, trigger_attempts=job.trigger_attempts + 1
    )


def _wait(rt: Runtime, job: Job, submitted: Submitted) -> Turn:
    """Write the refs, move to WAITING, and wait until a look is worth its call."""
    now = rt.now()
    left = max(1.0, (job.deadline_at - now).total_seconds())
    wait = int(min(max(1.0, submitted.first_look), left))
    rt.jobs.change(
        job, now, JobStatus.WAITING, vendor_refs=dict(submitted.refs), refs_complete=True,
        hint=max(job.hint, int(submitted.first_look)), waited=job.waited + wait,
        next_poll_at=now + timedelta(seconds=wait),
    )  # fmt: skip
    return Turn(job, job.generation, "WAIT", wait)


def _again(rt: Runtime, job: Job, error: VendorError, *, retry_after: float | None, sent: bool, counts: bool) -> Turn:
    """Try the trigger once more later. What provably had no effect takes the doubt away."""
    if counts and job.trigger_attempts >= TRIGGER_BUDGET:
        if sent:
            return _uncertain(rt, job, error)
        return end(rt, job, JobStatus.FAILED, problem_of(error))
    attempts = max(job.trigger_attempts, 1)
    wait = error_wait(attempts, retry_after, rt.rng)
    partial = bool(job.vendor_refs)
    rt.jobs.change(
        job, rt.now(), next_poll_at=rt.now() + timedelta(seconds=wait),
        trigger_attempts=attempts - (0 if counts else 1),
        triggered_at=job.triggered_at if sent or partial else None, waited=job.waited + wait if sent else job.waited,
    )  # fmt: skip
    return Turn(job, job.generation, "TRIGGER", wait)


def _uncertain(rt: Runtime, job: Job, error: VendorError) -> Turn:
    """Nobody can tell whether the work exists: look again while that may help, then do as the job said."""
    if isinstance(error, TriggerUncertain) and error.look_again is not None:
        wait = max(1, int(error.look_again))
        rt.jobs.change(job, rt.now(), waited=job.waited + wait, next_poll_at=rt.now() + timedelta(seconds=wait),
                       trigger_attempts=max(0, job.trigger_attempts - 1))  # fmt: skip
        return Turn(job, job.generation, "TRIGGER", wait)
    if job.on_uncertain == "retrigger":
        rt.jobs.change(job, rt.now(), triggered_at=None, trigger_attempts=0, waited=0)
        return Turn(job, job.generation, "TRIGGER", 1)
    problem = Problem("TRIGGER_UNCERTAIN", f"a trigger was sent and its reply was lost: {error.message}",
                      error.code, error.request_id)  # fmt: skip
    return end(rt, job, JobStatus.FAILED, problem)


def end(rt: Runtime, job: Job, verdict: JobStatus, problem: Problem) -> Turn:
    """Write down how the job ends and let finish carry it out."""
    rt.jobs.change(job, rt.now(), verdict=verdict, error=problem, next_poll_at=None)
    return Turn(job, job.generation, "FINISH")
