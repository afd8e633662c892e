"""Start the vendor's work once. The intent is written before the call and the refs after it; a step that finds an
intent without refs looks for the work at the vendor before it asks for new work."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from clipferry.jobs import CALL_LIFETIME, FileStatus, Job, JobStatus
from clipferry.pacing.poll_plan import CALL_ROOM, View, error_wait, next_wait
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
RETRIGGER_BUDGET = 3  # triggers of one job sent in spite of a doubt
_NO_EFFECT: dict[str, Any] = {"triggered_at": None, "quiet_until": None}  # what changes when no trigger is on its way


def trigger(
    rt: Runtime, job_id: str, generation: int, run: Run = BEGUN, time_left: Callable[[], float] | None = None
) -> StepResult:
    """Start the work, adopt it, or find it; then say how long to wait. Raises NotFound.

    `time_left` is in seconds, until this call must have returned; None: there is no end.
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
    """After a retry, what is not stored starts anew, under a generation that older copies do not know."""
    if job.rows_expire:  # the retry crashed before it could see to that
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
    """Take over work that exists. Nothing is started, so every call may be repeated."""
    rt.jobs.change(job, rt.now(), triggered_at=rt.now(), waited=0, trigger_attempts=job.trigger_attempts + 1)
    try:
        adopted = rt.ask(job, lambda vendor: vendor.adopt(task_of(job, rt.now())))
    except ASKING_ERRORS as error:
        return _not_adopted(rt, job, decide(error, rt.rng))
    if not adopted.complete:  # the time was over before everything had been looked up
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
    """A trigger was sent and its answer never written down: look for its work before asking for any.

    Whatever goes wrong here, the doubt stays; only the vendor's word that there is no such work takes it away. Not
    even that, while the call that sent the trigger may still be at it: what the vendor does not know yet may come.
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
        unusable = VendorUnavailable("the vendor gave no usable answer, however often it was triggered")
        return fail(rt, job, problem_of(unusable))
    return _send(rt, job, found)


def _not_found(rt: Runtime, job: Job, decision: Decision) -> StepResult:
    """The lookup had no answer. A permanent no is about the question: a vendor that has no such lookup, say."""
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
    """Seconds for which a call that sent the trigger may still run, by its own intent."""
    return (job.quiet_until - rt.now()).total_seconds() if job.quiet_until else 0.0


def _send(rt: Runtime, job: Job, found: Submitted | None = None) -> StepResult:
    """New work at the vendor, in as many calls as it takes. `found`: what is there already.

    Each call is preceded by its intent, written with the refs of those before it, and by its place in the budget: who
    has to wait for that is not in doubt, so that no lookup takes the place which is kept for the trigger.
    """
    submitted = found or Submitted(job.vendor_refs, complete=False)
    called = found is not None
    while not submitted.complete:
        refs = dict(submitted.refs)
        if called and rt.time_left() < CALL_ROOM:  # the next step goes on with the rest
            return _pause(rt, job, 1, vendor_refs=refs, **_NO_EFFECT)
        try:
            pacer = _room_for_a_call(rt, job)
        except ASKING_ERRORS as error:
            return _not_sent(rt, job, decide(error, rt.rng), refs)
        _intend(rt, job, refs)
        try:
            submitted = rt.ask(
                job, lambda vendor: vendor.trigger(task_of(job, rt.now())), pacer=pacer, at_once=_is_new(refs)
            )
        except ASKING_ERRORS as error:
            decision = decide(error, rt.rng)
            if decision.remedy in (Remedy.WAIT, Remedy.ACCOUNT):
                job.trigger_attempts -= 1
            return _not_sent(rt, job, decision, refs)
        if submitted.in_doubt:
            left_out = VendorUnavailable("the vendor's answer left out some of what it was asked for")
            return _not_sent(rt, job, decide(left_out, rt.rng), dict(submitted.refs))
        called = True
    return _wait(rt, job, submitted, planned=True)


def _not_sent(rt: Runtime, job: Job, decision: Decision, refs: dict[str, Any]) -> StepResult:
    """The trigger started nothing, or nobody knows. `refs`: of the calls before it.

    A doubt stays a doubt, whatever the count of failures: the next step looks for the work.
    """
    written = {"vendor_refs": refs, "trigger_attempts": job.trigger_attempts, "quiet_until": None}
    if not decision.had_no_effect:
        return _again(rt, job, decision, **written)
    written |= _NO_EFFECT
    match decision.remedy:
        case Remedy.WAIT:
            return _pause(rt, job, decision.seconds or 1, **written)
        case Remedy.ACCOUNT if not _is_new(refs):
            return _wait_for_account(rt, job, decision, **written)
        case Remedy.ACCOUNT:
            put_on_hold(rt, job, decision)
        case Remedy.RETRY if not _spent(job):
            return _again(rt, job, decision, **written)
    return fail(rt, job, decision.problem, **written)


def _is_new(refs: dict[str, Any]) -> bool:
    """Whether nothing of the job's work exists yet: then a refused account fails the job at once."""
    return not refs


def _room_for_a_call(rt: Runtime, job: Job) -> CallPacer:
    """What the next call may pass at once. Raises NoTaskSlot, OverBudget, AccountError.

    First one of the account's slots for running tasks, if it has a cap; then a slot for the call. Nothing has been
    written down about the call so far, so that a job that waits here is not in doubt.
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


def _wait(rt: Runtime, job: Job, submitted: Submitted, *, planned: bool = False) -> StepResult:
    """Write the refs, move to WAITING, and wait until a look is worth its call.

    `planned`: the work was just asked for, so the wait also depends on how long such work took before.
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
    """Once more after a failed call, later each time."""
    errors = job.trigger_errors + 1
    return _pause(rt, job, error_wait(errors, decision.seconds, rt.rng), trigger_errors=errors, **changes)


def _wait_for_account(rt: Runtime, job: Job, decision: Decision, **changes: Any) -> StepResult:
    """Once more when the account may work again, until its grace is over."""
    seconds = seconds_to_wait(rt, job, job, decision)
    if seconds is None:
        return fail(rt, job, decision.problem, **changes)
    return _pause(rt, job, seconds, error=decision.problem, **changes)


def _pause(rt: Runtime, job: Job, seconds: float, **changes: Any) -> StepResult:
    """Come back in `seconds`, or at the deadline."""
    now = rt.now()
    wait = math.ceil(max(1.0, min(seconds, (job.deadline_at - now).total_seconds() + 1)))
    keep_slot(rt, job, wait)
    rt.jobs.change(job, now, next_poll_at=now + timedelta(seconds=wait), **changes)
    return StepResult(job, job.generation, "TRIGGER", wait)


def _uncertain(rt: Runtime, job: Job, decision: Decision) -> StepResult:
    """Nobody can tell whether the work exists: do as the job said, once no call can be at it any more."""
    quiet = _quiet(rt, job)
    if quiet > 0:
        return _pause(rt, job, quiet)
    if job.on_uncertain == "retrigger" and job.retriggers < RETRIGGER_BUDGET:
        return _pause(rt, job, 1, triggered_at=None, trigger_errors=0, retriggers=job.retriggers + 1)
    said = f"a trigger was sent and its reply was lost: {decision.problem.message}"
    return fail(rt, job, replace(decision.problem, code="TRIGGER_UNCERTAIN", message=said))
