"""The door: a job body becomes a row and an execution, once; a failed job is taken up again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from clipferry.aws import executions
from clipferry.intake.job_body import new_job
from clipferry.intake.values import fingerprints
from clipferry.jobs import Job, JobStatus
from clipferry.steps.context import Runtime
from clipferry.steps.finish import NotNow
from clipferry.store.job_records import Superseded
from clipferry.vendors import vendor_class


class KeyReused(Exception):
    """The idempotency key came with another body before: `job` is what that body made."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.job_id)
        self.job = job


def submit(rt: Runtime, body: Mapping[str, Any], *, seed: str | None = None, source: str | None = None) -> Job:
    """Create the job and start it. With a `seed`, the same seed and body give the same job however often.

    Raises InvalidBody, KeyReused.
    """
    return admit(rt, new_job(body, rt.now(), seed=seed, source=source), fingerprints(body))


def admit(rt: Runtime, wanted: Job, same: Collection[str]) -> Job:
    """The job in the table, started: this one, or the one that came before it under the same id.

    `same` are the fingerprints of jobs that were made of the same body. Raises KeyReused.
    """
    job, created = rt.jobs.create(wanted)
    if not created and job.fingerprint not in same:
        raise KeyReused(job)
    if created or job.status is JobStatus.QUEUED:
        _start(rt, job)
    return job


def retry(rt: Runtime, job_id: str) -> Job:
    """Take up what is not STORED again, as a new generation. A second click meets the first.

    Raises NotFound, NotNow.
    """
    job = rt.jobs.load(job_id)
    if job.status is JobStatus.SUCCEEDED or (not job.status.terminal and job.generation == 1):
        raise NotNow(job, "retried")
    if job.status.terminal:
        try:
            _reopen(rt, job)
        except Superseded:
            job = rt.jobs.load(job_id)
    if job.status is JobStatus.QUEUED:
        _start(rt, job)
    return job


def _reopen(rt: Runtime, job: Job) -> None:
    """QUEUED again; trigger opens the files. Vendor work that is still good is kept, else new work is asked for."""
    now = rt.now()
    rt.jobs.keep_rows(job, now)
    spent = _spent(job)
    uncertain = job.error is not None and job.error.code == "TRIGGER_UNCERTAIN"
    rt.jobs.change(
        job,
        now,
        JobStatus.QUEUED,
        verdict=None,
        error=None,
        finished_at=None,
        event_sent=False,
        listed=False,
        next_poll_at=None,
        poll_errors=0,
        unknown_looks=0,
        trigger_attempts=0,
        trigger_errors=0,
        retriggers=0,
        restarts=0,
        waited=0,
        reservation=None,
        refused_at=None,
        ticket=None,
        in_flight=None,
        last_look=None,
        reported=None,
        deadline_at=now + timedelta(seconds=job.deadline_seconds),
        fresh_since=job.generation + 1,
        **job.next_generation_changes(),
        on_uncertain="retrigger" if uncertain else job.on_uncertain,
        **(
            {
                "vendor_refs": {},
                "refs_complete": False,
                "triggered_at": None,
                "hint": 0,
                "progress": 0,
                "trigger_round": job.trigger_round + 1,
            }
            if spent
            else {}
        ),
    )
    rt.jobs.expire_rows(job)


def _spent(job: Job) -> bool:
    """Whether the vendor's work can yield nothing more, so that a retry has to ask for new work."""
    if job.adopt is not None or not job.vendor_refs:
        return False
    vendor = vendor_class(job.vendor)
    if vendor.can_abort and job.status in (JobStatus.CANCELLED, JobStatus.TIMED_OUT) and not job.listed:
        return True  # it was told to stop
    if not job.refs_complete:
        return False
    codes = {job.error.code if job.error else "", *(f.error.code for f in job.files if f.error)}
    return bool(codes & vendor.spent_codes)


def _start(rt: Runtime, job: Job) -> None:
    """Start the execution; when that fails the row stays QUEUED and the sweep starts it."""
    try:
        executions.start(job)
    except (ClientError, BotoCoreError) as error:
        rt.logger.error("execution not started, the sweep will", job_id=job.job_id, reason=type(error).__name__)
