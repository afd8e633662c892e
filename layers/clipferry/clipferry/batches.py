"""What a batch is, and which moves it may make. Pure.

A batch submits the lines of one manifest, each once; its jobs then live their own lives. It is identified by the
manifest's version (bucket, key, ETag) and what was asked for, so that the same manifest posted again is the same batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from clipferry.jobs import JobStatus, Problem, iso
from clipferry.redaction import bare, redact_key

CALL_LIFETIME = timedelta(seconds=300)  # no call of the batch function lives longer (its Timeout)
WORK = ".clipferry/batches/"  # where a batch's working objects lie; no job may write there


class BatchStatus(StrEnum):
    READING = "READING"  # the manifest is being divided; nothing is submitted yet
    SUBMITTING = "SUBMITTING"
    SUBMITTED = "SUBMITTED"  # every line is a job or in the report
    FAILED = "FAILED"  # the error says why; may be resumed
    CANCELLING = "CANCELLING"  # nothing is submitted any more, live jobs are being cancelled
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
    """One manifest on its way into jobs. The row in the table is the truth; this is one reading of it."""

    batch_id: str
    status: BatchStatus
    bucket: str
    key: str
    etag: str
    size: int  # bytes of the manifest
    format: str
    created_at: datetime
    updated_at: datetime
    fingerprint: str = ""  # of the body that made it
    defaults: dict[str, Any] = field(default_factory=dict)
    generation: int = 1  # raised by every execution that takes it over
    restarts: int = 0  # executions lost and started anew by the sweep
    layout: dict[str, Any] | None = None
    lines: int | None = None  # that are not blank; known once the manifest is read
    chunks: int | None = None
    report: str | None = None  # key of the rejected lines' report
    error: Problem | None = None
    cancelled_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def source(self) -> str:
        """What its jobs name as their source, and the tag they are listed by."""
        return f"batch#{self.batch_id}"

    @property
    def index_key(self) -> str:
        return f"{WORK}{self.batch_id}/index.json"

    @property
    def progress_key(self) -> str:
        """Of an index that is not whole yet."""
        return f"{WORK}{self.batch_id}/reading.json"

    def rejected_key(self, chunk: int) -> str:
        return f"{WORK}{self.batch_id}/rejected/{chunk:06d}.jsonl"

    @property
    def report_key(self) -> str:
        """Next to the manifest."""
        return f"{self.key}.{self.batch_id}.rejected.jsonl"

    def public(self, counts: Counts) -> dict[str, Any]:
        """The batch as the API shows it. No key of a manifest that the API takes holds a URL's query."""
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
    """What became of the lines so far, and of their jobs."""

    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    ended: dict[JobStatus, int] = field(default_factory=dict)  # jobs by the status they have ended in

    def public(self, lines: int | None) -> dict[str, Any]:
        """A job counts as soon as it has ended, its line when the lines around it are done: live is never below 0."""
        told = self.accepted + self.rejected + self.duplicates
        live = max(0, self.accepted - sum(self.ended.values()))
        return {
            "lines": {
                "total": lines,
                "accepted": self.accepted,
                "rejected": self.rejected,
                "duplicates": self.duplicates,
                "waiting": None if lines is None else max(0, lines - told),
            },
            "jobs": {"LIVE": live, **{s.value: self.ended.get(s, 0) for s in JobStatus if s.terminal}},
        }
