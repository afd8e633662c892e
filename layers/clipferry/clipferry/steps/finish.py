"""How jobs end: finish decides, conclude carries out. Everything here may be repeated after any crash.

A terminal move comes first and is a conditional write; the duties after it (stop what runs, end uploads, manifest,
event) are each harmless to repeat, and the row says when the last of them is done.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clipferry.aws import events, executions
from clipferry.aws.account_secrets import AccountError
from clipferry.jobs import CALL_LIFETIME, FileStatus, Job, JobStatus, Problem, outcome
from clipferry.pacing.poll_plan import STAY
from clipferry.settings import settings
from clipferry.steps.context import Runtime, task_of
from clipferry.steps.slots import give_back
from clipferry.steps.turn import current
from clipferry.store.job_records import Superseded
from clipferry.vendors.contract import VendorError

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger
    from mypy_boto3_s3 import S3Client

MOVE_ATTEMPTS = 5
CONCLUDING = CALL_LIFETIME  # whoever ended a job may still be at its duties


class NotNow(Exception):
    """The job's status does not allow what was asked for."""

    def __init__(self, job: Job, wish: str) -> None:
        super().__init__(f"a job that is {job.status} cannot be {wish}")
        self.job = job


@dataclass(frozen=True)
class Ending:
    """`next`: END, WAIT when the job is not at its end after all, STOP when it is not this execution's any more."""

    job: Job
    next: str
    wait_seconds: int = 0

    def as_state(self) -> dict[str, Any]:
        return {"next": self.next, "status": self.job.status.value, "wait_seconds": self.wait_seconds}


class Closing:
    """Ends jobs. Holds what only endings need besides the runtime."""

    def __init__(self, rt: Runtime, s3: S3Client, logger: Logger) -> None:
        self.rt, self.s3, self.logger = rt, s3, logger

    def finish(self, job_id: str, generation: int, caught: str | None) -> Ending:
        """The end of an execution. `caught` names the state whose retries ran out. Raises NotFound."""
        job = self.rt.jobs.load(job_id)
        if job.generation != generation:
            return Ending(job, "STOP")
        if not job.status.terminal:
            status, problem = self._decide(job, caught)
            if status is None:
                return Ending(job, "WAIT", 5)
            try:
                self._end(job, status, problem)
            except Superseded:  # by a cancel, or by this very write when its answer was lost
                job = self.rt.jobs.load(job_id)
                if current(job, generation):
                    raise
                if job.generation != generation:
                    return Ending(job, "STOP")
        if job.status is not JobStatus.CANCELLED:  # the rest of a cancel is the cancel's own duty
            self.conclude(job)
        return Ending(job, "END")

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
        """Every duty of a terminal job, once in effect: nothing runs, no upload is open, manifest and event are out."""
        if job.event_sent:
            return
        if job.status is JobStatus.CANCELLED:
            executions.stop(job, "the job was cancelled")
        give_back(self.rt, job)
        job.reservation = None  # a place in the budget is for what the job wanted before it ended
        try:
            self._settle_files(job)
        except Superseded:  # taken up again in the meantime: its next end has duties of its own
            return
        self._end_uploads(job)
        if job.status in (JobStatus.CANCELLED, JobStatus.TIMED_OUT):
            self._abort_vendor(job)
        self._write_manifest(job)
        self.rt.jobs.expire_files(job)
        events.announce(job)
        with suppress(Superseded):
            now = self.rt.now()
            clean_at = job.left_to_clean(now)
            self.rt.jobs.change(job, now, event_sent=True, clean_at=clean_at, warnings=job.all_warnings)

    def _decide(self, job: Job, caught: str | None) -> tuple[JobStatus | None, Problem | None]:
        stored = any(f.status is FileStatus.STORED for f in job.files)
        if job.verdict is JobStatus.FAILED and stored:
            return JobStatus.PARTIAL, job.error
        if job.verdict:
            return job.verdict, job.error
        if caught and caught != "Finish":
            message = f"the step {caught} failed however often it was repeated; its log has the cause"
            return (JobStatus.PARTIAL if stored else JobStatus.FAILED), Problem("INTERNAL_ERROR", message)
        if not job.listed or not all(f.status.settled for f in job.files):
            if self.rt.now() < job.deadline_at:
                return None, None
            message = f"not finished within {job.deadline_seconds} seconds"
            return JobStatus.TIMED_OUT, Problem("DEADLINE_PASSED", message)
        status = outcome(job.files)
        if status is JobStatus.SUCCEEDED and job.error:
            return JobStatus.PARTIAL, job.error  # the vendor said that something is missing
        return status, job.error or _files_problem(job)

    def _end(self, job: Job, status: JobStatus, problem: Problem | None) -> None:
        now = self.rt.now()
        self.rt.jobs.change(job, now, status, finished_at=now, error=problem, next_poll_at=None)

    def _settle_files(self, job: Job) -> None:
        """No file stays unfinished, no upload stays open. A copy that still runs meets the file's new status.

        Raises Superseded when the job is no longer at this end.
        """
        problem = Problem(job.error.code if job.error else job.status.value, "the job ended before this file did")
        while unsettled := [f for f in job.files if not f.status.settled]:
            for file in unsettled:
                checkpoint = file.checkpoint
                try:
                    self.rt.jobs.change_file(job, file, FileStatus.FAILED, error=problem, checkpoint={})
                except Superseded:  # a copy has just written its end, or a retry opens the files
                    break
                self._abandon(checkpoint)
            fresh = self.rt.jobs.load(job.job_id)
            if (fresh.status, fresh.generation) != (job.status, job.generation):
                raise Superseded(job.job_id)
            job.files = fresh.files

    def _abandon(self, checkpoint: dict[str, Any]) -> None:
        from clipferry import transfer  # here: only a job that ends before its files do needs it

        owner = settings().bucket_owner or None
        transfer.abandon(self.s3, settings().bucket_name, checkpoint, expected_owner=owner)

    def _end_uploads(self, job: Job) -> None:
        """No upload below the job's prefix outlives it, not even one whose maker died before writing it down."""
        bucket, prefix, owner = settings().bucket_name, job.object_prefix, bucket_owner()
        for upload in self.s3.list_multipart_uploads(Bucket=bucket, Prefix=prefix, **owner).get("Uploads", []):
            with suppress(self.s3.exceptions.NoSuchUpload):
                self.s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"], **owner)

    def _abort_vendor(self, job: Job) -> None:
        """Best effort: the job has ended whatever the vendor says, and the vendor's work ends by itself too.

        Where the account's calls queue for longer than this call can wait, the vendor is not asked.
        """
        if not job.vendor_refs or job.listed:
            return
        try:
            gate = self.rt.gate(job, near=STAY)
            stopped = self.rt.ask(job, lambda vendor: vendor.abort(task_of(job, self.rt.now())), gate=gate)
        except (VendorError, AccountError) as error:
            self.logger.warning("the vendor's task could not be stopped", reason=error.message, job_id=job.job_id)
        else:
            self.logger.info("asked the vendor to stop", stopped=stopped, job_id=job.job_id)

    def _write_manifest(self, job: Job) -> None:
        """Beside the files: the job as the API shows it. Written again it says the same."""
        self.s3.put_object(
            Bucket=settings().bucket_name,
            Key=job.manifest_key,
            ContentType="application/json",
            Body=json.dumps(job.public(), indent=1, ensure_ascii=False).encode(),
            **bucket_owner(),
        )


def bucket_owner() -> dict[str, Any]:
    """The account that must own the bucket, as S3's calls take it."""
    return {"ExpectedBucketOwner": settings().bucket_owner} if settings().bucket_owner else {}


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
