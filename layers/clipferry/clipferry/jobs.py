"""What a job and a file are, and which changes of status are allowed.

Pure: no boto3, no clock, no I/O. Each decision here is a function of values; `store/job_records.py` makes each change
of status a conditional write.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from clipferry.redaction import bare, redact


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

DOWNLOAD_BUDGET = 6  # calls of one file's copy without progress, in a row, that fail the file
CALL_LIFETIME = timedelta(seconds=120)  # no call of a function that calls a vendor runs longer (its Timeout)
COPY_LIFETIME = timedelta(minutes=20)  # no call of the download function runs as long (its Timeout: 15 minutes)
MAX_MESSAGE = 1000  # characters of a problem's message
MAX_CODE = 200  # characters of a problem's code, and of a vendor's code and request id
MAX_WARNINGS = 50  # of a job, and of a file; further ones are left out
WARNINGS_BYTES = 12 * 1024  # of all warnings of a job in its row, as JSON in ASCII
MAX_WARNING = 500  # characters of a warning's message
#: Error codes of problems with the account.
ACCOUNT_CODES = frozenset({"ACCOUNT_REFUSED", "ACCOUNT_MISSING", "ACCOUNT_UNREADABLE", "ACCOUNT_MALFORMED"})
DEADLINE_MIN = 10
DEADLINE_MAX = 30 * 86_400  # seconds; the machine's TimeoutSeconds stands one day above it


@dataclass(frozen=True)
class Problem:
    """Why a job or a file failed, so that a user can act on it. URLs in it lose their queries."""

    code: str
    message: str
    vendor_code: str | None = None
    request_id: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", _shortened(self.message, MAX_MESSAGE))
        for name in ("code", "vendor_code", "request_id"):
            value = getattr(self, name)
            object.__setattr__(self, name, value if value is None else _shortened(value, MAX_CODE))

    def as_dict(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if v is not None}

    @classmethod
    def parse(cls, value: Mapping[str, Any] | None) -> Problem | None:
        return cls(**{k: value.get(k) for k in cls.__dataclass_fields__}) if value else None  # type: ignore[arg-type]


def _shortened(value: object, limit: int) -> str:
    """The value as redacted text of at most `limit` characters. A vendor may send a list as code, or a URL as id."""
    text = redact(str(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def warning(code: str, message: str) -> dict[str, str]:
    """Something that a user should know about a job or a file that did not fail, as the row and the API hold it."""
    return {"code": code, "message": redact(message)[:MAX_WARNING]}


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


@dataclass
class Job:
    """One request of a user, as its row was when it was read. Only the row in the table is up to date."""

    job_id: str
    vendor: str
    account: str
    status: JobStatus
    created_at: datetime
    updated_at: datetime
    deadline_at: datetime
    prefix: str = ""
    generation: int = 1
    fresh_since: int = 1  # the generation of the last retry: files of older generations that are not stored start again
    request: dict[str, Any] | None = None
    adopt: dict[str, Any] | None = None
    on_uncertain: str = "fail"
    deadline_seconds: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    fingerprint: str = ""  # of the body that created it, to tell a repetition from another request with the same key
    source: str | None = None  # what created it: "schedule#name", "batch#id"; None: a call of the API
    line: int | None = None  # of the batch's manifest
    vendor_refs: dict[str, Any] = field(default_factory=dict)
    refs_complete: bool = False
    trigger_round: int = 1  # raised when a retry needs new vendor work, so that its key is new too
    triggered_at: datetime | None = None  # when the intent of the last trigger was stored; None: it had no effect
    trigger_attempts: int = 0  # triggers that were sent or about to be sent; each call counts, if there are several
    trigger_errors: int = 0  # triggers and lookups without a usable answer
    retriggers: int = 0  # triggers sent although an earlier one may have started work, as `on_uncertain` allows
    intent: str | None = None  # a name for the last trigger that was about to be sent; the next trigger replaces it
    quiet_until: datetime | None = None  # until then a trigger may still run whose answer was not stored
    polls: int = 0
    poll_errors: int = 0  # in a row
    unknown_looks: int = 0  # in a row
    hint: int = 0  # seconds after the trigger before which the work cannot be finished
    waited: int = 0  # seconds that the state machine has waited since the trigger
    waited_here: int = 0  # seconds that the present execution has waited, as the last step stored them
    progress: int = 0  # percent, as the vendor reports it
    listed: bool = False  # the vendor has listed all files
    verdict: JobStatus | None = None  # the end that trigger or poll decided on; finish carries it out
    restarts: int = 0  # how often the sweep has replaced a lost execution
    next_poll_at: datetime | None = None
    finished_at: datetime | None = None
    error: Problem | None = None
    warnings: list[dict[str, str]] = field(default_factory=list)  # its own, and its files' once it has ended
    event_sent: bool = False
    clean_at: datetime | None = None  # when the sweep looks for objects that no row names; None: there are none
    reservation: dict[str, Any] | None = None  # the job's reserved call slot, while it waits for it
    refused_at: datetime | None = None  # since when the vendor refuses the account: see `account_holds`
    ticket: int | None = None  # its number in the account's queue for a task slot
    in_flight: dict[str, Any] | None = None  # the task slot that its vendor task takes: {"slot", "until"}
    last_look: float | None = None  # when the last successful look was, in seconds after the trigger
    reported: list[float] | None = None  # [seconds after the trigger, percent]: the progress that this look reported
    life: str | None = None  # random, set at its creation: tells it from an earlier job of the same id
    files: list[File] = field(default_factory=list)
    rows_expire: bool = False  # some rows of this unfinished job have an expiry, because a retry crashed

    @property
    def key(self) -> str:
        """The job's idempotency key at the vendor: 32 hex digits, the same for each repetition of a trigger."""
        return hashlib.sha256(f"{self.job_id}:{self.trigger_round}".encode()).hexdigest()[:32]

    @property
    def in_doubt(self) -> bool:
        """A trigger was about to be sent and its answer was not stored."""
        return self.triggered_at is not None and not self.refs_complete

    @property
    def object_prefix(self) -> str:
        """The prefix of the keys of the job's objects: `{prefix}/{vendor}/{yyyy}/{mm}/{dd}/{job_id}/`."""
        day = self.created_at.strftime("%Y/%m/%d")
        return "/".join(part for part in (self.prefix.strip("/"), self.vendor, day, self.job_id) if part) + "/"

    def stem(self, file: File) -> str:
        """The key of a file's object without its extension, or the folder of an HLS video."""
        return self.object_prefix + file.file_id

    def left_to_clean(self, ended: datetime) -> datetime | None:
        """When the sweep should look for objects that no row names: once no call can run; None: there can be none."""
        clean = self.status is JobStatus.SUCCEEDED and self.generation == 1
        return None if clean or not self.files else ended + COPY_LIFETIME

    @property
    def manifest_key(self) -> str:
        """The key of the object beside the files of an ended job. It holds the job as the API shows it."""
        return f"{self.object_prefix}manifest.json"

    @property
    def holder(self) -> str:
        """The name under which the job holds slots. A retry changes it, so that a late release cannot free its slot."""
        return f"{self.job_id}-{self.fresh_since}"

    @property
    def waits_for(self) -> str | None:
        """What the job waits for: "account", "slot" (a task slot), "budget" (a call slot), "vendor", or None."""
        if self.status.terminal:
            return None
        if self.refused_at is not None or any(file.waits_for == "account" for file in self.files):
            return "account"
        if self.status is JobStatus.DOWNLOADING:
            return None
        if self.ticket is not None:
            return "slot"
        if self.reservation is not None:
            return "budget"
        return "vendor" if self.status is JobStatus.WAITING else None

    @property
    def triggered_lately(self) -> bool:
        """Whether its vendor work was started after the job was created or last retried."""
        since = self.deadline_at - timedelta(seconds=self.deadline_seconds)
        return self.triggered_at is not None and self.triggered_at >= since

    def next_generation_changes(self) -> dict[str, Any]:
        """What changes when another execution takes the job over. A trigger of the old execution may still run."""
        return {
            "generation": self.generation + 1,
            "waited_here": 0,
            "quiet_until": self.updated_at + CALL_LIFETIME if self.in_doubt else None,
        }

    def add_wait(self, waited_here: int) -> None:
        """Add what the execution has waited since its last step. A repeated step does not add it again."""
        self.waited += max(0, waited_here - self.waited_here)
        self.waited_here = waited_here

    def elapsed(self, now: datetime) -> float:
        """Seconds since the trigger: by the clock, or by the machine's waits if their sum is larger."""
        since = (now - self.triggered_at).total_seconds() if self.triggered_at else 0.0
        return max(since, float(self.waited))

    def waits_outrun_clock(self, now: datetime) -> bool:
        """Whether the machine's waits run faster than the clock (in tests): then a call should not wait itself."""
        since = (now - self.triggered_at).total_seconds() if self.triggered_at else 0.0
        return self.waited > 1.5 * since + 2

    def file(self, file_id: str) -> File | None:
        return next((f for f in self.files if f.file_id == file_id), None)

    @property
    def all_warnings(self) -> list[dict[str, str]]:
        """The warnings of the job, and those of its files with their `file_id`: each once, at most MAX_WARNINGS, and at
        most WARNINGS_BYTES.
        """
        of_files = [{**given, "file_id": file.file_id} for file in self.files for given in file.warnings]
        found: list[dict[str, str]] = []
        bytes_left = WARNINGS_BYTES
        for given in [*self.warnings, *of_files]:
            if given not in found and len(found) < MAX_WARNINGS:
                bytes_left -= len(json.dumps(given))
                if bytes_left < 0:
                    break
                found.append(given)
        return found

    def public(self) -> dict[str, Any]:
        """The job as the API shows it. All URLs lose their queries, because a query may hold a signature."""
        shown = {
            "job_id": self.job_id,
            "vendor": self.vendor,
            "account": self.account,
            "status": self.status.value,
            "progress": percent(self),
            "generation": self.generation,
            "request": self.request,
            "adopt": self.adopt,
            "vendor_refs": self.vendor_refs,
            "destination": {"prefix": self.prefix},
            "labels": self.labels,
            "on_uncertain": self.on_uncertain,
            "deadline_seconds": self.deadline_seconds,
            "source": self.source,
            "line": self.line,
            "files": [],
            "error": self.error.as_dict() if self.error else None,
            "warnings": self.all_warnings,
            "polls": self.polls,
            "poll_errors": self.poll_errors,
            "trigger_attempts": self.trigger_attempts,
            "trigger_errors": self.trigger_errors,
            "waits_for": self.waits_for,
            "next_poll_at": iso(self.next_poll_at),
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at),
            "deadline_at": iso(self.deadline_at),
            "finished_at": iso(self.finished_at),
        }
        return {**bare(shown), "files": [f.public() for f in self.files]}


