"""The jobs table: the repository over the models of `rows.py`. This package alone knows DynamoDB; what the jobs of
an account share is in `account_limits.py`.

Every move is a conditional write on the status and the generation that the caller read, so that a late writer meets
a condition and fails instead of undoing what happened since (DynamoDB: "Condition expressions").

Listings read four global secondary indexes that hold keys only. Every index partition is one of SHARDS shards of
its value, so that no partition takes the writes of all jobs; a listing merges the shards by creation time.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from pynamodb.exceptions import PutError, TransactWriteError
from pynamodb.expressions.condition import Condition
from pynamodb.indexes import GlobalSecondaryIndex
from pynamodb.transactions import TransactWrite

from clipferry.jobs import CALL_LIFETIME, FILE_MOVES, JOB_MOVES, File, FileStatus, Job, JobStatus, iso
from clipferry.settings import settings
from clipferry.store.rows import (
    ByStatus,
    ByTag,
    ByVendor,
    ClaimRow,
    Due,
    Entry,
    FileRow,
    Item,
    JobRow,
    TagRow,
)
from clipferry.store.writes import Superseded as Superseded
from clipferry.store.writes import condition_failed, connection, counted, patiently, update

SHARDS = 4  # of every index value: 4 × 1,000 writes a second (DynamoDB's limit of one partition)
TAG_LIFETIME = timedelta(days=400)  # of a batch's rows
PAGE_MAX = 100
LOOKED_AT_MAX = 1_000  # rows one listing reads for filters that its index does not decide


class IllegalMove(Exception):
    """A move that is not in the table of `jobs.py`: a defect, never a race."""


class NotFound(Exception):
    """No such job, or batch."""


def _job_pk(job_id: str) -> str:
    return f"JOB#{job_id}"


def shard_of(job_id: str) -> int:
    return zlib.crc32(job_id.encode()) % SHARDS


def shards(value: str) -> list[str]:
    return [f"{value}#{n}" for n in range(SHARDS)]


@dataclass(frozen=True)
class Listing:
    """Which jobs to list: at most one of the tag-like filters is read by index, the rest by comparing."""

    vendor: str | None = None
    status: JobStatus | None = None
    tag: str | None = None  # "label#k=v", "schedule#name", "batch#id"
    labels: tuple[str, ...] = field(default=(), repr=False)  # "k=v": all that a job must have, the tag's too
    since: datetime | None = None
    until: datetime | None = None


class Jobs:
    """The repository. `vendors` is the registry's names: a listing of everything merges their partitions."""

    def __init__(self, vendors: Sequence[str]) -> None:
        self.vendors = tuple(vendors)

    # -- jobs -------------------------------------------------------------------------------------------------

    def create(self, job: Job) -> tuple[Job, bool]:
        """Write a new job and its tags in one transaction; (the job in the table, whether this call made it)."""
        try:
            patiently(lambda: self._put(job))
        except (PutError, TransactWriteError) as error:
            if not condition_failed(error):
                raise
            return self.load(job.job_id), False
        return job, True

    def _put(self, job: Job) -> None:
        values: dict[str, Any] = {**_job_values(job), **_index_keys(job), **_due(job, job.created_at)}
        row, absent = JobRow(_job_pk(job.job_id), "JOB", **values), JobRow.pk.does_not_exist()
        tags = _tags(job)
        if not tags:
            row.save(condition=absent)
            return
        with TransactWrite(connection=connection()) as transaction:
            transaction.save(row, condition=absent)
            for tag in tags:
                transaction.save(_tag_row(job, tag))

    def load(self, job_id: str, *, with_files: bool = True) -> Job:
        """One job and its files: one query. Raises NotFound."""
        if not with_files:
            try:
                return _job(JobRow.get(_job_pk(job_id), "JOB", consistent_read=True))
            except JobRow.DoesNotExist:
                raise NotFound(job_id) from None
        job, files = None, []
        for row in Item.query(_job_pk(job_id), consistent_read=True):
            if isinstance(row, JobRow):
                job = _job(row)
            elif isinstance(row, FileRow):
                files.append(_file(row))
        if job is None:
            raise NotFound(job_id)
        job.files = sorted(files, key=lambda f: f.number)
        return job

    def change(self, job: Job, now: datetime, status: JobStatus | None = None, **changes: Any) -> Job:
        """Write changes, and a move if `status` differs, if the row is still as read. Updates `job` in place.

        As read: with its status, its generation and the intent of its last trigger, so that of two calls that are about
        to trigger one job at once, or to write down what came of it, one fails. What the job holds of its account's
        limits, and has waited, is written along as `job` has it. Raises Superseded when the row has moved on,
        IllegalMove when the move is not in the table.
        """
        target = status or job.status
        if target is not job.status and target not in JOB_MOVES[job.status]:
            raise IllegalMove(f"job {job.status} -> {target}")
        if (
            target is job.status
            and job.status.terminal
            and set(changes) - {"event_sent", "clean_at", "error", "warnings"}
        ):
            raise IllegalMove(f"a {job.status} job does not change")
        changes = {name: getattr(job, name) for name in _HELD} | changes | {"updated_at": now, "status": target}
        after = {**_job_values(job), **changes}
        merged = Job(**{k: v for k, v in after.items() if k in _JOB_FIELDS}, files=job.files)
        written = {**changes, **_due(merged, now, handed_on=merged.generation != job.generation)}
        if target is not job.status:
            written["status_shard"] = _index_keys(merged)["status_shard"]
            written["expires_at"] = _expiry(merged)
        unchanged = _as_read(job)
        if changes.get("intent"):  # the SDK may repeat this very write, when its answer was lost
            unchanged |= _as_read(merged)
        update(JobRow(_job_pk(job.job_id), "JOB"), written, unchanged, counted(job, target))
        for name, value in changes.items():
            setattr(job, name, value)
        return job

    def postpone(self, job: Job, now: datetime, *, patiently: bool) -> None:
        """Let the sweep come back to the job: after its patience, or next time. Raises Superseded as `change` does."""
        due = _due(job, now) if patiently or job.event_sent else {"due_at": int(now.timestamp())}
        update(JobRow(_job_pk(job.job_id), "JOB"), due, _as_read(job))

    def look_again(self, job: Job, now: datetime, at: datetime | None) -> None:
        """When the sweep looks for objects of the ended job that no row names. Raises Superseded as `change` does."""
        job.clean_at = at
        update(JobRow(_job_pk(job.job_id), "JOB"), {"clean_at": at, **_due(job, now)}, _as_read(job))

    def list(self, listing: Listing, limit: int, before: str | None = None) -> tuple[list[Job], str | None]:
        """Jobs newest first, without their files, and the key to go on from. Never a Scan.

        A page may be short of `limit`, even empty, though more follow: a call reads at most LOOKED_AT_MAX candidates.
        """
        found: list[Job] = []
        keys = self._created_keys(listing, before)
        last, looked_at = None, 0
        while len(found) < limit and looked_at < LOOKED_AT_MAX:
            page = list(islice(keys, limit - len(found)))
            if not page:
                return found, None
            last, looked_at = page[-1], looked_at + len(page)
            rows = self._rows(key.rsplit("#", 1)[1] for key in page)
            wanted = (rows.get(key.rsplit("#", 1)[1]) for key in page)
            found += [job for job in wanted if job and _matches(job, listing)]
        return found, last

    def _created_keys(self, listing: Listing, before: str | None) -> Iterator[str]:
        """`created_key`s of the candidates, newest first, merged over the index's shards."""
        vendors = [listing.vendor] if listing.vendor else list(self.vendors)
        index: GlobalSecondaryIndex[Entry]
        if listing.tag:
            index, column, values = Entry.by_tag, ByTag.created_key, [listing.tag]
        elif listing.status:
            index, column = Entry.by_status, ByStatus.created_key
            values = [f"{vendor}#{listing.status}" for vendor in vendors]
        else:
            index, column, values = Entry.by_vendor, ByVendor.created_key, vendors
        low = iso(listing.since) or "0"
        high = min(before or "~", (iso(listing.until) or "~"))
        if low > high:  # DynamoDB refuses such a BETWEEN
            return iter(())
        streams = [
            (
                row.created_key
                for row in index.query(shard, column.between(low, high), scan_index_forward=False, page_size=PAGE_MAX)
            )
            for value in values
            for shard in shards(value)
        ]
        return (key for key in heapq.merge(*streams, reverse=True) if key != before)

    def _rows(self, job_ids: Iterable[str]) -> dict[str, Job]:
        keys = [(_job_pk(job_id), "JOB") for job_id in job_ids]
        return {row.job_id: _job(row) for row in JobRow.batch_get(keys, consistent_read=True)}

    def due(self, now: datetime) -> Iterator[str]:
        """Ids of unfinished jobs that nothing has touched for longer than it should take, oldest first."""
        streams = [
            ((row.due_at, row.pk) for row in Entry.due.query(shard, Due.due_at <= int(now.timestamp())))
            for shard in shards("due")
        ]
        return (pk.removeprefix("JOB#") for _, pk in heapq.merge(*streams))

    def oldest_unfinished(self) -> datetime | None:
        """When the oldest job that has not ended was created: one short query a partition of each live status."""
        oldest = []
        live = [status for status in JobStatus if not status.terminal]
        for value in (f"{vendor}#{status}" for vendor in self.vendors for status in live):
            for shard in shards(value):
                oldest += [entry.created_key for entry in Entry.by_status.query(shard, limit=1)]
        return datetime.fromisoformat(min(oldest).split("#")[0]) if oldest else None

    # -- files ------------------------------------------------------------------------------------------------

    def add_file(self, job: Job, file: File) -> File:
        """Record a file the vendor listed. Raises Superseded when another run recorded that number first."""
        row = FileRow(_job_pk(job.job_id), f"FILE#{file.file_id}", **_file_values(file))
        try:
            row.save(condition=FileRow.pk.does_not_exist())
        except PutError as error:
            if not condition_failed(error):
                raise
            raise Superseded(f"{job.job_id}/{file.file_id}") from error
        job.files.append(file)
        return file

    def change_file(self, job: Job, file: File, status: FileStatus | None = None, **changes: Any) -> File:
        """Write changes, and a move if `status` differs, if the file is still as read. Updates `file` in place."""
        target = status or file.status
        if target is not file.status and target not in FILE_MOVES[file.status]:
            raise IllegalMove(f"file {file.status} -> {target}")
        changes = {"reservation": file.reservation, "refused_at": file.refused_at} | changes | {"status": target}
        unchanged = (FileRow.status == file.status) & (FileRow.generation == file.generation)
        written = {"media" if k == "kind" else k: v for k, v in changes.items()}
        update(FileRow(_job_pk(job.job_id), f"FILE#{file.file_id}"), written, unchanged)
        for name, value in changes.items():
            setattr(file, name, value)
        return file

    def expire_files(self, job: Job) -> None:
        """The rows of its files and tags go when the job's does: at the end of its retention, or not while it lives."""
        for file in job.files:
            row = FileRow(_job_pk(job.job_id), f"FILE#{file.file_id}")
            update(row, {"expires_at": _expiry(job)}, FileRow.pk.exists())
        for tag in _tags(job):
            _tag_row(job, tag).save()

    # -- claims -----------------------------------------------------------------------------------------------

    def claim(self, name: str, value: str, now: datetime, *, holds: float) -> str:
        """The value first claimed under a name within the last `holds` seconds: ours if nobody's was."""
        at = int(now.timestamp())
        row = ClaimRow(f"CLAIM#{name}", "CLAIM", value=value, claimed_at=at, expires_at=at + int(holds) + 86_400)
        try:
            row.save(condition=ClaimRow.pk.does_not_exist() | (ClaimRow.claimed_at < at - int(holds)))
        except PutError as error:
            if not condition_failed(error):
                raise
            return str(ClaimRow.get(f"CLAIM#{name}", "CLAIM", consistent_read=True).value)
        return value


