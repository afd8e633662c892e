"""One request of a user, with its files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from clipferry.jobs.file import File
from clipferry.jobs.problems import MAX_WARNINGS, WARNINGS_BYTES, Problem
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.redaction import bare

CALL_LIFETIME = timedelta(seconds=120)  # no call of a function that calls a vendor runs longer (its Timeout)
COPY_LIFETIME = timedelta(minutes=20)  # no call of the download function runs as long (its Timeout: 15 minutes)
DEADLINE_MIN = 10
DEADLINE_MAX = 30 * 86_400  # seconds; the machine's TimeoutSeconds stands one day above it


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
