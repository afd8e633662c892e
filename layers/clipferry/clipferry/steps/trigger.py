"""Start the vendor's work once.

The step stores its intent before the call, and the vendor's refs after it. A step that finds an intent without refs
looks for the work at the vendor before it asks for new work.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from clipferry.jobs.job import CALL_LIFETIME, Job
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.pacing.poll_plan import TIME_FOR_A_CALL, View, error_wait, next_wait
from clipferry.steps.account_holds import ACCOUNT_REFUSED, put_on_hold, seconds_to_wait
from clipferry.steps.context import Runtime, task_of
from clipferry.steps.learning import learned
from clipferry.steps.paced_calls import CallPacer
from clipferry.steps.slots import keep_slot, take_slot
from clipferry.steps.step_result import BEGUN, Run, StepResult, hand_over, on_current_row
from clipferry.steps.vendor_errors import ASKING_ERRORS, Decision, Remedy, decide, problem_of
from clipferry.steps.verdicts import fail, time_out
from clipferry.vendors.contract import Submitted, VendorUnavailable

TRIGGER_BUDGET = 10  # failed calls: triggers without a usable answer, and lookups after them
RETRIGGER_BUDGET = 3  # triggers of one job that are sent although an earlier one may have started work
_NO_EFFECT: dict[str, Any] = {"triggered_at": None, "quiet_until": None}  # what changes when no trigger had an effect


def trigger(
    rt: Runtime, job_id: str, generation: int, run: Run = BEGUN, time_left: Callable[[], float] | None = None
) -> StepResult:
    """Start the work, adopt it, or find it; return how long to wait then. Raises NotFound.

    `time_left`: seconds until this call must have returned; None: no limit.
    """
    rt = replace(rt, time_left=time_left) if time_left else rt
    return on_current_row(rt, job_id, generation, lambda job: _step(rt, job, run))


def _step(rt: Runtime, job: Job, run: Run) -> StepResult:
    job.add_wait(run.waited)
    _open_files(rt, job)
    if rt.now() >= job.deadline_at:
        return time_out(rt, job, "not triggered")
    return hand_over(rt, job) if run.full else _trigger(rt, job)


def _open_files(rt: Runtime, job: Job) -> None:
    """After a retry: reset the files that are not stored, with a new generation, so that older copies cannot write."""
    if job.rows_expire:  # the retry crashed before this write
        rt.jobs.expire_rows(job)
    older = [f for f in job.files if f.status is not FileStatus.STORED and f.generation < job.fresh_since]
    rt.jobs.open_files(job, older)


def _trigger(rt: Runtime, job: Job) -> StepResult:
    if job.refs_complete:
        return _wait(rt, job, Submitted(job.vendor_refs, job.hint - job.elapsed(rt.now())))
    if job.adopt is not None:
        return _adopt(rt, job)
    return _find(rt, job) if job.in_doubt else _send(rt, job)


def _adopt(rt: Runtime, job: Job) -> StepResult:
    """Take over work that exists at the vendor. This starts nothing, so every call may be repeated."""
    rt.jobs.change(job, rt.now(), triggered_at=rt.now(), waited=0, trigger_attempts=job.trigger_attempts + 1)
    try:
        adopted = rt.ask(job, lambda vendor: vendor.adopt(task_of(job, rt.now())))
    except ASKING_ERRORS as error:
        return _not_adopted(rt, job, decide(error, rt.rng))
    if not adopted.complete:  # the time ended before all lookups were done
        return _pause(rt, job, 1, vendor_refs=dict(adopted.refs))
    return _wait(rt, job, adopted)


def _not_adopted(rt: Runtime, job: Job, decision: Decision) -> StepResult:
    not_counted = {"trigger_attempts": job.trigger_attempts - 1}
    match decision.remedy:
        case Remedy.WAIT:
            return _pause(rt, job, decision.seconds or 1, **not_counted)
        case Remedy.ACCOUNT if decision.problem.code == ACCOUNT_REFUSED:
            return _wait_for_account(rt, job, decision, **not_counted)
        case Remedy.RETRY if not _spent(job):
            return _again(rt, job, decision)
    return fail(rt, job, decision.problem)  # also where there is no such account, which waiting would hide


def _find(rt: Runtime, job: Job) -> StepResult:
    """A trigger was sent and its answer was not stored: look for its work before asking for new work.

    The doubt ends only when the vendor says that there is no such work, and only after `quiet_until`: before that the
    call that sent the trigger may still run, and its trigger may still reach the vendor.
    """
    try:
        found = rt.ask(job, lambda vendor: vendor.find(task_of(job, rt.now())))
    except ASKING_ERRORS as error:
        return _not_found(rt, job, decide(error, rt.rng))
    if found is not None and found.in_doubt:
        return _pause(rt, job, 1, vendor_refs=dict(found.refs))
    quiet = _quiet(rt, job)
    if quiet > 0 and not (found and found.complete):
        return _pause(rt, job, quiet)
    if not (found and found.complete) and job.trigger_errors >= TRIGGER_BUDGET:
        unusable = VendorUnavailable(f"the vendor gave no usable answer to {job.trigger_errors} triggers")
        return fail(rt, job, problem_of(unusable))
    return _send(rt, job, found)


def _not_found(rt: Runtime, job: Job, decision: Decision) -> StepResult:
    """The lookup failed or was refused: nothing is known about the work."""
    match decision.remedy:
        case Remedy.WAIT:
            return _pause(rt, job, decision.seconds or 1)
        case Remedy.ACCOUNT:
            return _wait_for_account(rt, job, decision)
        case Remedy.RETRY if not _spent(job):
            return _again(rt, job, decision)
        case Remedy.DOUBT if decision.seconds is not None:
            return _pause(rt, job, decision.seconds)
    return _uncertain(rt, job, decision)


def _quiet(rt: Runtime, job: Job) -> float:
    """Seconds for which the call that sent the trigger may still run."""
    return (job.quiet_until - rt.now()).total_seconds() if job.quiet_until else 0.0


def _send(rt: Runtime, job: Job, found: Submitted | None = None) -> StepResult:
    """Start new work at the vendor, in one or several calls. `found`: the part of the work that exists already.

    Before each call this gets a call slot, and then stores the intent with the refs of the calls before. A job that
    waits for its slot has no intent. So it is not in doubt, and no lookup uses the slot reserved for the trigger.
    """
    submitted = found or Submitted(job.vendor_refs, complete=False)
    called = found is not None
    while not submitted.complete:
        refs = dict(submitted.refs)
        if called and rt.time_left() < TIME_FOR_A_CALL:  # the next step goes on with the rest
            return _pause(rt, job, 1, vendor_refs=refs, **_NO_EFFECT)
        try:
            pacer = _reserve_call(rt, job)
        except ASKING_ERRORS as error:
            return _not_sent(rt, job, decide(error, rt.rng), refs)
        new = _is_new(job, refs)
        _intend(rt, job, refs)
        try:
            submitted = rt.ask(job, lambda vendor: vendor.trigger(task_of(job, rt.now())), pacer=pacer, at_once=new)
        except ASKING_ERRORS as error:
            decision = decide(error, rt.rng)
            if decision.remedy in (Remedy.WAIT, Remedy.ACCOUNT):
                job.trigger_attempts -= 1
            return _not_sent(rt, job, decision, refs)
        if submitted.in_doubt:
            left_out = VendorUnavailable("the vendor's answer lacks some of the items that were requested")
            return _not_sent(rt, job, decide(left_out, rt.rng), dict(submitted.refs))
        called = True
    return _wait(rt, job, submitted, planned=True)


def _not_sent(rt: Runtime, job: Job, decision: Decision, refs: dict[str, Any]) -> StepResult:
    """The trigger started nothing, or it is not known whether it did. `refs`: those of the calls before it.

    A doubt stays, whatever number of failures there was: the next step looks for the work.
    """
    written = {"vendor_refs": refs, "trigger_attempts": job.trigger_attempts, "quiet_until": None}
    if not decision.had_no_effect:
        return _again(rt, job, decision, **written)
    written |= _NO_EFFECT
    match decision.remedy:
        case Remedy.WAIT:
            return _pause(rt, job, decision.seconds or 1, **written)
        case Remedy.ACCOUNT if not _is_new(job, refs):
            return _wait_for_account(rt, job, decision, **written)
        case Remedy.ACCOUNT:
            put_on_hold(rt, job, decision)
        case Remedy.RETRY if not _spent(job):
            return _again(rt, job, decision, **written)
    return fail(rt, job, decision.problem, **written)


def _is_new(job: Job, refs: dict[str, Any]) -> bool:
    """Whether nothing of the job's work can exist yet: then a refused account fails the job at once.

    A trigger without an answer counts as an attempt: its work may exist. Refused and throttled ones do not count.
    """
    return not refs and job.trigger_attempts == 0


def _reserve_call(rt: Runtime, job: Job) -> CallPacer:
    """Reserve what the next call needs; the pacer for it. Raises NoTaskSlot, OverBudget, AccountError.

    First a task slot, if the account limits its running tasks; then a call slot. The intent is stored after that, so a
    job that waits here is not in doubt.
    """
    cap = rt.account(job).max_in_flight
    if cap:
        take_slot(rt, job, cap)
    pacer = rt.pacer(job)
    try:
        pacer.open()
    finally:
        job.reservation = pacer.kept
    return pacer


def _intend(rt: Runtime, job: Job, refs: dict[str, Any]) -> None:
    """Store that a trigger is about to be sent. From here on, until the refs are stored, the job is in doubt.

    When several calls do this at once, one succeeds and the others raise Superseded. Then only this call can store the
    outcome of the trigger, until another call replaces its intent. That other call cannot know whether this one still
    runs. So until `quiet_until` it accepts work that it finds, but does not conclude that there is none.
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
    """Whether the call that just failed was the last one that TRIGGER_BUDGET allows."""
    return job.trigger_errors + 1 >= TRIGGER_BUDGET


