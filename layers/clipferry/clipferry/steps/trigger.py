"""Start the vendor's work once. The intent is written before the call and the refs after it; whoever comes back to an
intent without refs looks for the work before asking for any."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from clipferry.aws.account_secrets import AccountError
from clipferry.jobs import CALL_LIFETIME, FileStatus, Job, JobStatus, Problem
from clipferry.pacing.poll_plan import CALL_ROOM, View, error_wait, next_wait
from clipferry.steps.context import THROTTLED_AS, Runtime, problem_of, task_of
from clipferry.steps.learning import learned
from clipferry.steps.paced_calls import Gate
from clipferry.steps.slots import keep_slot, take_slot
from clipferry.steps.turn import BEGUN, Run, Turn, hand_over, on_the_row_as_it_is
from clipferry.vendors.contract import (
    OverBudget,
    Submitted,
    TriggerUncertain,
    VendorAuthFailed,
    VendorError,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)

TRIGGER_BUDGET = 10  # failed calls: triggers without a usable answer, and lookups after them
RETRIGGER_BUDGET = 3  # triggers of one job sent in spite of a doubt
_NO_EFFECT: dict[str, Any] = {"triggered_at": None, "quiet_until": None}  # what changes when no trigger is on its way
_FINAL = (AccountError, VendorRefused, VendorAuthFailed)  # no repeating mends these


def trigger(
    rt: Runtime, job_id: str, generation: int, run: Run = BEGUN, time_left: Callable[[], float] | None = None
) -> Turn:
    """Start the work, adopt it, or find it; then say how long to wait. Raises NotFound.

    `time_left` is in seconds, until this call must have returned; None: there is no end.
    """
    rt = replace(rt, time_left=time_left) if time_left else rt
    return on_the_row_as_it_is(rt, job_id, generation, lambda job: _step(rt, job, run))


def _step(rt: Runtime, job: Job, run: Run) -> Turn:
    job.come_so_far(run.waited)
    _open_files(rt, job)
    if rt.now() >= job.deadline_at:
        problem = Problem("DEADLINE_PASSED", f"not triggered within {job.deadline_seconds} seconds")
        return end(rt, job, JobStatus.TIMED_OUT, problem)
    return hand_over(rt, job) if run.full else _trigger(rt, job)


def _open_files(rt: Runtime, job: Job) -> None:
    """After a retry, what is not stored starts anew, under a generation that older copies do not know."""
    for file in job.files:
        if file.status is not FileStatus.STORED and file.generation < job.fresh_since:
            status = FileStatus.PENDING if file.status is FileStatus.FAILED else file.status
            status = FileStatus.READY if status is FileStatus.COPYING else status
            rt.jobs.change_file(
                job,
                file,
                status,
                generation=job.generation,
                error=None,
                attempts=0,
                reached=0,
                call_seconds=0,
                bytes_copied=0,
                checkpoint={},
            )


def _trigger(rt: Runtime, job: Job) -> Turn:
    if job.refs_complete:
        return _wait(rt, job, Submitted(job.vendor_refs, job.hint - job.elapsed(rt.now())))
    if job.adopt is not None:
        return _adopt(rt, job)
    return _find(rt, job) if job.in_doubt else _send(rt, job)


def _adopt(rt: Runtime, job: Job) -> Turn:
    """Take over work that exists. Nothing is started, so every call may be repeated."""
    rt.jobs.change(job, rt.now(), triggered_at=rt.now(), waited=0, trigger_attempts=job.trigger_attempts + 1)
    try:
        adopted = rt.ask(job, lambda vendor: vendor.adopt(task_of(job, rt.now())))
        if not adopted.complete:  # the time was over before everything had been looked up
            return _pause(rt, job, 1, vendor_refs=dict(adopted.refs))
        return _wait(rt, job, adopted)
    except OverBudget as error:
        return _pause(rt, job, error.wait, trigger_attempts=job.trigger_attempts - 1)
    except VendorThrottled as error:
        return _rest(rt, job, error, trigger_attempts=job.trigger_attempts - 1)
    except VendorUnavailable as error:
        return _fail(rt, job, error) if _spent(job) else _again(rt, job)
    except _FINAL as error:
        return _fail(rt, job, error)


def _find(rt: Runtime, job: Job) -> Turn:
    """A trigger was sent and its answer never written down: look for its work before asking for any.

    Whatever goes wrong here, the doubt stays; only the vendor's word that there is no such work takes it away. Not
    even that, while the call that sent the trigger may still be at it: what the vendor does not know yet may come.
    """
    quiet = (job.quiet_until - rt.now()).total_seconds() if job.quiet_until else 0.0
    try:
        found = rt.ask(job, lambda vendor: vendor.find(task_of(job, rt.now())))
    except OverBudget as error:
        return _pause(rt, job, error.wait)
    except VendorThrottled as error:
        return _rest(rt, job, error)
    except VendorUnavailable as error:
        return _uncertain(rt, job, error, quiet) if _spent(job) else _again(rt, job)
    except TriggerUncertain as error:
        if error.look_again is not None:
            return _pause(rt, job, error.look_again)
        return _uncertain(rt, job, error, quiet)
    except VendorRefused as error:  # a vendor that has no such lookup, say: its no is about the question
        return _uncertain(rt, job, error, quiet)
    except (AccountError, VendorAuthFailed) as error:
        return _fail(rt, job, error)
    if found is not None and found.in_doubt:
        return _pause(rt, job, 1, vendor_refs=dict(found.refs))
    if quiet > 0 and not (found and found.complete):
        return _pause(rt, job, quiet)
    if found is None and job.trigger_errors >= TRIGGER_BUDGET:
        return _fail(rt, job, VendorUnavailable("the vendor gave no usable answer, however often it was triggered"))
    return _send(rt, job, found)


def _send(rt: Runtime, job: Job, found: Submitted | None = None) -> Turn:
    """New work at the vendor, in as many calls as it takes. `found`: what is there already.

    Each call is preceded by its intent, written with the refs of those before it, and by its place in the budget: who
    has to wait for that is not in doubt, so that no lookup takes the place which is kept for the trigger.
    """
    submitted = found or Submitted(job.vendor_refs, complete=False)
    called = found is not None
    while not submitted.complete:
        refs = dict(submitted.refs)
        if called and rt.time_left() < CALL_ROOM:  # the next step goes on with the rest
            return _pause(rt, job, 1, vendor_refs=refs, triggered_at=None)
        try:
            gate = _turn_comes(rt, job)
        except AccountError as error:
            return _fail(rt, job, error, vendor_refs=refs, **_NO_EFFECT)
        if not isinstance(gate, Gate):
            return _pause(rt, job, gate, vendor_refs=refs, **_NO_EFFECT)
        _intend(rt, job, refs)
        try:
            submitted, called = rt.ask(job, lambda vendor: vendor.trigger(task_of(job, rt.now())), gate=gate), True
        except OverBudget as error:
            return _pause(rt, job, error.wait, trigger_attempts=job.trigger_attempts - 1, **_NO_EFFECT)
        except VendorThrottled as error:
            return _rest(rt, job, error, trigger_attempts=job.trigger_attempts - 1, **_NO_EFFECT)
        except VendorUnavailable as error:
            if error.reached:
                return _again(rt, job, quiet_until=None)
            return _fail(rt, job, error, **_NO_EFFECT) if _spent(job) else _again(rt, job, **_NO_EFFECT)
        except _FINAL as error:
            return _fail(rt, job, error, **_NO_EFFECT)
    return _wait(rt, job, submitted, planned=True)


def _turn_comes(rt: Runtime, job: Job) -> Gate | float:
    """What the next call may pass at once, or the seconds until the job's turn may come. Raises AccountError.

    First one of the account's slots for running tasks, if it has a cap; then a place in its budget. Nothing has been
    written down about the call so far, so that a job that waits here is not in doubt.
    """
    cap = rt.account(job).max_in_flight
    wait = take_slot(rt, job, cap) if cap else 0
    if wait:
        return wait
    gate = rt.gate(job)
    try:
        gate.open()
    except OverBudget as error:
        job.reservation = gate.kept
        return error.wait
    job.reservation = gate.kept
    return gate


def _intend(rt: Runtime, job: Job, refs: dict[str, Any]) -> None:
    """Write down that a trigger is about to be sent. From here on, until the refs are written, the job is in doubt.

    Of several calls that come here at once one succeeds; the others raise Superseded. From then on only this call can
    write what comes of the trigger, until another replaces its intent. That other cannot know whether this call still
    runs, so it believes for a call's lifetime only what it finds, not what it does not find.
    """
    now = rt.now()
    rt.jobs.change(
        job,
        now,
        JobStatus.TRIGGERING,
        vendor_refs=refs,
        intent=uuid4().hex,
        quiet_until=now + CALL_LIFETIME,
        triggered_at=now,
        waited=0,
        trigger_attempts=job.trigger_attempts + 1,
    )


def _spent(job: Job) -> bool:
    """Whether the failed call just made is the last there may be."""
    return job.trigger_errors + 1 >= TRIGGER_BUDGET


def _wait(rt: Runtime, job: Job, submitted: Submitted, *, planned: bool = False) -> Turn:
    """Write the refs, move to WAITING, and wait until a look is worth its call.

    `planned`: for work just asked for, what such work took so far has a say besides the vendor's hint.
    """
    now = rt.now()
    left = max(1.0, (job.deadline_at - now).total_seconds())
    wait = int(min(max(1.0, submitted.first_look), left))
    job.hint = max(job.hint, int(submitted.first_look))
    if planned:
        view = View(job.elapsed(now), hint=job.hint, learned=learned(rt, job), deadline_left=left)
        wait = next_wait(view, rt.rng)
    keep_slot(rt, job, wait)
    rt.jobs.change(
        job,
        now,
        JobStatus.WAITING,
        quiet_until=None,
        vendor_refs=dict(submitted.refs),
        refs_complete=True,
        hint=job.hint,
        next_poll_at=now + timedelta(seconds=wait),
    )
    return Turn(job, job.generation, "WAIT", wait)


def _again(rt: Runtime, job: Job, **changes: Any) -> Turn:
    """Once more after a failed call, later each time."""
    errors = job.trigger_errors + 1
    return _pause(rt, job, error_wait(errors, None, rt.rng), trigger_errors=errors, **changes)


def _rest(rt: Runtime, job: Job, error: VendorThrottled, **changes: Any) -> Turn:
    """Once more when the vendor has calmed down. What it throttled counts as nothing."""
    return _pause(rt, job, error_wait(THROTTLED_AS, error.retry_after, rt.rng), **changes)


def _pause(rt: Runtime, job: Job, seconds: float, **changes: Any) -> Turn:
    """Come back in `seconds`, or at the deadline."""
    now = rt.now()
    wait = math.ceil(max(1.0, min(seconds, (job.deadline_at - now).total_seconds() + 1)))
    keep_slot(rt, job, wait)
    rt.jobs.change(job, now, next_poll_at=now + timedelta(seconds=wait), **changes)
    return Turn(job, job.generation, "TRIGGER", wait)


def _uncertain(rt: Runtime, job: Job, error: VendorError, quiet: float) -> Turn:
    """Nobody can tell whether the work exists: do as the job said. Not before `quiet` seconds are over."""
    if quiet > 0:
        return _pause(rt, job, quiet)
    if job.on_uncertain == "retrigger" and job.retriggers < RETRIGGER_BUDGET:
        return _pause(rt, job, 1, triggered_at=None, trigger_errors=0, retriggers=job.retriggers + 1)
    problem = Problem(
        "TRIGGER_UNCERTAIN", f"a trigger was sent and its reply was lost: {error.message}", error.code, error.request_id
    )
    return end(rt, job, JobStatus.FAILED, problem)


def _fail(rt: Runtime, job: Job, error: VendorError | AccountError, **changes: Any) -> Turn:
    return end(rt, job, JobStatus.FAILED, problem_of(error), **changes)


def end(rt: Runtime, job: Job, verdict: JobStatus, problem: Problem, **changes: Any) -> Turn:
    """Write down how the job ends and let finish carry it out."""
    rt.jobs.change(job, rt.now(), verdict=verdict, error=problem, next_poll_at=None, **changes)
    return Turn(job, job.generation, "FINISH")
