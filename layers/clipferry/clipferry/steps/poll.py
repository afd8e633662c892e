"""Ask the vendor for the state of its task, store what is new, decide what comes next.

After a short wait the same call asks again, because this costs less than a round of the state machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from clipferry.jobs.file import DOWNLOAD_BROKEN, DOWNLOAD_BUDGET, File
from clipferry.jobs.job import Job
from clipferry.jobs.problems import Problem
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.pacing.poll_plan import POLL_ERROR_BUDGET, View, error_wait, next_wait, stays
from clipferry.steps.account_holds import seconds_to_wait
from clipferry.steps.context import Runtime, task_of
from clipferry.steps.learning import learn, learned
from clipferry.steps.slots import DOWNLOADS, give_back, keep_slot
from clipferry.steps.step_result import BEGUN, Run, StepResult, hand_over, on_current_row
from clipferry.steps.vendor_errors import ASKING_ERRORS, Decision, Remedy, decide
from clipferry.steps.verdicts import fail, time_out
from clipferry.vendors.contract import CallHeldBack, Look, LookStatus, Sighting

UNKNOWN_BUDGET = 20  # looks in a row that found only statuses which the vendor's documentation does not name


def poll(
    rt: Runtime, job_id: str, generation: int, run: Run = BEGUN, time_left: Callable[[], float] | None = None
) -> StepResult:
    """One look, or a few, where waiting in this call costs less than a round of the state machine.

    `time_left`: seconds until this call must have returned; None: no limit, and only one look. Raises NotFound.
    """
    rt = replace(rt, time_left=time_left) if time_left else rt

    def look() -> StepResult:
        return on_current_row(rt, job_id, generation, lambda job: _look(rt, job, run))

    result, looks = look(), 1
    if time_left is None:
        return result
    while (
        result.next == "WAIT"
        and not result.job.waits_outrun_clock(rt.now())
        and stays(result.wait_seconds, looks, rt.time_left())
    ):
        rt.sleep(result.wait_seconds)
        result, looks = look(), looks + 1
    return result


def _look(rt: Runtime, job: Job, run: Run) -> StepResult:
    job.add_wait(run.waited)
    if rt.now() >= job.deadline_at:
        return time_out(rt, job, "the vendor had not finished")
    if run.full:
        return hand_over(rt, job)
    _count_broken(rt, job, run)
    return _poll(rt, job)


def _poll(rt: Runtime, job: Job) -> StepResult:
    try:
        look = rt.ask(job, lambda vendor: vendor.poll(task_of(job, rt.now())))
    except ASKING_ERRORS as error:
        return _not_answered(rt, job, decide(error, rt.rng))
    if look.status in (LookStatus.FAILED, LookStatus.EMPTY):
        return fail(rt, job, _task_problem(look))
    unknown = job.unknown_looks + 1 if _unheard_of(look) else 0
    if unknown >= UNKNOWN_BUDGET:
        message = f"the vendor reports a status that is not known here: {look.raw_status or 'of a file'}"
        return fail(rt, job, Problem("VENDOR_STATUS_UNKNOWN", message))
    if look.status is LookStatus.READY and not (look.files or job.files):
        return fail(rt, job, Problem("VENDOR_TASK_EMPTY", "the vendor is done and has no file"))
    _record(rt, job, look.files)
    if look.status is LookStatus.READY and job.listed:
        _give_up_unlisted(rt, job, look)
    return _route(rt, job, look, unknown)


def _not_answered(rt: Runtime, job: Job, decision: Decision) -> StepResult:
    """Wait and look again after a failed look. Only POLL_ERROR_BUDGET failed looks in a row fail the job."""
    match decision.remedy:
        case Remedy.WAIT:
            polls = job.polls + 1 if decision.tried else job.polls
            return _wait(rt, job, math.ceil(decision.seconds or 1), polls=polls)
        case Remedy.ACCOUNT:
            seconds = seconds_to_wait(rt, job, job, decision)
            if seconds is not None:
                return _wait(rt, job, math.ceil(seconds), polls=job.polls, error=decision.problem)
        case Remedy.RETRY if job.poll_errors + 1 < POLL_ERROR_BUDGET:
            errors = job.poll_errors + 1
            return _wait(rt, job, error_wait(errors, decision.seconds, rt.rng), poll_errors=errors)
    return fail(rt, job, decision.problem)


def _route(rt: Runtime, job: Job, look: Look, unknown: int) -> StepResult:
    """Decide what the state machine does after a successful look."""
    listed = look.status is LookStatus.READY
    elapsed, last_look, finished = job.elapsed(rt.now()), job.last_look, listed and not job.listed
    ready = [f.file_id for f in job.files if f.status in (FileStatus.READY, FileStatus.COPYING)]
    settled = sum(f.status.settled for f in job.files)
    all_here = listed and bool(job.files) and settled + len(ready) == len(job.files)
    seen: dict[str, Any] = {
        "unknown_looks": unknown,
        "poll_errors": 0,
        "listed": listed,
        "progress": look.progress if look.progress is not None else job.progress,
        "error": Problem(look.code, look.message or "", look.vendor_code, look.request_id) if look.code else None,
        "last_look": elapsed,
        "reported": None if look.progress is None else [elapsed, look.progress],
    }
    if finished:
        give_back(rt, job)
        job.in_flight = None
    if all_here and not ready:
        rt.jobs.change(job, rt.now(), polls=job.polls + 1, next_poll_at=None, **seen)
        result = StepResult(job, job.generation, "FINISH")
    elif ready:
        wait, then = _next_wait(rt, job, look), "FINISH" if all_here else "WAIT"
        result = _wait(rt, job, wait, JobStatus.DOWNLOADING, ready, then, **seen)
    else:
        result = _wait(rt, job, _next_wait(rt, job, look), **seen)
    if finished:
        learn(rt, job, elapsed, last_look)
    return result


def _wait(
    rt: Runtime,
    job: Job,
    seconds: int,
    status: JobStatus = JobStatus.WAITING,
    ready: Sequence[str] = (),
    then: str = "WAIT",
    polls: int | None = None,
    **seen: Any,
) -> StepResult:
    """Store the look and wait, after the downloads if there are any. `polls`: the job's count if this was no look."""
    now = rt.now()
    wait = max(1, min(seconds, int((job.deadline_at - now).total_seconds()) + 1))
    polls = job.polls + 1 if polls is None else polls
    keep_slot(rt, job, wait + DOWNLOADS if ready else wait)
    rt.jobs.change(job, now, status, polls=polls, next_poll_at=now + timedelta(seconds=wait), **seen)
    return StepResult(job, job.generation, "DOWNLOAD" if ready else "WAIT", wait, ready, then)


