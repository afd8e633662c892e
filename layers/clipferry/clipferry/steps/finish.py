"""How jobs end: finish and cancel move them, `conclusion` carries out what is left. All may be repeated after a crash.

The terminal move comes first and is a conditional write: of several ends one is in effect.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clipferry.jobs import CALL_LIFETIME, FileStatus, Job, JobStatus, Problem, outcome
from clipferry.steps.conclusion import Conclusion
from clipferry.steps.context import Runtime
from clipferry.steps.step_result import is_current
from clipferry.store.job_records import Superseded
from clipferry.vendors.contract import OutOfTime

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MOVE_ATTEMPTS = 5
CONCLUDING = CALL_LIFETIME  # whoever ended a job may still be at its duties


class NotNow(Exception):
    """The job's status does not allow what was asked for."""

    def __init__(self, job: Job, wish: str) -> None:
        super().__init__(f"a job that is {job.status} cannot be {wish}")
        self.job = job


@dataclass(frozen=True)
class FinishResult:
    """`next`: END, WAIT when the job is not at its end after all, STOP when it is not this execution's any more."""

    job: Job
    next: str
    wait_seconds: int = 0

    def as_state(self) -> dict[str, Any]:
        return {"next": self.next, "status": self.job.status.value, "wait_seconds": self.wait_seconds}


class Closing:
    """Ends jobs. Holds what only ends need besides the runtime."""

    def __init__(self, rt: Runtime, s3: S3Client) -> None:
        self.rt, self.s3 = rt, s3

    def within(self, time_left: Callable[[], float]) -> Closing:
        """The same for a request that has to be answered in so many seconds."""
        return Closing(replace(self.rt, time_left=time_left), self.s3)

    def finish(self, job_id: str, generation: int, caught: str | None) -> FinishResult:
        """The end of an execution. `caught` names the state whose retries ran out. Raises NotFound."""
        job = self.rt.jobs.load(job_id)
        if job.generation != generation:
            return FinishResult(job, "STOP")
        if not job.status.terminal:
            status, problem = end_of(job, caught, self.rt.now())
            if status is None:
                return FinishResult(job, "WAIT", 5)
            try:
                self._end(job, status, problem)
            except Superseded:  # by a cancel, or by this very write when its answer was lost
                job = self.rt.jobs.load(job_id)
                if is_current(job, generation):
                    raise
                if job.generation != generation:
                    return FinishResult(job, "STOP")
        if job.status is not JobStatus.CANCELLED:  # the rest of a cancel is the cancel's own duty
            self.conclude(job)
        return FinishResult(job, "END")

    def cancel(self, job_id: str) -> Job:
        """End a job as CANCELLED wherever it is. Repeating it is harmless. Raises NotFound, NotNow."""
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
        """Conclude a job that someone else ended, unless that one may still be at it. Whether anything was left."""
        if job.event_sent or (job.finished_at and self.rt.now() < job.finished_at + CONCLUDING):
            return False
        self.conclude(job)
        return True

    def conclude(self, job: Job) -> None:
        """Every duty of a terminal job, once in effect, unless it is taken up again meanwhile.

        Those that a step with an end has no time for are left to the sweep.
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
    """How the job ends now, and why; None: it has not come to its end. `caught`: the state whose retries ran out."""
    stored = any(file.status is FileStatus.STORED for file in job.files)
    failed = JobStatus.PARTIAL if stored else JobStatus.FAILED
    if job.verdict:
        return (failed if job.verdict is JobStatus.FAILED else job.verdict), job.error
    if caught and caught != "Finish":
        message = f"the step {caught} failed however often it was repeated; its log has the cause"
        return failed, Problem("INTERNAL_ERROR", message)
    if job.listed and all(file.status.settled for file in job.files):
        return _end_of_files(job)
    if now < job.deadline_at:
        return None, None
    message = f"not finished within {job.deadline_seconds} seconds"
    return JobStatus.TIMED_OUT, Problem("DEADLINE_PASSED", message)


def _end_of_files(job: Job) -> tuple[JobStatus, Problem | None]:
    """Of a job that has all its files, each stored or failed."""
    status = outcome(job.files)
    if status is JobStatus.SUCCEEDED and job.error:
        return JobStatus.PARTIAL, job.error  # the vendor said that something is missing
    return status, job.error or _files_problem(job)


def _files_problem(job: Job) -> Problem | None:
    """What a job says of itself when some of its files failed."""
    failed = [f for f in job.files if f.status is FileStatus.FAILED and f.error]
    if not failed:
        return None
    codes = {f.error.code for f in failed if f.error}
    first = failed[0].error
    assert first is not None  # noqa: S101 - failed holds files with an error
    said = f"{len(failed)} of {len(job.files)} files failed; {failed[0].file_id}: {first.message}"
    return Problem(codes.pop() if len(codes) == 1 else "FILES_FAILED", said, first.vendor_code)
