"""Creates the row of a job and starts its execution, once; retries an ended job."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from clipferry.aws import executions
from clipferry.intake.job_body import new_job
from clipferry.intake.values import fingerprints
from clipferry.jobs.job import Job
from clipferry.jobs.statuses import JobStatus
from clipferry.steps.context import Runtime
from clipferry.steps.finish import NotNow
from clipferry.store.job_records import Superseded
from clipferry.vendors import vendor_class

#: What a retry resets in the job's row.
_RETRIED: dict[str, Any] = {
    **dict.fromkeys(("verdict", "error", "finished_at", "next_poll_at", "last_look", "reported")),
    **dict.fromkeys(("reservation", "refused_at", "ticket", "in_flight")),
    **dict.fromkeys(("event_sent", "listed"), False),
    **dict.fromkeys(("poll_errors", "unknown_looks", "trigger_attempts", "trigger_errors"), 0),
    **dict.fromkeys(("retriggers", "restarts", "waited"), 0),
}
#: What a retry resets besides, when it has to ask the vendor for new work.
_NO_VENDOR_WORK: dict[str, Any] = {
    "refs_complete": False,
    "triggered_at": None,
    "hint": 0,
    "progress": 0,
}


class KeyReused(Exception):
    """An earlier request had the same idempotency key and another body; `job` is the job of that request."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.job_id)
        self.job = job


def submit(rt: Runtime, body: Mapping[str, Any], *, seed: str | None = None, source: str | None = None) -> Job:
    """Create the job and start it. With a `seed`, the same seed and body give the same job each time.

    Raises InvalidBody, KeyReused.
    """
    return admit(rt, new_job(body, rt.now(), seed=seed, source=source), fingerprints(body))


def admit(rt: Runtime, wanted: Job, same: Collection[str]) -> Job:
    """Create the job, or find the one that exists under the same id, and start it.

    `same`: the fingerprints that a job of the same body may have. Raises KeyReused.
    """
    job, created = rt.jobs.create(wanted)
    if not created and job.fingerprint not in same:
        raise KeyReused(job)
    if created or job.status is JobStatus.QUEUED:
        _start(rt, job)
    return job


def retry(rt: Runtime, job_id: str) -> Job:
    """Start an ended job again for the files that are not STORED, as a new generation. May be repeated.

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
    """Set the job to QUEUED; trigger opens its files. Vendor work that can still yield files is kept."""
    now = rt.now()
    rt.jobs.keep_rows(job, now)
    uncertain = job.error is not None and job.error.code == "TRIGGER_UNCERTAIN"
    new_work = {**_NO_VENDOR_WORK, "vendor_refs": {}, "trigger_round": job.trigger_round + 1} if _spent(job) else {}
    rt.jobs.change(
        job,
        now,
        JobStatus.QUEUED,
        **_RETRIED,
        deadline_at=now + timedelta(seconds=job.deadline_seconds),
        fresh_since=job.generation + 1,
        **job.next_generation_changes(),
        on_uncertain="retrigger" if uncertain else job.on_uncertain,
        **new_work,
    )
    rt.jobs.expire_rows(job)


def _spent(job: Job) -> bool:
    """Whether the vendor's work can yield no more files, so that a retry has to ask for new work."""
    if job.adopt is not None or not job.vendor_refs:
        return False
    vendor = vendor_class(job.vendor)
    if vendor.can_abort and job.status in (JobStatus.CANCELLED, JobStatus.TIMED_OUT) and not job.listed:
        return True  # Clipferry has asked the vendor to stop it
    if not job.refs_complete:
        return False
    codes = {job.error.code if job.error else "", *(f.error.code for f in job.files if f.error)}
    return bool(codes & vendor.spent_codes)


def _start(rt: Runtime, job: Job) -> None:
    """Start the execution; when this fails the row stays QUEUED and the sweep starts it later."""
    try:
        executions.start(job)
    except (ClientError, BotoCoreError) as error:
        rt.logger.error("execution not started, the sweep will", job_id=job.job_id, reason=type(error).__name__)