def _next_wait(rt: Runtime, job: Job, look: Look) -> int:
    if isinstance(look.cut_short, CallHeldBack):
        return int(look.cut_short.wait)  # the rest of this look has its slots reserved, or only lacked time
    now = rt.now()
    view = View(
        elapsed=job.elapsed(now),
        looks=job.polls + 1,
        hint=job.hint,
        progress=look.progress,
        last_progress=(job.reported[0], int(job.reported[1])) if job.reported else None,
        retry_after=look.retry_after,
        learned=learned(rt, job),
        deadline_left=max(1.0, (job.deadline_at - now).total_seconds()),
    )
    return next_wait(view, rt.rng)


def _unheard_of(look: Look) -> bool:
    """Whether the vendor reports only unknown statuses for all that is not settled."""
    if look.status is LookStatus.UNKNOWN:
        return True
    statuses = {s.status for s in look.files}
    return LookStatus.UNKNOWN in statuses and LookStatus.RUNNING not in statuses


def _record(rt: Runtime, job: Job, sightings: Sequence[Sighting]) -> None:
    """Add new files, and store changes of pending files. After a file is ready only the copy changes its row."""
    known = {file.ref: file for file in job.files}
    new: list[File] = []
    for seen in sightings:
        file = known.get(seen.ref)
        if file is None:
            number = f"f{len(known) + 1:03d}"
            file = File(number, seen.ref, seen.name, _file_status(seen), generation=job.generation, **_facts(seen))
            known[seen.ref] = file
            new.append(file)
        elif file.status is FileStatus.PENDING and file not in new:
            _record_change(rt, job, file, seen)
    rt.jobs.add_files(job, new)


def _record_change(rt: Runtime, job: Job, file: File, seen: Sighting) -> None:
    if _file_status(seen) is not FileStatus.PENDING:
        rt.jobs.change_file(job, file, _file_status(seen), name=seen.name, **_facts(seen))
    elif dict(seen.detail) != file.detail:
        rt.jobs.change_file(job, file, detail=dict(seen.detail))


def _give_up_unlisted(rt: Runtime, job: Job, look: Look) -> None:
    """Fail pending files that a second look at the finished task does not list either: they will not come."""
    listed = {seen.ref for seen in look.files}
    gone = Problem("VENDOR_FILE_MISSING", "the vendor's task is done and does not list this file any more")
    for file in job.files:
        if file.status is FileStatus.PENDING and file.ref not in listed:
            rt.jobs.change_file(job, file, FileStatus.FAILED, error=gone)


def _count_broken(rt: Runtime, job: Job, run: Run) -> None:
    """Count one failed attempt for a copy whose calls all crashed or timed out, also when this step is repeated."""
    step = f"{job.generation}/{run.events}"
    for file in job.files:
        if file.file_id not in run.broken or file.status.settled or file.broken_at == step:
            continue
        failed = {**file.failed_attempt_changes, "broken_at": step}
        if failed["attempts"] < DOWNLOAD_BUDGET:
            rt.jobs.change_file(job, file, **failed)
        else:
            rt.jobs.change_file(job, file, FileStatus.FAILED, error=DOWNLOAD_BROKEN, **failed)


def _file_status(seen: Sighting) -> FileStatus:
    match seen.status:
        case LookStatus.READY:
            return FileStatus.READY
        case LookStatus.FAILED | LookStatus.EMPTY:
            return FileStatus.FAILED
    return FileStatus.PENDING


def _facts(seen: Sighting) -> dict[str, Any]:
    failed = _file_status(seen) is FileStatus.FAILED
    problem = Problem(
        seen.code or "VENDOR_FILE_FAILED", seen.message or "the vendor could not produce this file", seen.vendor_code
    )
    return {
        "media": seen.kind,
        "size": seen.size,
        "md5": seen.md5,
        "detail": dict(seen.detail),
        "error": problem if failed else None,
    }


def _task_problem(look: Look) -> Problem:
    code = look.code or ("VENDOR_TASK_EMPTY" if look.status is LookStatus.EMPTY else "VENDOR_TASK_FAILED")
    message = look.message or f"the vendor's task ended as {look.raw_status or look.status}"
    return Problem(code, message, look.vendor_code, look.request_id)
