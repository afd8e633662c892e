"""Rows of earlier releases: an attribute that came later is absent in them, and stands for its field's default.

Each attribute of each model is taken out of a row that has them all, and the row is read as the code reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from datetime import UTC, datetime
from typing import Any

import pytest
from clipferry.batches import Batch, BatchStatus, Counts
from clipferry.jobs.file import File
from clipferry.jobs.job import Job
from clipferry.jobs.problems import Problem
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.pacing.call_rates import ANY, Pace, Rate
from clipferry.pacing.durations import Durations
from clipferry.pacing.task_slots import Held, Waiting
from clipferry.store.account_limits import AccountHolds, CallSlots, Hold, LearnedDurations, TaskSlots
from clipferry.store.batch_records import Batches, ChunkState
from clipferry.store.job_records import Jobs
from clipferry.store.row_values import IncompleteRow
from clipferry.store.rows import (
    BatchRow,
    ChunkRow,
    ClaimRow,
    DurationsRow,
    FileRow,
    HoldRow,
    Item,
    JobRow,
    PaceRow,
    TagRow,
    TallyRow,
    TaskSlotRow,
)
from pynamodb.models import Model

from tests.unit.steps.aws import client

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOW = NOON.timestamp()
SAID = Problem("A", "b", "c", "d")
JOB = Job(
    "0" * 26,
    "ims",
    "gate",
    JobStatus.DOWNLOADING,
    NOON,
    NOON,
    NOON,
    prefix="site",
    generation=4,
    fresh_since=3,
    request={"a": 1},
    adopt={"b": 2},
    on_uncertain="retrigger",
    deadline_seconds=7,
    labels={"site": "gate"},
    fingerprint="f",
    source="rule",
    line=5,
    vendor_refs={"ids": ["1"]},
    refs_complete=True,
    trigger_round=2,
    triggered_at=NOON,
    trigger_attempts=3,
    trigger_errors=2,
    retriggers=1,
    intent="i",
    quiet_until=NOON,
    polls=9,
    poll_errors=1,
    unknown_looks=2,
    hint=30,
    waited=11,
    waited_here=12,
    progress=50,
    listed=True,
    verdict=JobStatus.FAILED,
    restarts=1,
    next_poll_at=NOON,
    finished_at=NOON,
    error=SAID,
    warnings=[{"code": "A", "message": "b"}],
    event_sent=True,
    clean_at=NOON,
    reservation={"group": ANY, "slot": 1.0, "shift": 0.0, "calls": 1},
    refused_at=NOON,
    ticket=3,
    in_flight={"slot": 1, "until": 2},
    last_look=1.5,
    reported=[1.0, 2],
    life="l",
)
FILE = File(
    "f001",
    "ref",
    "name",
    FileStatus.COPYING,
    media="hls",
    size=1,
    declared=2,
    part_size=3,
    md5="m",
    detail={"a": 1},
    bytes_copied=4,
    s3_uri="s3://b/k",
    evidence={"level": "none"},
    error=SAID,
    warnings=[{"code": "A", "message": "b"}],
    attempts=2,
    reached=5,
    call_seconds=6,
    broken_at="1/2",
    checkpoint={"u": 1},
    generation=4,
    worker="w",
    reservation={"group": ANY, "slot": 1.0, "shift": 0.0, "calls": 1},
    refused_at=NOON,
)
BATCH = Batch(
    "1" * 26,
    BatchStatus.SUBMITTING,
    "bucket",
    "key",
    "etag",
    7,
    "jsonl",
    NOON,
    NOON,
    fingerprint="f",
    defaults={"a": 1},
    generation=3,
    restarts=1,
    layout={"b": 2},
    lines=9,
    chunks=2,
    report="r",
    error=SAID,
    cancelled_at=NOON,
    finished_at=NOON,
)
CHUNK = ChunkState(0, ["j"], NOON, done=True, cancelled=True, reported=True)

#: Attributes that are keys of the table, of its indexes, or its TTL, and the word that tells an item's kind: no value
#: is made of them.
NOT_READ = {"pk", "sk", "kind", "created_key", "vendor_shard", "status_shard", "due_shard", "due_at", "expires_at"}


def without(row: type[Model], pk: str, sk: str, attribute: str) -> None:
    """Take one attribute out of an item, as if it had never been written."""
    name = row.get_attributes()[attribute].attr_name
    client("dynamodb").update_item(
        TableName=Item.Meta.table_name,
        Key={"pk": {"S": pk}, "sk": {"S": sk}},
        UpdateExpression="REMOVE #name",
        ExpressionAttributeNames={"#name": name},
    )


def attributes(row: type[Model]) -> list[str]:
    return sorted(set(row.get_attributes()) - NOT_READ)


def default(field: Field[Any]) -> Any:
    """MISSING where every release has written it."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def check(written: Any, read: Callable[[], Any], name: str) -> None:
    """Without its attribute a field is its default, and all others are as they were; or the row cannot be read."""
    field = next(field for field in fields(written) if field.name == name)
    if default(field) is MISSING:
        with pytest.raises(IncompleteRow, match=name):
            read()
        return
    found = read()
    for other in fields(written):
        if other.compare:
            expected = default(field) if other.name == name else getattr(written, other.name)
            assert getattr(found, other.name) == expected, other.name


