"""What a batch is, and which changes of its status are allowed. Pure.

A batch submits each line of one manifest once; after that its jobs do not depend on it. A batch is identified by its
manifest's version (bucket, key, ETag) and the request's body, so that the same request posted again is the same batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from clipferry.jobs.job import iso
from clipferry.jobs.problems import Problem
from clipferry.jobs.statuses import JobStatus
from clipferry.redaction import bare, redact_key

CALL_LIFETIME = timedelta(seconds=300)  # no call of the batch function runs longer (its Timeout)
WORK = ".clipferry/batches/"  # prefix of the keys of a batch's working objects; no job may write there


class BatchStatus(StrEnum):
    READING = "READING"  # the manifest is being divided; no line is submitted yet
    SUBMITTING = "SUBMITTING"
    SUBMITTED = "SUBMITTED"  # each line is a job, or is in the report
    FAILED = "FAILED"  # the error says why; may be resumed
    CANCELLING = "CANCELLING"  # no line is submitted any more; unfinished jobs are being cancelled
    CANCELLED = "CANCELLED"

    @property
    def settled(self) -> bool:
        return self in (BatchStatus.SUBMITTED, BatchStatus.FAILED, BatchStatus.CANCELLED)


#: The only legal moves.
BATCH_MOVES: Mapping[BatchStatus, frozenset[BatchStatus]] = {
    BatchStatus.READING: frozenset({BatchStatus.SUBMITTING, BatchStatus.FAILED, BatchStatus.CANCELLING}),
    BatchStatus.SUBMITTING: frozenset({BatchStatus.SUBMITTED, BatchStatus.FAILED, BatchStatus.CANCELLING}),
    BatchStatus.SUBMITTED: frozenset({BatchStatus.CANCELLING}),
    BatchStatus.FAILED: frozenset({BatchStatus.READING, BatchStatus.CANCELLING}),
    BatchStatus.CANCELLING: frozenset({BatchStatus.CANCELLED, BatchStatus.FAILED}),
    BatchStatus.CANCELLED: frozenset(),
}


@dataclass
class Batch:
    """One manifest whose lines become jobs, as its row was when it was read. Only the row is up to date."""

    batch_id: str
    status: BatchStatus
    bucket: str
    key: str
    etag: str
    size: int  # bytes of the manifest
    format: str
    created_at: datetime
    updated_at: datetime
    fingerprint: str = ""  # of the body that created it
    defaults: dict[str, Any] = field(default_factory=dict)
    generation: int = 1  # raised by each execution that takes it over
    restarts: int = 0  # how often the sweep has replaced a lost execution
    layout: dict[str, Any] | None = None
    lines: int | None = None  # how many are not blank; known once the manifest was read
    chunks: int | None = None
    report: str | None = None  # key of the rejected lines' report
    error: Problem | None = None
    cancelled_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def source(self) -> str:
        """The `source` of its jobs, and the tag by which they are listed."""
        return f"batch#{self.batch_id}"

    @property
    def index_key(self) -> str:
        return f"{WORK}{self.batch_id}/index.json"

    @property
    def progress_key(self) -> str:
        """Key of the progress, while the manifest is being divided."""
        return f"{WORK}{self.batch_id}/reading.json"

    def rejected_key(self, chunk: int) -> str:
        return f"{WORK}{self.batch_id}/rejected/{chunk:06d}.jsonl"

    @property
    def report_key(self) -> str:
        """Key of the report, next to the manifest."""
        return f"{self.key}.{self.batch_id}.rejected.jsonl"

    def public(self, counts: Counts) -> dict[str, Any]:
        """The batch as the API shows it."""
        return {
            "batch_id": self.batch_id,
            "status": self.status.value,
            "generation": self.generation,
            "manifest": {
                "bucket": self.bucket,
                "key": redact_key(self.key),
                "etag": self.etag.strip('"'),
                "size": self.size,
                "format": self.format,
            },
            "defaults": bare(self.defaults),
            **counts.public(self.lines),
            "report": {"s3_uri": f"s3://{self.bucket}/{redact_key(self.report)}"} if self.report else None,
            "error": self.error.as_dict() if self.error else None,
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at),
            "finished_at": iso(self.finished_at),
        }


@dataclass
class Counts:
    """How many lines were accepted, rejected or duplicates so far, and how many of their jobs have ended."""

    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    ended: dict[JobStatus, int] = field(default_factory=dict)  # jobs by the status they have ended in

    def public(self, lines: int | None) -> dict[str, Any]:
        """The counts as the API shows them. An ended job may be counted before its line, so LIVE is at least 0."""
        done = self.accepted + self.rejected + self.duplicates
        live = max(0, self.accepted - sum(self.ended.values()))
        return {
            "lines": {
                "total": lines,
                "accepted": self.accepted,
                "rejected": self.rejected,
                "duplicates": self.duplicates,
                "waiting": None if lines is None else max(0, lines - done),
            },
            "jobs": {"LIVE": live, **{s.value: self.ended.get(s, 0) for s in JobStatus if s.terminal}},
        }