_JOB_FIELDS = {f.name for f in fields(Job)} - {"files"}
_FILE_FIELDS = {f.name for f in fields(File)}
_AFTER_THE_END = {"event_sent", "clean_at", "error", "warnings"}
_HELD = ("reservation", "refused_at", "ticket", "in_flight", "waited", "waited_here")
#: Seconds after which the sweep looks at a job that should have moved by itself, by status: a look costs one
#: DescribeExecution where all is well. Download calls take up to 15 minutes each without touching the job's row.
_PATIENCE = {JobStatus.QUEUED: 60, JobStatus.TRIGGERING: 180, JobStatus.WAITING: 180, JobStatus.DOWNLOADING: 600}


def _job(row: JobRow) -> Job:
    return Job(**{name: getattr(row, name) for name in _JOB_FIELDS})


def _file(row: FileRow) -> File:
    values: dict[str, Any] = {name: row.media if name == "kind" else getattr(row, name) for name in _FILE_FIELDS}
    return File(**values)


def _job_values(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in _JOB_FIELDS}


def _file_values(file: File) -> dict[str, Any]:
    return {"media" if name == "kind" else name: getattr(file, name) for name in _FILE_FIELDS}


def created_key(job: Job) -> str:
    """Where the job stands in every listing."""
    return f"{iso(job.created_at)}#{job.job_id}"