def outcome(files: Iterable[File]) -> JobStatus:
    """The status of a job whose files are all settled. A job without files has failed."""
    stored = [f.status is FileStatus.STORED for f in files]
    if stored and all(stored):
        return JobStatus.SUCCEEDED
    return JobStatus.PARTIAL if any(stored) else JobStatus.FAILED


def percent(job: Job) -> int:
    """The job's progress: the vendor's work is the first half, the copy is the second."""
    if job.status is JobStatus.SUCCEEDED:
        return 100
    shares = []
    for file in job.files:
        if file.status is FileStatus.STORED:
            shares.append(1.0)
        elif file.status in (FileStatus.READY, FileStatus.COPYING):
            shares.append(0.5 + 0.5 * min(1.0, file.bytes_copied / file.total if file.total else 0.0))
        else:
            shares.append(job.progress / 200)
    return min(99, round(100 * sum(shares) / len(shares))) if shares else job.progress // 2


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with milliseconds and a Z."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def job_id(now: datetime, seed: str | None = None) -> str:
    """A 26-character ULID (Crockford base 32, 128 bits).

    With a `seed` (an idempotency key, a schedule's firing) the id depends only on the seed. So a second creation of the
    same job finds its row, and no lookup, lock or second table is needed to create it once.
    """
    if seed is None:
        value = int(now.timestamp() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    else:
        value = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], "big")
    return "".join(_CROCKFORD[value >> shift & 31] for shift in range(125, -5, -5))
