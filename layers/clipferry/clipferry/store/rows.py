"""The items of the jobs table as PynamoDB models, with the attribute types that they need. Decides nothing.

There is one table. The items of a job share a partition key: the job, one item for each file, one for each tag. So do
the items of a batch: the batch, its tallies, one item for each chunk of lines. The attributes have the names of the
fields of `jobs.Job`, `jobs.File` and `batches.Batch`, so that a row and a value convert field by field. What jobs share
(call rates, slots, holds, learned durations) is stored in small items with partition keys of their own.

A row of an earlier release may lack attributes that were added later: `row_values` then uses the field's default.
"""

from __future__ import annotations

import json

from pynamodb.attributes import (
    Attribute,
    BooleanAttribute,
    DiscriminatorAttribute,
    JSONAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.constants import STRING
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model

from clipferry.batches import BatchStatus
from clipferry.jobs.problems import Problem
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.settings import CONNECT_MAX, READ_MAX, settings


class _Status(Attribute[JobStatus]):
    attr_type = STRING

    def serialize(self, value: JobStatus) -> str:
        return value.value

    def deserialize(self, value: str) -> JobStatus:
        return JobStatus(value)


class _FileStatus(Attribute[FileStatus]):
    attr_type = STRING

    def serialize(self, value: FileStatus) -> str:
        return value.value

    def deserialize(self, value: str) -> FileStatus:
        return FileStatus(value)


class _BatchStatus(Attribute[BatchStatus]):
    attr_type = STRING

    def serialize(self, value: BatchStatus) -> str:
        return value.value

    def deserialize(self, value: str) -> BatchStatus:
        return BatchStatus(value)


class _Problem(Attribute[Problem]):
    attr_type = STRING

    def serialize(self, value: Problem) -> str:
        return json.dumps(value.as_dict())

    def deserialize(self, value: str) -> Problem:
        return Problem(**json.loads(value))


class Whole(NumberAttribute):
    """A number attribute whose Python value is an int."""

    def deserialize(self, value: str) -> int:
        return int(float(value))


class Item(Model):
    """Any item of the table. A query over a partition returns each item as its own subclass."""

    class Meta:
        table_name = settings().table_name or "clipferry"
        connect_timeout_seconds = CONNECT_MAX
        read_timeout_seconds = READ_MAX

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    kind = DiscriminatorAttribute()
    created_key = UnicodeAttribute(null=True)
    due_at = Whole(null=True)
    expires_at = Whole(null=True)  # the table's TTL, epoch seconds


class JobRow(Item, discriminator="job"):
    vendor_shard = UnicodeAttribute()
    status_shard = UnicodeAttribute()
    due_shard = UnicodeAttribute(null=True)

    job_id = UnicodeAttribute()
    vendor = UnicodeAttribute()
    account = UnicodeAttribute()
    status = _Status()
    created_at = UTCDateTimeAttribute()
    updated_at = UTCDateTimeAttribute()
    deadline_at = UTCDateTimeAttribute()
    prefix = UnicodeAttribute()
    generation = Whole()
    fresh_since = Whole()
    request: JSONAttribute = JSONAttribute(null=True)
    adopt: JSONAttribute = JSONAttribute(null=True)
    on_uncertain = UnicodeAttribute()
    deadline_seconds = Whole()
    labels: JSONAttribute = JSONAttribute()
    fingerprint = UnicodeAttribute()
    source = UnicodeAttribute(null=True)
    line = Whole(null=True)
    vendor_refs: JSONAttribute = JSONAttribute()
    refs_complete = BooleanAttribute()
    trigger_round = Whole()
    triggered_at = UTCDateTimeAttribute(null=True)
    trigger_attempts = Whole()
    trigger_errors = Whole()
    retriggers = Whole()
    intent = UnicodeAttribute(null=True)
    life = UnicodeAttribute(null=True)
    quiet_until = UTCDateTimeAttribute(null=True)
    polls = Whole()
    poll_errors = Whole()
    unknown_looks = Whole()
    hint = Whole()
    waited = Whole()
    waited_here = Whole()
    progress = Whole()
    listed = BooleanAttribute()
    verdict = _Status(null=True)
    restarts = Whole()
    next_poll_at = UTCDateTimeAttribute(null=True)
    finished_at = UTCDateTimeAttribute(null=True)
    error = _Problem(null=True)
    warnings: JSONAttribute = JSONAttribute()
    event_sent = BooleanAttribute()
    clean_at = UTCDateTimeAttribute(null=True)
    reservation: JSONAttribute = JSONAttribute(null=True)
    refused_at = UTCDateTimeAttribute(null=True)
    ticket = Whole(null=True)
    in_flight: JSONAttribute = JSONAttribute(null=True)
    last_look = NumberAttribute(null=True)
    reported: JSONAttribute = JSONAttribute(null=True)


class FileRow(Item, discriminator="file"):
    file_id = UnicodeAttribute()
    ref = UnicodeAttribute()
    name = UnicodeAttribute()
    status = _FileStatus()
    media = UnicodeAttribute()
    size = Whole(null=True)
    declared = Whole(null=True)
    part_size = Whole(null=True)
    md5 = UnicodeAttribute(null=True)
    detail: JSONAttribute = JSONAttribute()
    bytes_copied = Whole()
    s3_uri = UnicodeAttribute(null=True)
    evidence: JSONAttribute = JSONAttribute(null=True)
    error = _Problem(null=True)
    warnings: JSONAttribute = JSONAttribute()
    attempts = Whole()
    reached = Whole()
    call_seconds = Whole()
    broken_at = UnicodeAttribute(null=True)
    checkpoint: JSONAttribute = JSONAttribute()
    generation = Whole()
    reservation: JSONAttribute = JSONAttribute(null=True)
    refused_at = UTCDateTimeAttribute(null=True)
    worker = UnicodeAttribute(null=True)
    life = UnicodeAttribute(null=True)


class TagRow(Item, discriminator="tag"):
    tag_shard = UnicodeAttribute()


class ClaimRow(Item, discriminator="claim"):
    """A value that was stored once under a name, so that a repeated call finds it (a schedule's firing)."""

    value = UnicodeAttribute()
    claimed_at = Whole()


class BatchRow(Item, discriminator="batch"):
    due_shard = UnicodeAttribute(null=True)

    batch_id = UnicodeAttribute()
    status = _BatchStatus()
    bucket = UnicodeAttribute()
    key = UnicodeAttribute()
    etag = UnicodeAttribute()
    size = Whole()
    format = UnicodeAttribute()
    created_at = UTCDateTimeAttribute()
    updated_at = UTCDateTimeAttribute()
    fingerprint = UnicodeAttribute()
    defaults: JSONAttribute = JSONAttribute()
    generation = Whole()
    restarts = Whole()
    layout: JSONAttribute = JSONAttribute(null=True)
    lines = Whole(null=True)
    chunks = Whole(null=True)
    report = UnicodeAttribute(null=True)
    error = _Problem(null=True)
    cancelled_at = UTCDateTimeAttribute(null=True)
    finished_at = UTCDateTimeAttribute(null=True)


class ChunkRow(Item, discriminator="chunk"):
    """The state of a chunk of a batch's lines. Written with the ids of its jobs before the first job is created."""

    number = Whole()
    job_ids: JSONAttribute = JSONAttribute()
    begun_at = UTCDateTimeAttribute()
    done = BooleanAttribute()
    cancelled = BooleanAttribute()
    reported = BooleanAttribute()


class TallyRow(Item, discriminator="tally"):
    """One shard of a batch's counters; an absent attribute means 0."""

    accepted = Whole(null=True)
    rejected = Whole(null=True)
    duplicates = Whole(null=True)
    succeeded = Whole(null=True)
    partial = Whole(null=True)
    failed = Whole(null=True)
    timed_out = Whole(null=True)
    cancelled_jobs = Whole(null=True)


class _Apart(Model):
    """An item that no query reads together with items of other models, so that it needs no discriminator."""

    class Meta(Item.Meta):
        pass

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)