def _index_keys(job: Job) -> dict[str, str]:
    shard = shard_of(job.job_id)
    return {
        "created_key": created_key(job),
        "vendor_shard": f"{job.vendor}#{shard}",
        "status_shard": f"{job.vendor}#{job.status}#{shard}",
    }


def _tag_row(job: Job, tag: str) -> TagRow:
    return TagRow(
        _job_pk(job.job_id),
        f"TAG#{tag}",
        tag_shard=f"{tag}#{shard_of(job.job_id)}",
        created_key=created_key(job),
        expires_at=_expiry(job),
    )


def _expiry(job: Job) -> int | None:
    """Epoch seconds at which the job's items may go; None while it lives."""
    if not job.status.terminal or job.finished_at is None:
        return None
    return int(job.finished_at.timestamp()) + settings().retention_days * 86_400


def _due(job: Job, now: datetime, *, handed_on: bool = False) -> dict[str, Any]:
    """When the sweep should look at the job if nothing else did; no key once nothing is left to do for it."""
    shard = f"due#{shard_of(job.job_id)}"
    if job.status.terminal and job.event_sent:
        if job.clean_at is None:
            return {"due_shard": None, "due_at": None}
        return {"due_shard": shard, "due_at": int(max(now, job.clean_at).timestamp())}
    base, patience = now, _PATIENCE.get(job.status, int(CALL_LIFETIME.total_seconds()))
    if handed_on:  # an execution that is yet to be started is missed as soon as a first one is
        patience = _PATIENCE[JobStatus.QUEUED]
    elif job.status in (JobStatus.QUEUED, JobStatus.TRIGGERING, JobStatus.WAITING) and job.next_poll_at:
        base = max(now, job.next_poll_at)
    return {"due_shard": shard, "due_at": int(base.timestamp()) + patience}


def _matches(job: Job, listing: Listing) -> bool:
    """What the index read for a listing does not decide by itself."""
    return (
        (not listing.vendor or job.vendor == listing.vendor)
        and (not listing.status or job.status is listing.status)
        and set(listing.labels) <= set(_label_texts(job))
    )


def _label_texts(job: Job) -> list[str]:
    return [f"{key}={value}" for key, value in job.labels.items()]


def _tags(job: Job) -> list[str]:
    """What it is listed by; each once, though two labels of an earlier release may read the same."""
    tags = [f"label#{text}" for text in _label_texts(job)]
    return list(dict.fromkeys([*tags, job.source] if job.source else tags))


def _as_read(job: Job) -> Condition:
    intent: Condition = JobRow.intent.does_not_exist() if job.intent is None else JobRow.intent == job.intent
    condition: Condition = (JobRow.status == job.status) & (JobRow.generation == job.generation) & intent
    return condition


def utc_now() -> datetime:
    return datetime.now(UTC)