@pytest.mark.parametrize("attribute", attributes(JobRow))
@pytest.mark.parametrize("with_files", [True, False])
def test_a_job(jobs: Jobs, attribute: str, with_files: bool) -> None:
    row = JobRow(f"JOB#{JOB.job_id}", "JOB", vendor_shard="ims#0", status_shard="ims#DOWNLOADING#0")
    for name in attributes(JobRow):
        setattr(row, name, getattr(JOB, name))
    row.save()
    without(JobRow, row.pk, row.sk, attribute)
    check(JOB, lambda: jobs.load(JOB.job_id, with_files=with_files), attribute)


@pytest.mark.parametrize("attribute", attributes(FileRow))
def test_a_file(jobs: Jobs, attribute: str) -> None:
    job, _ = jobs.create(Job("0" * 26, "ims", "gate", JobStatus.QUEUED, NOON, NOON, NOON))
    jobs.add_files(job, [FILE])
    without(FileRow, f"JOB#{job.job_id}", "FILE#f001", attribute)
    if attribute == "life":
        assert jobs.load(job.job_id).files == [], "the job names its life, so a file that does not is another's"
        return
    if default(next(field for field in fields(FILE) if field.name == attribute)) is MISSING:
        with pytest.raises(IncompleteRow, match=attribute):
            jobs.load(job.job_id)
        return
    check(FILE, lambda: jobs.load(job.job_id).files[0], attribute)


@pytest.mark.parametrize("attribute", attributes(FileRow))
def test_a_file_is_changed_whatever_it_lacks(jobs: Jobs, attribute: str) -> None:
    """The condition of a write is that the row is as read, and what is absent was read as its default."""
    job, _ = jobs.create(Job("0" * 26, "ims", "gate", JobStatus.QUEUED, NOON, NOON, NOON))
    jobs.add_files(job, [File("f001", "ref", "name")])
    without(FileRow, f"JOB#{job.job_id}", "FILE#f001", attribute)
    if attribute in ("file_id", "ref", "name", "life"):
        return
    jobs.change_file(job, jobs.load(job.job_id).files[0], FileStatus.READY)
    assert jobs.load(job.job_id).files[0].status is FileStatus.READY