class PaceRow(_Apart):
    """When an account's next call of an operation group may be made; the fields of `call_rates.Pace`."""

    next = NumberAttribute()
    shift = NumberAttribute()
    blocked = NumberAttribute()


class TaskSlotRow(_Apart):
    """A task slot, a waiting job, or the ticket counter of an account's queue; the fields of `task_slots`."""

    holder = UnicodeAttribute(null=True)
    until = Whole(null=True, attr_name="expires_at")  # the table's TTL too
    since = Whole(null=True)
    tickets = Whole(null=True)


class HoldRow(_Apart):
    """The hold of an account that its vendor refuses or whose secret cannot be read. Without `since`: no hold."""

    since = NumberAttribute(null=True)  # epoch seconds, like probe_at
    probe_at = NumberAttribute(null=True)
    problem = _Problem(null=True)
    expires_at = Whole(null=True)


class DurationsRow(_Apart):
    """The learned durations of one vendor and size class; the fields of `durations.Durations`."""

    tasks = Whole(attr_name="count")  # PynamoDB's Model has a method `count`
    surprise = NumberAttribute()
    bins: JSONAttribute = JSONAttribute()


class ByVendor(GlobalSecondaryIndex["Entry"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "by_vendor"
        projection = KeysOnlyProjection()

    vendor_shard = UnicodeAttribute(hash_key=True)
    created_key = UnicodeAttribute(range_key=True)


class ByStatus(GlobalSecondaryIndex["Entry"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "by_status"
        projection = KeysOnlyProjection()

    status_shard = UnicodeAttribute(hash_key=True)
    created_key = UnicodeAttribute(range_key=True)


class ByTag(GlobalSecondaryIndex["Entry"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "by_tag"
        projection = KeysOnlyProjection()

    tag_shard = UnicodeAttribute(hash_key=True)
    created_key = UnicodeAttribute(range_key=True)


class Due(GlobalSecondaryIndex["Entry"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "due"
        projection = KeysOnlyProjection()

    due_shard = UnicodeAttribute(hash_key=True)
    due_at = Whole(range_key=True)


class Entry(Model):
    """The keys of an item, as an index holds them. Not a subclass of Item: the indexes have no discriminator."""

    class Meta(Item.Meta):
        pass

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    created_key = UnicodeAttribute(null=True)
    due_at = Whole(null=True)

    by_vendor = ByVendor()
    by_status = ByStatus()
    by_tag = ByTag()
    due = Due()
