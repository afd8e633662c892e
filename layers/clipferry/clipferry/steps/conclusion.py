"""What is left to do after a job has ended: stop and close everything of it, write its manifest, send its event.

Each duty may be repeated after any crash; the job's row says when all of them are done. A user may retry the job while
the duties run. Then the duties stop: each of them reads the row before it acts, or writes on a condition, so that a
late duty changes nothing that belongs to the retry:

    stop the execution        the execution's name holds the generation
    give back slot and ticket both are held under a name that a retry changes
    close the files           each write has the condition of the file's row
    abort uploads             list them, then read the job's row, then abort them
    stop the vendor's work    read the job's row before the call
    write the manifest        the write has a condition in S3
    set the rows' expiry      the write has the condition of the job's row
    send the event            read the job's row before; its `generation` tells consumers which of two events is later
    mark all as done          the write has the condition of the job's row
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from clipferry.aws import events, executions
from clipferry.aws.bucket import bucket_owner
from clipferry.aws.sdk import AWS_CALL_MAX
from clipferry.jobs.job import Job
from clipferry.jobs.problems import Problem
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.pacing.poll_plan import LONGEST_WAIT_IN_CALL
from clipferry.settings import settings
from clipferry.steps.context import Runtime, task_of
from clipferry.steps.job_manifest import write_manifest
from clipferry.steps.slots import give_back
from clipferry.steps.vendor_errors import ASKING_ERRORS, decide
from clipferry.store.job_records import Superseded
from clipferry.vendors.contract import OutOfTime

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


TIME_FOR_A_DUTY = AWS_CALL_MAX + 1.0  # seconds that must be left to begin a duty: the longest time of one call to AWS


class Conclusion:
    """The duties of one ending. `job` is terminal, as read after its end was written."""

    def __init__(self, rt: Runtime, s3: S3Client, job: Job) -> None:
        self.rt, self.s3, self.job = rt, s3, job

    def carry_out(self) -> None:
        """Do all duties in order.

        Raises Superseded when a user has retried the job. Raises OutOfTime when the step has no time for the next
        duty: the sweep carries out the rest.
        """
        for duty in (
            self._stop_execution,
            self._give_back,
            self._close_files,
            self._end_uploads,
            self._stop_vendor_work,
            self._write_manifest,
            self._announce,
        ):
            self._leave_in_time()
            duty()

    def _leave_in_time(self) -> None:
        if self.rt.time_left() < TIME_FOR_A_DUTY:
            raise OutOfTime

    def _stop_execution(self) -> None:
        if self.job.status is JobStatus.CANCELLED:
            executions.stop(self.job, "the job was cancelled")

    def _give_back(self) -> None:
        give_back(self.rt, self.job)

    def _write_manifest(self) -> None:
        write_manifest(self.s3, self.job, self._check)

    def _announce(self) -> None:
        """Send the event and mark the job's end as complete."""
        job = self.job
        self.rt.jobs.expire_rows(job)
        self._check()
        events.announce(job)
        now = self.rt.now()
        clean_at = job.left_to_clean(now)
        self.rt.jobs.change(job, now, event_sent=True, clean_at=clean_at, warnings=job.all_warnings)

    def _check(self) -> None:
        """Raises Superseded when the job has left this end, because of a retry."""
        self.rt.jobs.load_at_its_end(self.job, with_files=False)

    def _close_files(self) -> None:
        """Mark each unfinished file as failed. The next write of a copy that still runs fails on the new status.

        The job is read again: after it was read, and before its end was written, files may have been added and a look
        may have written what it saw.
        """
        job = self.job
        problem = Problem(job.error.code if job.error else job.status.value, "the job ended before this file did")
        self._read_again()
        while unsettled := [f for f in job.files if not f.status.settled]:
            for file in unsettled:
                self._leave_in_time()
                checkpoint = file.checkpoint
                try:
                    self.rt.jobs.change_file(job, file, FileStatus.FAILED, error=problem, checkpoint={})
                except Superseded:  # a copy has just finished this file, or a retry opens the files
                    break
                self._abandon(checkpoint)
            self._read_again()

    def _read_again(self) -> None:
        """Update the job in place: the caller shows it."""
        fresh = self.rt.jobs.load_at_its_end(self.job)
        fresh.reservation = None  # the reserved call slot was for a call before the end
        vars(self.job).update(vars(fresh))

    def _abandon(self, checkpoint: dict[str, Any]) -> None:
        from clipferry import transfer  # imported here, because only a job with unfinished files needs it

        owner = settings().bucket_owner or None
        transfer.abandon(self.s3, settings().bucket_name, checkpoint, expected_owner=owner)

    def _end_uploads(self) -> None:
        """Abort each upload below the job's prefix, also those whose id was not stored because the call crashed."""
        place: dict[str, Any] = {"Bucket": settings().bucket_name, **bucket_owner()}
        found = self.s3.list_multipart_uploads(**place, Prefix=self.job.object_prefix).get("Uploads", [])
        if found:
            self._check()  # no retry yet, so none of the listed uploads belongs to one
        for upload in found:
            self._leave_in_time()
            with suppress(self.s3.exceptions.NoSuchUpload):
                self.s3.abort_multipart_upload(**place, Key=upload["Key"], UploadId=upload["UploadId"])

    def _stop_vendor_work(self) -> None:
        """Best effort: the job has ended in any case, and the vendor's work ends by itself too.

        The vendor is not called when the account is on hold, or when its next free call slot is too far away.
        """
        job = self.job
        if job.status not in (JobStatus.CANCELLED, JobStatus.TIMED_OUT) or not job.vendor_refs or job.listed:
            return
        self._check()
        rt = self.rt.leaving(TIME_FOR_A_DUTY)
        try:
            pacer = rt.pacer(job, near=max(0.0, min(LONGEST_WAIT_IN_CALL, rt.time_left() / 2)))
            stopped = rt.ask(job, lambda vendor: vendor.abort(task_of(job, self.rt.now())), pacer=pacer)
        except ASKING_ERRORS as error:
            said = decide(error, self.rt.rng).problem.message
            self.rt.logger.warning("the vendor's task could not be stopped", reason=said, job_id=job.job_id)
        else:
            self.rt.logger.info("asked the vendor to stop", stopped=stopped, job_id=job.job_id)