@pytest.mark.parametrize("attribute", attributes(JobRow))
def test_a_job_is_changed_whatever_it_lacks(jobs: Jobs, attribute: str) -> None:
    job, _ = jobs.create(Job("0" * 26, "ims", "gate", JobStatus.QUEUED, NOON, NOON, NOON))
    without(JobRow, f"JOB#{job.job_id}", "JOB", attribute)
    if default(next(field for field in fields(job) if field.name == attribute)) is MISSING:
        return
    found = jobs.load(job.job_id)
    jobs.change(found, NOON, JobStatus.TRIGGERING, intent="new")
    jobs.add_files(found, [File("f001", "ref", "name")])
    jobs.change(found, NOON, JobStatus.FAILED, finished_at=NOON)
    jobs.expire_rows(found)
    assert jobs.load(job.job_id).status is JobStatus.FAILED


def test_a_job_of_the_release_before_keeps_its_files(jobs: Jobs) -> None:
    """Neither its row nor theirs names a life."""
    job, _ = jobs.create(Job("0" * 26, "ims", "gate", JobStatus.QUEUED, NOON, NOON, NOON))
    jobs.add_files(job, [FILE])
    without(JobRow, f"JOB#{job.job_id}", "JOB", "life")
    without(FileRow, f"JOB#{job.job_id}", "FILE#f001", "life")
    old = jobs.load(job.job_id)
    assert [file.file_id for file in old.files] == ["f001"]
    jobs.add_files(old, [File("f002", "other", "name")])
    jobs.change_file(old, old.files[0], error=None)
    assert [file.file_id for file in jobs.load(job.job_id).files] == ["f001", "f002"]


@pytest.mark.parametrize("attribute", attributes(BatchRow))
def test_a_batch(jobs: Jobs, attribute: str) -> None:
    batches = Batches()
    batches.create(BATCH)
    without(BatchRow, f"BATCH#{BATCH.batch_id}", "BATCH", attribute)
    check(BATCH, lambda: batches.load(BATCH.batch_id), attribute)
    if default(next(field for field in fields(BATCH) if field.name == attribute)) is not MISSING:
        batches.change(batches.load(BATCH.batch_id), NOON, BatchStatus.SUBMITTED)


@pytest.mark.parametrize("attribute", attributes(ChunkRow))
def test_a_chunk(jobs: Jobs, attribute: str) -> None:
    batches, pk, sk = Batches(), f"BATCH#{BATCH.batch_id}", "CHUNK#000000"
    ChunkRow(pk, sk, **{name: getattr(CHUNK, name) for name in attributes(ChunkRow)}).save()
    without(ChunkRow, pk, sk, attribute)
    check(CHUNK, lambda: batches.chunk(BATCH.batch_id, 0), attribute)


def test_a_chunk_that_does_not_say_whether_it_is_done_is_not(jobs: Jobs) -> None:
    batches = Batches()
    assert batches.begin(BATCH, 0, ["j"], NOON)
    without(ChunkRow, f"BATCH#{BATCH.batch_id}", "CHUNK#000000", "done")
    assert batches.begin(BATCH, 0, ["j"], NOON)


@pytest.mark.parametrize("attribute", attributes(TallyRow))
def test_a_tally(jobs: Jobs, attribute: str) -> None:
    batches, sk = Batches(), "BATCH#tally#00"
    batches.create(BATCH)
    counted = {name: 2 for name in attributes(TallyRow)}
    TallyRow(f"BATCH#{BATCH.batch_id}", sk, **counted).save()
    without(TallyRow, f"BATCH#{BATCH.batch_id}", sk, attribute)
    counts: Counts = batches.load_with_counts(BATCH.batch_id)[1]
    total = counts.accepted + counts.rejected + counts.duplicates + sum(counts.ended.values())
    assert total == 2 * (len(counted) - 1)


@pytest.mark.parametrize("attribute", attributes(PaceRow))
def test_an_accounts_pace(jobs: Jobs, attribute: str) -> None:
    rate, budgets = Rate(60, 60.0), CallSlots()
    PaceRow("BUDGET#gate", ANY, next=NOW + 30, shift=5.0, blocked=NOW + 20).save()
    without(PaceRow, "BUDGET#gate", ANY, attribute)
    known = {"next": NOW + 30, "shift": 5.0, "blocked": NOW + 20} | {attribute: 0.0}
    assert budgets.read("gate", ANY) == Pace(**known)
    assert budgets.reserve("gate", ANY, rate, NOW).slot >= NOW
    budgets.push_back("gate", ANY, NOW, 60)
    assert budgets.read("gate", ANY).blocked == NOW + 60


