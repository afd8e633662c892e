"""Repairs jobs whose row and execution disagree, and aborts uploads that no job needs.

There are three sources of jobs to check: the index of jobs whose row has not changed for too long, the events that Step
Functions sends when an execution fails, and, for lost events, the list of executions that failed lately. Each check
moves the job's place in the index, so that a job which is only slow is not checked at every run, but once per
`CHECKED_AFTER`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from clipferry.aws import executions
from clipferry.aws.bucket import bucket_owner
from clipferry.jobs.job import Job
from clipferry.jobs.problems import Problem
from clipferry.jobs.statuses import JobStatus
from clipferry.settings import settings
from clipferry.steps.batch_recovery import BatchRecovery
from clipferry.steps.finish import Closing
from clipferry.steps.leftovers import Leftovers
from clipferry.steps.step_result import is_current
from clipferry.store.batch_records import Batches
from clipferry.store.job_records import NotFound, Superseded

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import MultipartUploadTypeDef

RESTART_BUDGET = 5  # executions of one job that may be lost
DEADLINE_GRACE = timedelta(minutes=2)  # for the machine to end an overdue job itself
ORPHAN_AGE = timedelta(hours=1)  # the row of a younger upload may not have been written yet
LATELY = timedelta(minutes=15)  # three runs of the sweep
RESERVE = 20.0  # seconds of a run reserved for its report


@dataclass
class Swept:
    """What one run did, by job id."""

    concluded: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    batches: list[str] = field(default_factory=list)  # started again
    uploads_aborted: int = 0
    objects_taken_back: int = 0
    oldest_age: float = 0.0  # seconds since the oldest unfinished job was created

    @property
    def jobs(self) -> int:
        return len(self.concluded) + len(self.started) + len(self.restarted) + len(self.ended)


class Sweep:
    """One run."""

    def __init__(self, closing: Closing, time_left: Callable[[], float]) -> None:
        self.closing, self.rt, self.time_left = closing, closing.rt, time_left
        self.recovery = BatchRecovery(closing, Batches())
        self.leftovers = Leftovers(self.rt, closing.s3, time_left, RESERVE)
        self.swept = Swept()

    def run(self) -> Swept:
        """Check everything that is due, oldest first, as far as the time allows; the next run continues.

        A job that cannot be swept is logged and left for the next run; the others are still checked.
        """
        self._jobs((job_id, None) for job_id in self.rt.jobs.due(self.rt.now()))
        self._batches()
        self._end_orphans()
        oldest = self.rt.jobs.oldest_unfinished()
        self.swept.oldest_age = (self.rt.now() - oldest).total_seconds() if oldest else 0.0
        self._jobs(self._ended_badly())
        return self.swept

    def _jobs(self, candidates: Iterable[tuple[str, int | None]]) -> None:
        for job_id, generation in candidates:
            if self.time_left() < RESERVE:
                return
            try:
                self.reconcile(job_id, generation)
            except Exception:
                self.rt.logger.exception("a job could not be swept", job_id=job_id)
                self.swept.failed.append(job_id)

    def _ended_badly(self) -> Iterator[tuple[str, int]]:
        """Unfinished jobs whose execution has failed, with its generation, without those that failed in this run."""
        for job_id, generation in executions.ended_badly(settings().state_machine_arn, self.rt.now() - LATELY):
            with suppress(NotFound):
                if job_id not in self.swept.failed and is_current(
                    self.rt.jobs.load(job_id, with_files=False), generation
                ):
                    yield job_id, generation

    def reconcile(self, job_id: str, generation: int | None = None) -> Swept:
        """Repair one job; only if it is still at `generation`, when that is given.

        The first write puts the job behind the others in the index, so that a job which fails does not block them.
        """
        try:
            job = self.rt.jobs.load(job_id)
            settled = job.status.terminal and job.event_sent
            if generation is None or (job.generation == generation and not settled):
                self.rt.jobs.postpone(job, self.rt.now(), later=False)
                if settled and job.clean_at:
                    self._clean(job)
                else:
                    self._reconcile(job)
        except (NotFound, Superseded) as error:  # the job was deleted, or another call has just changed it
            self.rt.logger.info("nothing to sweep", job_id=job_id, reason=type(error).__name__)
        return self.swept

    def _reconcile(self, job: Job) -> None:
        if job.status.terminal:
            if self.closing.take_over(job):
                self.swept.concluded.append(job.job_id)
            return
        overdue = self.rt.now() - job.deadline_at
        state = executions.status(job)
        if state == "RUNNING":
            if overdue >= DEADLINE_GRACE:
                self._end(job)
                executions.stop(job, "the job's deadline has passed")
            else:
                self.rt.jobs.postpone(job, self.rt.now(), later=True)
        elif overdue >= timedelta():
            self._end(job)
        elif state is None:
            executions.start(job)
            self.swept.started.append(job.job_id)
        else:
            self._execution_lost(job)

    def _clean(self, job: Job) -> None:
        """Delete the ended job's objects that no row names."""
        again = self.leftovers.look(job)
        self.rt.jobs.look_again(job, self.rt.now(), again)
        self.swept.objects_taken_back = self.leftovers.taken_back

    def _execution_lost(self, job: Job) -> None:
        """The execution ended before the job: carry out the job's verdict, or start the next generation."""
        if job.verdict or job.restarts >= RESTART_BUDGET:
            if not job.verdict:
                message = f"the job's executions ended {job.restarts + 1} times before the job did"
                self.rt.jobs.change(
                    job, self.rt.now(), verdict=JobStatus.FAILED, error=Problem("EXECUTION_LOST", message)
                )
            self._end(job)
            return
        self.rt.jobs.change(job, self.rt.now(), restarts=job.restarts + 1, **job.next_generation_changes())
        executions.start(job)
        self.swept.restarted.append(job.job_id)

    def _end(self, job: Job) -> None:
        """End the job as the function finish does: by its verdict, its files or its deadline."""
        self.closing.finish(job.job_id, job.generation, None)
        self.swept.ended.append(job.job_id)

    def _batches(self) -> None:
        for batch_id in self.recovery.batches.due(self.rt.now()):
            if self.time_left() < RESERVE:
                return
            try:
                self.reconcile_batch(batch_id)
            except Exception:
                self.rt.logger.exception("a batch could not be swept", batch_id=batch_id)
                self.swept.failed.append(batch_id)

    def reconcile_batch(self, batch_id: str, generation: int | None = None) -> Swept:
        """Repair one batch; only if it is still at `generation`, when that is given."""
        try:
            if self.recovery.revive(batch_id, generation):
                self.swept.batches.append(batch_id)
        except (NotFound, Superseded) as error:
            self.rt.logger.info("nothing to sweep", batch_id=batch_id, reason=type(error).__name__)
        return self.swept

    def _end_orphans(self) -> None:
        """Abort old uploads of jobs that have ended or are gone. The checkpoints name those of unfinished files."""
        s3, bucket, owner = self.closing.s3, settings().bucket_name, bucket_owner()
        for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, **owner):
            for upload in page.get("Uploads", []):
                if self.time_left() < RESERVE:
                    return
                if self.rt.now() - upload["Initiated"] >= ORPHAN_AGE and not self._wanted(upload):
                    with suppress(s3.exceptions.NoSuchUpload):  # it was completed or aborted meanwhile
                        s3.abort_multipart_upload(
                            Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"], **owner
                        )
                        self.swept.uploads_aborted += 1

    def _wanted(self, upload: MultipartUploadTypeDef) -> bool:
        parts = upload["Key"].split("/")
        job_id = next((part for part in reversed(parts) if len(part) == 26 and part.isalnum()), None)
        if job_id is None:
            return True  # the key is not one of Clipferry's: the bucket's lifecycle rule deals with it
        try:
            job = self.rt.jobs.load(job_id)
        except NotFound:
            return False
        return not job.status.terminal
