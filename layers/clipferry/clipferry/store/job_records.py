"""The repository of jobs, over the models of `rows.py`. `account_limits.py` holds what the jobs of an account share.

Each change of status is a write on the condition that the status and the generation are still as the caller read them.
So a late write fails instead of undoing a newer one (DynamoDB: "Condition expressions").

Listings read global secondary indexes that hold keys only. Each indexed value has SHARDS partitions, so that no
partition takes the writes of all jobs; a listing merges the partitions by creation time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import uuid4

from pynamodb.exceptions import PutError, TransactWriteError
from pynamodb.indexes import GlobalSecondaryIndex
from pynamodb.transactions import TransactWrite

from clipferry.jobs.file import File
from clipferry.jobs.job import Job, iso
from clipferry.jobs.statuses import FILE_MOVES, JOB_MOVES, FileStatus, JobStatus
from clipferry.store.job_rows import (
    created_key,
    due,
    expiry,
    file_as_read,
    file_row,
    index_keys,
    is_own,
    job_as_read,
    job_of,
    job_pk,
    job_row,
    job_values,
    job_with_files,
    label_texts,
    new_file_row,
    not_own,
    shards,
    tag_row,
    tags,
)
from clipferry.store.rows import ByStatus, ByTag, ByVendor, ClaimRow, Due, Entry, FileRow, Item, JobRow, TagRow
from clipferry.store.writes import Superseded as Superseded
from clipferry.store.writes import actions_of, condition_failed, connection, counted, retry_conflicts, update

TAG_LIFETIME = timedelta(days=400)  # of a batch's rows
PAGE_MAX = 100
LOOKED_AT_MAX = 1_000  # rows that one listing reads for filters which its index does not apply
ROWS_AT_ONCE = 50  # rows in one transaction, beside the job's own (DynamoDB allows 100 items and 4 MB)
LAST_MOMENT = timedelta(days=1)  # a retry within so short a time before the rows' expiry first postpones the expiry


class IllegalMove(Exception):
    """A change of status that the tables in `jobs/statuses.py` do not allow: always a defect, never a race."""


class NotFound(Exception):
    """There is no such job or batch."""


@dataclass(frozen=True)
class Listing:
    """Which jobs to list. The tag is read by an index; the other filters are compared with each row."""

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
        """Write a new job and its tags in one transaction. Returns the job in the table, and whether this call made it.

        Rows that an earlier job of the same id left behind do not become part of this job: they have another `life`.
        """
        job.life = uuid4().hex
        try:
            retry_conflicts(lambda: self._put(job))
        except (PutError, TransactWriteError) as error:
            if not condition_failed(error):
                raise
            return self.load(job.job_id), False
        return job, True

    def _put(self, job: Job) -> None:
        values: dict[str, Any] = {**job_values(job), **index_keys(job), **due(job, job.created_at)}
        row, absent = job_row(job, **values), JobRow.pk.does_not_exist()
        if not tags(job):
            row.save(condition=absent)
            return
        with TransactWrite(connection=connection()) as transaction:
            transaction.save(row, condition=absent)
            for tag in tags(job):
                transaction.save(tag_row(job, tag, expiry(job)))

    def load(self, job_id: str, *, with_files: bool = True) -> Job:
        """One job and its files: one query. Raises NotFound."""
        if not with_files:
            try:
                return job_of(JobRow.get(job_pk(job_id), "JOB", consistent_read=True))
            except JobRow.DoesNotExist:
                raise NotFound(job_id) from None
        items = list(Item.query(job_pk(job_id), consistent_read=True))
        row = next((item for item in items if isinstance(item, JobRow)), None)
        if row is None:
            raise NotFound(job_id)
        return job_with_files(row, [item for item in items if item is not row])

    def change(self, job: Job, now: datetime, status: JobStatus | None = None, **changes: Any) -> Job:
        """Write changes and the new `status`, if the row is still as read. Updates `job` in place.

        "As read" means the same status, generation and intent of the last trigger. So when two calls trigger one job
        at once, or store the outcome, one of them fails. The fields in _HELD (reserved slots and waits) are always
        written with the values that `job` has. Raises Superseded when the row is no longer as read, IllegalMove when
        the new status is not allowed.
        """
        target = status or job.status
        if target is not job.status and target not in JOB_MOVES[job.status]:
            raise IllegalMove(f"job {job.status} -> {target}")
        if target is job.status and job.status.terminal and set(changes) - _AFTER_THE_END:
            raise IllegalMove(f"a {job.status} job does not change")
        changes = {name: getattr(job, name) for name in _HELD} | changes | {"updated_at": now, "status": target}
        after = replace(job, **changes)
        written = {**changes, **due(after, now, new_execution=after.generation != job.generation)}
        if target is not job.status:
            written["status_shard"] = index_keys(after)["status_shard"]
        if target is not job.status or "event_sent" in changes:  # the row must outlive the duties of the job's end
            written["expires_at"] = expiry(after) if after.event_sent else None
        unchanged = job_as_read(job)
        if changes.get("intent"):  # the SDK repeats this write when its reply is lost: the repetition must not fail
            unchanged |= job_as_read(after)
        update(job_row(job), written, unchanged, counted(job, target))
        for name, value in changes.items():
            setattr(job, name, value)
        return job

    def postpone(self, job: Job, now: datetime, *, later: bool) -> None:
        """Let the sweep check the job again: `later`, after CHECKED_AFTER, or at its next run.

        Raises Superseded as `change` does.
        """
        at = due(job, now) if later or job.event_sent else {"due_at": int(now.timestamp())}
        update(job_row(job), at, job_as_read(job))

    def look_again(self, job: Job, now: datetime, at: datetime | None) -> None:
        """Store when the sweep looks again for objects that no row names. Raises Superseded as `change` does."""
        job.clean_at = at
        update(job_row(job), {"clean_at": at, **due(job, now)}, job_as_read(job))

    def load_at_its_end(self, job: Job, *, with_files: bool = True) -> Job:
        """The ended job as it is now. Raises Superseded when it has been retried, NotFound when it was deleted."""
        fresh = self.load(job.job_id, with_files=with_files)
        if (fresh.status, fresh.generation, fresh.life) != (job.status, job.generation, job.life):
            raise Superseded(job.job_id)
        return fresh

    def list(self, listing: Listing, limit: int, before: str | None = None) -> tuple[list[Job], str | None]:
        """Jobs without their files, newest first, and the key from which the next page continues. Never a Scan.

        A page may hold fewer than `limit` jobs, or none, although more follow: a call reads at most LOOKED_AT_MAX rows.
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
            wanted = ((key, rows.get(key.rsplit("#", 1)[1])) for key in page)
            found += [job for key, job in wanted if job and created_key(job) == key and _matches(job, listing)]
        return found, last

    def _created_keys(self, listing: Listing, before: str | None) -> Iterator[str]:
        """The `created_key` of each candidate, newest first, merged over the index's shards."""
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
        if low > high:  # DynamoDB refuses a BETWEEN with such bounds
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
        keys = [(job_pk(job_id), "JOB") for job_id in job_ids]
        return {row.pk.removeprefix("JOB#"): job_of(row) for row in JobRow.batch_get(keys, consistent_read=True)}

    def due(self, now: datetime) -> Iterator[str]:
        """Ids of unfinished jobs whose row has not changed for too long, oldest first."""
        streams = [
            ((row.due_at, row.pk) for row in Entry.due.query(shard, Due.due_at <= int(now.timestamp())))
            for shard in shards("due")
        ]
        return (pk.removeprefix("JOB#") for _, pk in heapq.merge(*streams))

    def oldest_unfinished(self) -> datetime | None:
        """When the oldest unfinished job was created. One short query for each shard of each unfinished status."""
        oldest = []
        live = [status for status in JobStatus if not status.terminal]
        for value in (f"{vendor}#{status}" for vendor in self.vendors for status in live):
            for shard in shards(value):
                oldest += [entry.created_key for entry in Entry.by_status.query(shard, limit=1)]
        return datetime.fromisoformat(min(oldest).split("#")[0]) if oldest else None

    # -- files ------------------------------------------------------------------------------------------------

    def add_files(self, job: Job, files: Sequence[File]) -> None:
        """Write files that the vendor has listed, if the job is still as read.

        Raises Superseded when it is not, or when another call has written one of these file numbers first.
        """
        for first in range(0, len(files), ROWS_AT_ONCE):
            some = files[first : first + ROWS_AT_ONCE]
            self._write_rows(job, [_save(new_file_row(job, file), not_own(job)) for file in some])
            job.files += some

    def change_file(self, job: Job, file: File, status: FileStatus | None = None, **changes: Any) -> File:
        """Write changes and the new `status`, if the file is still as read. Updates `file` in place.

        "As read" means the same status, generation and worker (the call that copies). Raises Superseded, IllegalMove.
        """
        target = status or file.status
        if target is not file.status and target not in FILE_MOVES[file.status]:
            raise IllegalMove(f"file {file.status} -> {target}")
        changes = {"reservation": file.reservation, "refused_at": file.refused_at} | changes | {"status": target}
        unchanged = file_as_read(job, file)
        if changes.get("worker"):  # the SDK repeats this write when its reply is lost: the repetition must not fail
            unchanged |= file_as_read(job, replace(file, **changes))
        update(file_row(job, file), changes, unchanged)
        for name, value in changes.items():
            setattr(file, name, value)
        return file

    def open_files(self, job: Job, files: Sequence[File]) -> None:
        """After a retry: reset these files, if the job and each of the files are still as read.

        The same transaction checks the job, so that the files of a job that has ended are not reset. Raises Superseded.
        """
        for first in range(0, len(files), ROWS_AT_ONCE):
            opened = [(file, file.opened_changes(job.generation)) for file in files[first : first + ROWS_AT_ONCE]]
            self._write_rows(job, [_update_file(job, file, changes) for file, changes in opened])
            for file, changes in opened:
                for name, value in changes.items():
                    setattr(file, name, value)

    # -- the rows' lives --------------------------------------------------------------------------------------

    def expire_rows(self, job: Job) -> None:
        """Give the rows of the job's files and tags the expiry of the job's own row; none while it is unfinished.

        Rows of an earlier job of the same id get it too. Each write has the condition that the job is as read. So a
        late end does not expire the rows of a retried job, and a late retry does not keep the rows of an ended job.
        Raises Superseded when the job is not as read.
        """
        self._expire(job, expiry(job))
        job.rows_expire = False

    def keep_rows(self, job: Job, now: datetime) -> None:
        """Before a retry: postpone the expiry of the rows, so that none is deleted before `expire_rows` runs.

        Raises Superseded.
        """
        at = expiry(job)
        if at is not None and at < (now + LAST_MOMENT).timestamp():
            self._expire(job, int((now + 2 * LAST_MOMENT).timestamp()))

    def _expire(self, job: Job, at: int | None) -> None:
        rows = [row for row in Item.query(job_pk(job.job_id), consistent_read=True) if not isinstance(row, JobRow)]
        own = [row for row in rows if is_own(job, row)]
        there = {row.sk for row in own}
        remains = [row for row in rows if row.sk not in there and row.expires_at is None]
        writes = [_update_expiry(row, at) for row in [*own, *remains] if row.expires_at != at]
        writes += [_save(row) for row in (tag_row(job, tag, at) for tag in tags(job)) if row.sk not in there]
        for first in range(0, len(writes), ROWS_AT_ONCE):
            self._write_rows(job, writes[first : first + ROWS_AT_ONCE])

    @staticmethod
    def _write_rows(job: Job, writes: Sequence[Callable[[TransactWrite], None]]) -> None:
        """Write all of them if the job is as read, or none. Raises Superseded."""

        def write() -> None:
            with TransactWrite(connection=connection()) as transaction:
                transaction.condition_check(JobRow, job_pk(job.job_id), "JOB", condition=job_as_read(job))
                for one in writes:
                    one(transaction)

        try:
            retry_conflicts(write)
        except TransactWriteError as error:
            if not condition_failed(error):
                raise
            raise Superseded(job.job_id) from error

    # -- claims -----------------------------------------------------------------------------------------------

    def claim(self, name: str, value: str, now: datetime, *, holds: float) -> str:
        """Store `value` under a name, unless a value was stored within the last `holds` seconds. The stored value."""
        at = int(now.timestamp())
        row = ClaimRow(f"CLAIM#{name}", "CLAIM", value=value, claimed_at=at, expires_at=at + int(holds) + 86_400)
        absent = ClaimRow.claimed_at.does_not_exist() | ClaimRow.value.does_not_exist()
        over = absent | (ClaimRow.claimed_at < at - int(holds))
        try:
            row.save(condition=over)
        except PutError as error:
            if not condition_failed(error):
                raise
            return str(ClaimRow.get(f"CLAIM#{name}", "CLAIM", consistent_read=True).value)
        return value


