"""The statuses of a job and of a file, and which moves between them are legal."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class JobStatus(StrEnum):
    QUEUED = "QUEUED"
    TRIGGERING = "TRIGGERING"
    WAITING = "WAITING"
    DOWNLOADING = "DOWNLOADING"
    SUCCEEDED = "SUCCEEDED"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


class FileStatus(StrEnum):
    PENDING = "PENDING"
    READY = "READY"
    COPYING = "COPYING"
    STORED = "STORED"
    FAILED = "FAILED"

    @property
    def settled(self) -> bool:
        return self in (FileStatus.STORED, FileStatus.FAILED)


TERMINAL = frozenset(
    {JobStatus.SUCCEEDED, JobStatus.PARTIAL, JobStatus.FAILED, JobStatus.TIMED_OUT, JobStatus.CANCELLED}
)
_ENDINGS = frozenset({JobStatus.FAILED, JobStatus.TIMED_OUT, JobStatus.CANCELLED})

#: The only legal moves of a job. A retry is the move back to QUEUED, and raises the generation.
JOB_MOVES: Mapping[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.TRIGGERING, JobStatus.WAITING}) | _ENDINGS,  # WAITING: nothing to trigger
    JobStatus.TRIGGERING: frozenset({JobStatus.WAITING}) | _ENDINGS,
    JobStatus.WAITING: frozenset({JobStatus.DOWNLOADING, JobStatus.SUCCEEDED, JobStatus.PARTIAL}) | _ENDINGS,
    JobStatus.DOWNLOADING: frozenset({JobStatus.WAITING, JobStatus.SUCCEEDED, JobStatus.PARTIAL}) | _ENDINGS,
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.PARTIAL: frozenset({JobStatus.QUEUED}),
    JobStatus.FAILED: frozenset({JobStatus.QUEUED}),
    JobStatus.TIMED_OUT: frozenset({JobStatus.QUEUED}),
    JobStatus.CANCELLED: frozenset({JobStatus.QUEUED}),
}

#: The only legal moves of a file. COPYING → READY is a copy given back (to look again, or after a retry).
FILE_MOVES: Mapping[FileStatus, frozenset[FileStatus]] = {
    FileStatus.PENDING: frozenset({FileStatus.READY, FileStatus.FAILED}),
    FileStatus.READY: frozenset({FileStatus.COPYING, FileStatus.FAILED}),
    FileStatus.COPYING: frozenset({FileStatus.READY, FileStatus.STORED, FileStatus.FAILED}),
    FileStatus.STORED: frozenset(),
    FileStatus.FAILED: frozenset({FileStatus.PENDING}),
}