def _wait(rt: Runtime, job: Job, submitted: Submitted, *, planned: bool = False) -> StepResult:
    """Store the refs, set the job to WAITING, and wait until the vendor may have news.

    `planned`: the work was started just now, so the wait also depends on how long such work took before.
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
        error=None,
        quiet_until=None,
        vendor_refs=dict(submitted.refs),
        refs_complete=True,
        hint=job.hint,
        next_poll_at=now + timedelta(seconds=wait),
    )
    return StepResult(job, job.generation, "WAIT", wait)


def _again(rt: Runtime, job: Job, decision: Decision, **changes: Any) -> StepResult:
    """Try again after a failed call; the wait grows with each failure."""
    errors = job.trigger_errors + 1
    return _pause(rt, job, error_wait(errors, decision.seconds, rt.rng), trigger_errors=errors, **changes)


def _wait_for_account(rt: Runtime, job: Job, decision: Decision, **changes: Any) -> StepResult:
    """Try again when the account may be accepted again; fail the job when the grace period has ended."""
    seconds = seconds_to_wait(rt, job, job, decision)
    if seconds is None:
        return fail(rt, job, decision.problem, **changes)
    return _pause(rt, job, seconds, error=decision.problem, **changes)


def _pause(rt: Runtime, job: Job, seconds: float, **changes: Any) -> StepResult:
    """Call this step again in `seconds`, or at the deadline if that comes first."""
    now = rt.now()
    wait = math.ceil(max(1.0, min(seconds, (job.deadline_at - now).total_seconds() + 1)))
    keep_slot(rt, job, wait)
    rt.jobs.change(job, now, next_poll_at=now + timedelta(seconds=wait), **changes)
    return StepResult(job, job.generation, "TRIGGER", wait)


def _uncertain(rt: Runtime, job: Job, decision: Decision) -> StepResult:
    """It cannot be found out whether the work exists: do what `on_uncertain` says, after `quiet_until`."""
    quiet = _quiet(rt, job)
    if quiet > 0:
        return _pause(rt, job, quiet)
    if job.on_uncertain == "retrigger" and job.retriggers < RETRIGGER_BUDGET:
        return _pause(rt, job, 1, triggered_at=None, trigger_errors=0, retriggers=job.retriggers + 1)
    message = f"a trigger was sent and its reply was lost: {decision.problem.message}"
    return fail(rt, job, replace(decision.problem, code="TRIGGER_UNCERTAIN", message=message))