_AFTER_THE_END = {"event_sent", "clean_at", "error", "warnings"}
_HELD = ("reservation", "refused_at", "ticket", "in_flight", "waited", "waited_here")


def _save(row: FileRow | TagRow, condition: Any = None) -> Callable[[TransactWrite], None]:
    return lambda transaction: transaction.save(row, condition=condition)


def _update_file(job: Job, file: File, changes: dict[str, Any]) -> Callable[[TransactWrite], None]:
    row, actions, unchanged = file_row(job, file), actions_of(FileRow, changes), file_as_read(job, file)
    return lambda transaction: transaction.update(row, actions=actions, condition=unchanged)


def _update_expiry(row: Item, at: int | None) -> Callable[[TransactWrite], None]:
    """Set the expiry of a row that exists. A row that DynamoDB has deleted meanwhile is not created again."""
    action = Item.expires_at.remove() if at is None else Item.expires_at.set(at)
    return lambda transaction: transaction.update(row, actions=[action], condition=Item.pk.exists())


def _matches(job: Job, listing: Listing) -> bool:
    """Whether the job passes the filters; the index that was read applies only some of them."""
    return (
        (not listing.vendor or job.vendor == listing.vendor)
        and (not listing.status or job.status is listing.status)
        and (not listing.tag or listing.tag in tags(job))
        and set(listing.labels) <= set(label_texts(job))
    )


def utc_now() -> datetime:
    return datetime.now(UTC)
