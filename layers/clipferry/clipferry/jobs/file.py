"""One video of a job, with the state of its copy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from clipferry.jobs.problems import Problem
from clipferry.jobs.statuses import FileStatus
from clipferry.redaction import bare

DOWNLOAD_BUDGET = 6  # calls of one file's copy without progress, in a row, that fail the file
DOWNLOAD_BROKEN = Problem(
    "DOWNLOAD_BROKEN",
    "calls of the copy crashed or timed out again and again without progress; the log has the cause",
)


@dataclass
class File:
    """One video that the vendor yields. `ref` is the vendor's identifier for it within the task."""

    file_id: str
    ref: str
    name: str
    status: FileStatus = FileStatus.PENDING
    media: str = "file"  # "file", or "hls": a playlist with its segments
    size: int | None = None  # bytes; as the vendor reports them until the file is stored, then as stored
    declared: int | None = None  # bytes as the source declares them during the copy: for the progress, not as evidence
    part_size: int | None = None  # bytes of each part but the last, once the copy has begun
    md5: str | None = None  # as the vendor reports it
    detail: dict[str, Any] = field(default_factory=dict)  # what the vendor needs to locate the file again; no URLs
    bytes_copied: int = 0
    s3_uri: str | None = None
    evidence: dict[str, Any] | None = None
    error: Problem | None = None
    warnings: list[dict[str, str]] = field(default_factory=list)  # about the stored file, each made by `warning`
    attempts: int = 0  # calls of its copy in a row that stored no further byte in S3
    reached: int = 0  # the most bytes of it that were ever in S3
    call_seconds: int = 0  # how long the present call of its copy had run at its last write; 0 between calls
    broken_at: str | None = None  # the step that last counted calls which all crashed or timed out
    checkpoint: dict[str, Any] = field(default_factory=dict)  # of transfer/: upload id, pinned source
    generation: int = 1  # the job's generation that last worked on it
    worker: str | None = None  # the name of the call that copies it; a call that takes the copy over writes its own
    reservation: dict[str, Any] | None = None  # the file's reserved call slot, like the job's
    refused_at: datetime | None = None  # since when the vendor refuses the account for this file, like the job's

    @property
    def number(self) -> int:
        """The number in the file's id, by which files are sorted: f1000 comes after f999."""
        return int(self.file_id.removeprefix("f"))

    @property
    def waits_for(self) -> str | None:
        """What the copy waits for before the vendor can be asked for the URL: "account", "budget", or None."""
        if self.status.settled:
            return None
        if self.refused_at is not None:
            return "account"
        return "budget" if self.reservation is not None else None

    @property
    def total(self) -> int | None:
        """The bytes of the whole file, as the vendor or the source reports them; None: not known."""
        return self.size or self.declared

    @property
    def parts(self) -> dict[str, int | None] | None:
        """How many parts of its copy are in S3, and how many there are; None while no copy in parts has begun."""
        if not self.part_size:
            return None
        total = math.ceil(self.total / self.part_size) if self.total else None
        return {"copied": math.ceil(self.bytes_copied / self.part_size), "total": total}

    def copied_changes(self, copied: int) -> dict[str, Any]:
        """What changes when so many bytes are in S3. More bytes than ever before reset the count of attempts."""
        further = {"reached": copied, "attempts": 0} if copied > self.reached else {}
        return {"bytes_copied": copied, **further}

    @property
    def failed_attempt_changes(self) -> dict[str, Any]:
        """What changes when a call of its copy failed, or made no progress."""
        return {"attempts": self.attempts + 1, "call_seconds": 0}

    def opened_changes(self, generation: int) -> dict[str, Any]:
        """What changes when its job was retried: the copy starts again, under a new generation."""
        opened = {FileStatus.FAILED: FileStatus.PENDING, FileStatus.COPYING: FileStatus.READY}
        return {
            "status": opened.get(self.status, self.status),
            "generation": generation,
            "error": None,
            "attempts": 0,
            "reached": 0,
            "call_seconds": 0,
            "bytes_copied": 0,
            "checkpoint": {},
            "refused_at": None,
        }

    def public(self) -> dict[str, Any]:
        """The file as the API shows it. `s3_uri` is built from checked values, so it is not redacted."""
        shown = {
            "file_id": self.file_id,
            "name": self.name,
            "status": self.status.value,
            "size": self.total,
            "bytes_copied": self.bytes_copied,
            "attempts": self.attempts,
            "parts": self.parts,
            "s3_uri": None,
            "evidence": self.evidence,
            "error": self.error.as_dict() if self.error else None,
        }
        return {**bare(shown), "s3_uri": self.s3_uri}
