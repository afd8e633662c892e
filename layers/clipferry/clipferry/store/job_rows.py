"""Converts a job to its rows and back: one row for the job, one for each file, one for each tag. Reads nothing.

A job's id may come from an idempotency key, so the same id may be used again after the job's rows were deleted. Each
job has its own `life` and its rows name it, so that rows which an earlier job left behind are never mixed with them.
"""

from __future__ import annotations

import zlib
from datetime import datetime
from typing import Any

from pynamodb.expressions.condition import Condition

from clipferry.jobs.file import File
from clipferry.jobs.job import CALL_LIFETIME, Job, iso
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.settings import settings
from clipferry.store.row_values import as_read, attributes_of, value_of
from clipferry.store.rows import FileRow, Item, JobRow, TagRow

SHARDS = 4  # of each index value: 4 × 1,000 writes a second (DynamoDB's limit for one partition)
#: Seconds, by status, after which the sweep checks a job whose row has not changed. The check of a healthy job costs
#: one DescribeExecution. A download call may take 15 minutes, and does not change the job's row meanwhile.
CHECKED_AFTER = {JobStatus.QUEUED: 60, JobStatus.TRIGGERING: 180, JobStatus.WAITING: 180, JobStatus.DOWNLOADING: 600}

_NOT_IN_THE_ROW = frozenset({"files", "rows_expire"})


def job_pk(job_id: str) -> str:
    return f"JOB#{job_id}"


def job_row(job: Job, **values: Any) -> JobRow:
    """The job's row with its key and these attributes."""
    return JobRow(job_pk(job.job_id), "JOB", **values)


def file_row(job: Job, file: File, **values: Any) -> FileRow:
    return FileRow(job_pk(job.job_id), f"FILE#{file.file_id}", **values)


def new_file_row(job: Job, file: File) -> FileRow:
    return file_row(job, file, life=job.life, **attributes_of(file))


def tag_row(job: Job, tag: str, expires_at: int | None) -> TagRow:
    return TagRow(
        job_pk(job.job_id),
        f"TAG#{tag}",
        tag_shard=f"{tag}#{shard_of(job.job_id)}",
        created_key=created_key(job),
        expires_at=expires_at,
    )


def job_values(job: Job) -> dict[str, Any]:
    return attributes_of(job, without=_NOT_IN_THE_ROW)


def job_of(row: JobRow) -> Job:
    """The job without its files. Raises IncompleteRow."""
    return value_of(row, Job, files=[], rows_expire=False)


def job_with_files(row: JobRow, others: list[Item]) -> Job:
    """The job with its files, from all items under its key. Leaves out rows of an earlier job. Raises IncompleteRow."""
    job = job_of(row)
    own = [other for other in others if is_own(job, other)]
    files = [value_of(other, File) for other in own if isinstance(other, FileRow)]
    job.files = sorted(files, key=lambda file: file.number)
    job.rows_expire = not job.status.terminal and any(other.expires_at is not None for other in own)
    return job


def is_own(job: Job, row: Item) -> bool:
    """Whether an item under the job's key belongs to this job, and not to an earlier job of the same id."""
    if isinstance(row, FileRow):
        return row.life == job.life
    return row.sk in {f"TAG#{tag}" for tag in tags(job)}


def not_own(job: Job) -> Condition:
    """The condition that this job has no such file yet. A row of an earlier job may be overwritten."""
    other_life = (
        FileRow.life.exists() if job.life is None else FileRow.life.does_not_exist() | (FileRow.life != job.life)
    )
    condition: Condition = FileRow.pk.does_not_exist() | other_life
    return condition


def job_as_read(job: Job) -> Condition:
    """The condition that, since the job was read, its status has not changed and no trigger was sent for it."""
    condition: Condition = (
        (JobRow.status == job.status)
        & as_read(JobRow.generation, job.generation, 1)
        & as_read(JobRow.intent, job.intent)
        & as_read(JobRow.life, job.life)
    )
    return condition


def file_as_read(job: Job, file: File) -> Condition:
    """The condition that, since the file was read, its status has not changed and no other call copies it."""
    condition: Condition = (
        FileRow.pk.exists()
        & as_read(FileRow.status, file.status, FileStatus.PENDING)
        & as_read(FileRow.generation, file.generation, 1)
        & as_read(FileRow.worker, file.worker)
        & as_read(FileRow.life, job.life)
    )
    return condition


def shard_of(job_id: str) -> int:
    return zlib.crc32(job_id.encode()) % SHARDS


def shards(value: str) -> list[str]:
    return [f"{value}#{n}" for n in range(SHARDS)]


def created_key(job: Job) -> str:
    """The sort key of the job in all listings."""
    return f"{iso(job.created_at)}#{job.job_id}"


def index_keys(job: Job) -> dict[str, str]:
    shard = shard_of(job.job_id)
    return {
        "created_key": created_key(job),
        "vendor_shard": f"{job.vendor}#{shard}",
        "status_shard": f"{job.vendor}#{job.status}#{shard}",
    }


def label_texts(job: Job) -> list[str]:
    return [f"{key}={value}" for key, value in job.labels.items()]


def tags(job: Job) -> list[str]:
    """The tags by which the job is listed, each once. Two labels of the first release may give the same tag."""
    found = [f"label#{text}" for text in label_texts(job)]
    return list(dict.fromkeys([*found, job.source] if job.source else found))


def expiry(job: Job) -> int | None:
    """When the job's rows expire, in epoch seconds; None while the job is unfinished."""
    if not job.status.terminal or job.finished_at is None:
        return None
    return int(job.finished_at.timestamp()) + settings().retention_days * 86_400


def due(job: Job, now: datetime, *, new_execution: bool = False) -> dict[str, Any]:
    """When the sweep should check the job if nothing changes it before; no index key once nothing is left to do."""
    shard = f"due#{shard_of(job.job_id)}"
    if job.status.terminal and job.event_sent:
        if job.clean_at is None:
            return {"due_shard": None, "due_at": None}
        return {"due_shard": shard, "due_at": int(max(now, job.clean_at).timestamp())}
    base, seconds = now, CHECKED_AFTER.get(job.status, int(CALL_LIFETIME.total_seconds()))
    if new_execution:  # if it does not start, the sweep notices as soon as for a new job
        seconds = CHECKED_AFTER[JobStatus.QUEUED]
    elif job.status in (JobStatus.QUEUED, JobStatus.TRIGGERING, JobStatus.WAITING) and job.next_poll_at:
        base = max(now, job.next_poll_at)
    return {"due_shard": shard, "due_at": int(base.timestamp()) + seconds}
