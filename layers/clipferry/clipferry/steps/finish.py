"""How jobs end: finish and cancel write the terminal status, and `conclusion` does the rest. All may be repeated.

The terminal status is written first, on a condition: when several ends come at the same time, only one takes effect.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clipferry.jobs.job import CALL_LIFETIME, Job, outcome
from clipferry.jobs.problems import ACCOUNT_CODES, Problem
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.steps.conclusion import Conclusion
from clipferry.steps.context import Runtime
from clipferry.steps.step_result import is_current
from clipferry.store.job_records import Superseded
from clipferry.vendors.contract import OutOfTime

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MOVE_ATTEMPTS = 5
CONCLUDING = CALL_LIFETIME  # for so long the call that ended a job may still carry out the duties


class NotNow(Exception):
    """The job's status does not allow the request."""

    def __init__(self, job: Job, wish: str) -> None:
        super().__init__(f"a job that is {job.status} cannot be {wish}")
        self.job = job


@dataclass(frozen=True)
class FinishResult:
    """`next`: END; WAIT when the job has not reached its end; STOP when another execution has the job now."""

    job: Job
    next: str
    wait_seconds: int = 0

    def as_state(self) -> dict[str, Any]:
        return {"next": self.next, "status": self.job.status.value, "wait_seconds": self.wait_seconds}


class Closing:
    """Ends jobs. Holds the S3 client, which only the end of a job needs, besides the runtime."""

    def __init__(self, rt: Runtime, s3: S3Client) -> None:
        self.rt, self.s3 = rt, s3

    def within(self, time_left: Callable[[], float]) -> Closing:
        """A copy for a request that must be answered in time. `time_left` gives the seconds."""
        return Closing(replace(self.rt, time_left=time_left), self.s3)

    def finish(self, job_id: str, generation: int, caught: str | None) -> FinishResult:
        """End an execution. `caught` names the state whose retries are exhausted. Raises NotFound."""
        job = self.rt.jobs.load(job_id)
        if job.generation != generation:
            return FinishResult(job, "STOP")
        if not job.status.terminal:
            status, problem = end_of(job, caught, self.rt.now())
            if status is None:
                return FinishResult(job, "WAIT", 5)
            try:
                self._end(job, status, problem)
            except Superseded:  # by a cancel, or by this same write when its reply was lost and boto3 sent it again
                job = self.rt.jobs.load(job_id)
                if is_current(job, generation):
                    raise
                if job.generation != generation:
                    return FinishResult(job, "STOP")
        if job.status is not JobStatus.CANCELLED:  # the call that cancelled the job does the rest itself
            self.conclude(job)
        return FinishResult(job, "END")

    def cancel(self, job_id: str) -> Job:
        """End a job as CANCELLED, in any unfinished status. May be repeated. Raises NotFound, NotNow."""
        for _ in range(MOVE_ATTEMPTS):
            job = self.rt.jobs.load(job_id)
            if job.status is JobStatus.CANCELLED:
                self.take_over(job)
                return job
            if job.status.terminal:
                raise NotNow(job, "cancelled")
            try:
                self._end(job, JobStatus.CANCELLED, Problem("CANCELLED", "cancelled by a user"))
            except Superseded:
                continue
            self.conclude(job)
            return job
        raise Superseded(job_id)

    def take_over(self, job: Job) -> bool:
        """Conclude a job that another call ended, once that call cannot run any more. Returns whether it did so."""
        if job.event_sent or (job.finished_at and self.rt.now() < job.finished_at + CONCLUDING):
            return False
        self.conclude(job)
        return True

    def conclude(self, job: Job) -> None:
        """Carry out the duties of a terminal job, unless they are done, or a user has retried the job.

        When the step's time does not suffice, the sweep carries out the rest.
        """
        if job.event_sent:
            return
        with suppress(Superseded):
            try:
                Conclusion(self.rt, self.s3, job).carry_out()
            except OutOfTime:
                self.rt.logger.info("the job has ended; the sweep does what is left of it", job_id=job.job_id)

    def _end(self, job: Job, status: JobStatus, problem: Problem | None) -> None:
        now = self.rt.now()
        self.rt.jobs.change(job, now, status, finished_at=now, error=problem, next_poll_at=None)


def end_of(job: Job, caught: str | None, now: datetime) -> tuple[JobStatus | None, Problem | None]:
    """How the job ends now, and why; None: it has not reached its end. `caught`: the state whose retries failed."""
    stored = any(file.status is FileStatus.STORED for file in job.files)
    failed = JobStatus.PARTIAL if stored else JobStatus.FAILED
    if job.verdict:
        return (failed if job.verdict is JobStatus.FAILED else job.verdict), job.error
    if caught and caught != "Finish":
        message = f"the step {caught} failed each time it was repeated; its log has the cause"
        return failed, Problem("INTERNAL_ERROR", message)
    if job.listed and all(file.status.settled for file in job.files):
        return _end_of_files(job)
    if now < job.deadline_at:
        return None, None
    message = f"not finished within {job.deadline_seconds} seconds"
    return JobStatus.TIMED_OUT, Problem("DEADLINE_PASSED", message)


def _end_of_files(job: Job) -> tuple[JobStatus, Problem | None]:
    """The end of a job whose files are all known, and each stored or failed."""
    status = outcome(job.files)
    waits = job.error is not None and job.error.code in ACCOUNT_CODES  # the reason of a wait, no report of the vendor
    reported = None if waits else job.error
    if status is JobStatus.SUCCEEDED and reported:
        return JobStatus.PARTIAL, reported  # the vendor reported that something is missing
    return status, reported or _files_problem(job)


def _files_problem(job: Job) -> Problem | None:
    """The job's error when some of its files failed."""
    failed = [f for f in job.files if f.status is FileStatus.FAILED and f.error]
    if not failed:
        return None
    codes = {f.error.code for f in failed if f.error}
    first = failed[0].error
    assert first is not None  # noqa: S101 - failed holds files with an error
    said = f"{len(failed)} of {len(job.files)} files failed; {failed[0].file_id}: {first.message}"
    return Problem(codes.pop() if len(codes) == 1 else "FILES_FAILED", said, first.vendor_code)