@pytest.mark.parametrize("attribute", attributes(TaskSlotRow))
def test_a_slot_and_a_place_in_the_line(jobs: Jobs, attribute: str) -> None:
    line, later = TaskSlots(), int(NOW) + 100
    for sk in ("SLOT#000000", "WAIT#000000000001"):
        TaskSlotRow("INFLIGHT#gate", sk, holder="a", until=later, since=int(NOW), tickets=1).save()
        without(TaskSlotRow, "INFLIGHT#gate", sk, attribute)
    known: dict[str, Any] = {"holder": "a", "until": later, "since": int(NOW)}
    known |= {"holder": {"holder": ""}, "until": {"until": 0}, "since": {"since": None}}.get(attribute, {})
    assert line.look("gate", 1) == ([Held(0, **known)], [Waiting(1, known["holder"], known["until"])])
    assert line.take("gate", 0, "b", NOW, later) is (attribute == "until")


def test_a_line_without_its_count_of_tickets_begins_anew(jobs: Jobs) -> None:
    TaskSlotRow("INFLIGHT#gate", "TAIL").save()
    assert TaskSlots().draw("gate") == 1


@pytest.mark.parametrize("attribute", attributes(HoldRow))
def test_an_account_on_hold(jobs: Jobs, attribute: str) -> None:
    HoldRow("ACCOUNT#ims#gate", "HOLD", since=NOW, probe_at=NOW + 30, problem=SAID).save()
    without(HoldRow, "ACCOUNT#ims#gate", "HOLD", attribute)
    expected = Hold(NOW, 0.0, SAID) if attribute == "probe_at" else None
    hold = AccountHolds().read("ims", "gate")
    assert hold == expected
    if hold:
        assert AccountHolds().take_probe("ims", "gate", hold, NOW + 60)


@pytest.mark.parametrize("attribute", attributes(DurationsRow))
def test_learned_durations(jobs: Jobs, attribute: str) -> None:
    known = Durations().add(40, after=30).as_dict()
    row = {"tasks": known["count"], "surprise": 0.5, "bins": known["bins"]}
    DurationsRow("DURATIONS#ims#4", "DURATIONS", **row).save()
    without(DurationsRow, "DURATIONS#ims#4", "DURATIONS", attribute)
    name = "count" if attribute == "tasks" else attribute
    expected = {"count": known["count"], "surprise": 0.5, "bins": known["bins"], name: None}
    assert LearnedDurations().read("ims#4") == Durations.parse(expected)
    assert LearnedDurations().learn("ims#4", 40, after=30)


@pytest.mark.parametrize("attribute", attributes(ClaimRow))
def test_a_claim(jobs: Jobs, attribute: str) -> None:
    jobs.claim("name", "first", NOON, holds=60)
    without(ClaimRow, "CLAIM#name", "CLAIM", attribute)
    assert jobs.claim("name", "second", NOON, holds=60) == "second"


def test_every_model_is_among_these() -> None:
    def below(model: type[Model]) -> set[type[Model]]:
        return {model, *(found for sub in model.__subclasses__() for found in below(sub))}

    tried = {JobRow, FileRow, BatchRow, ChunkRow, TallyRow, PaceRow, TaskSlotRow, HoldRow, DurationsRow, ClaimRow}
    ours = {model for model in below(Model) if model.__module__ == "clipferry.store.rows"}
    assert {model.__name__ for model in ours - tried} == {"Item", "_Apart", "Entry", "TagRow"}
    assert attributes(TagRow) == ["tag_shard"], "which only its index reads"
