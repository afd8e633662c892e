"""What is left to do when a job has ended: nothing of it may run or stay open, and its end is told.

Each duty may be repeated after any crash; the row says when the last of them is done. A user may take the job up again
while they are under way. Then they stop: before each of them the row is looked at, or the write itself has a condition,
so that a late end changes nothing that a retry made:

    stop the execution        has its generation in its name
    give back slot and place  are held under a name that a retry changes
    close the files           each on the condition of its own row
    end uploads               listed first, and ended only if the job is still at this end after that
    stop the vendor's work    looked before
    manifest                  on a condition in S3
    end of life of the rows   on the condition of the job's row
    event                     looked before; its `generation` tells consumers which of two is the later
    the last word             on the condition of the job's row
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from clipferry.aws import events, executions
from clipferry.aws.bucket import bucket_owner
from clipferry.aws.sdk import AWS_CALL_MAX
from clipferry.jobs import FileStatus, Job, JobStatus, Problem
from clipferry.pacing.poll_plan import STAY
from clipferry.settings import settings
from clipferry.steps.context import Runtime, task_of
from clipferry.steps.job_manifest import write_manifest
from clipferry.steps.slots import give_back
from clipferry.steps.vendor_errors import ASKING_ERRORS, decide
from clipferry.store.job_records import Superseded
from clipferry.vendors.contract import OutOfTime

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


DUTY_ROOM = AWS_CALL_MAX + 1.0  # seconds: a duty goes on as long as one call to AWS may take


class Conclusion:
    """The duties of one end. `job` is terminal, as read after its end was written."""

    def __init__(self, rt: Runtime, s3: S3Client, job: Job) -> None:
        self.rt, self.s3, self.job = rt, s3, job

    def carry_out(self) -> None:
        """All of them, in this order.

        Raises Superseded when the job was taken up again: its next end has its own; and OutOfTime when a step that has
        an end would not see the next duty through: the sweep carries out the rest.
        """
        self.job.reservation = None  # a place in the budget is for what the job wanted before it ended
        for duty in (
            self._stop_execution,
            self._give_back,
            self._close_files,
            self._end_uploads,
            self._stop_vendor_work,
            self._write_manifest,
            self._tell,
        ):
            self._leave_in_time()
            duty()

    def _leave_in_time(self) -> None:
        if self.rt.time_left() < DUTY_ROOM:
            raise OutOfTime

    def _stop_execution(self) -> None:
        if self.job.status is JobStatus.CANCELLED:
            executions.stop(self.job, "the job was cancelled")

    def _give_back(self) -> None:
        give_back(self.rt, self.job)

    def _write_manifest(self) -> None:
        write_manifest(self.s3, self.job, self._check)

    def _tell(self) -> None:
        """The event, and the row's last word."""
        job = self.job
        self.rt.jobs.expire_rows(job)
        self._check()
        events.announce(job)
        now = self.rt.now()
        clean_at = job.left_to_clean(now)
        self.rt.jobs.change(job, now, event_sent=True, clean_at=clean_at, warnings=job.all_warnings)

    def _check(self) -> None:
        """Raises Superseded when the job is no longer at this end."""
        self.rt.jobs.load_at_its_end(self.job, with_files=False)

    def _close_files(self) -> None:
        """No file stays unfinished. A copy that still runs meets the file's new status.

        From the rows as they are: the job was read before its end, and until then files may have been added or opened.
        """
        job = self.job
        problem = Problem(job.error.code if job.error else job.status.value, "the job ended before this file did")
        self._read_files()
        while unsettled := [f for f in job.files if not f.status.settled]:
            for file in unsettled:
                self._leave_in_time()
                checkpoint = file.checkpoint
                try:
                    self.rt.jobs.change_file(job, file, FileStatus.FAILED, error=problem, checkpoint={})
                except Superseded:  # a copy has just written its end, or a retry opens the files
                    break
                self._abandon(checkpoint)
            self._read_files()

    def _read_files(self) -> None:
        self.job.files = self.rt.jobs.load_at_its_end(self.job).files

    def _abandon(self, checkpoint: dict[str, Any]) -> None:
        from clipferry import transfer  # here: only a job that ends before its files do needs it

        owner = settings().bucket_owner or None
        transfer.abandon(self.s3, settings().bucket_name, checkpoint, expected_owner=owner)

    def _end_uploads(self) -> None:
        """No upload below the job's prefix outlives it, not even one whose maker died before writing it down."""
        place: dict[str, Any] = {"Bucket": settings().bucket_name, **bucket_owner()}
        found = self.s3.list_multipart_uploads(**place, Prefix=self.job.object_prefix).get("Uploads", [])
        if found:
            self._check()  # what was begun before this is no retry's
        for upload in found:
            self._leave_in_time()
            with suppress(self.s3.exceptions.NoSuchUpload):
                self.s3.abort_multipart_upload(**place, Key=upload["Key"], UploadId=upload["UploadId"])

    def _stop_vendor_work(self) -> None:
        """Best effort: the job has ended whatever the vendor says, and the vendor's work ends by itself too.

        Where the account's calls queue for longer than this call can wait, or it is on hold, the vendor is not asked.
        """
        job = self.job
        if job.status not in (JobStatus.CANCELLED, JobStatus.TIMED_OUT) or not job.vendor_refs or job.listed:
            return
        self._check()
        rt = self.rt.leaving(DUTY_ROOM)
        try:
            pacer = rt.pacer(job, near=max(0.0, min(STAY, rt.time_left() / 2)))
            stopped = rt.ask(job, lambda vendor: vendor.abort(task_of(job, self.rt.now())), pacer=pacer)
        except ASKING_ERRORS as error:
            said = decide(error, self.rt.rng).problem.message
            self.rt.logger.warning("the vendor's task could not be stopped", reason=said, job_id=job.job_id)
        else:
            self.rt.logger.info("asked the vendor to stop", stopped=stopped, job_id=job.job_id)
