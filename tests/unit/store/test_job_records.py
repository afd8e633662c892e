"""The jobs table: conditional moves, what rows hold, listings that lose nothing."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from clipferry.jobs.file import File
from clipferry.jobs.job import Job
from clipferry.jobs.problems import Problem
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.settings import settings as settings_of_functions
from clipferry.store.job_records import IllegalMove, Jobs, Listing, NotFound, Superseded
from clipferry.store.rows import Item, TagRow
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pynamodb.exceptions import TransactWriteError

from tests.unit.steps.aws import aws, client, table_properties

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def a_job(number: int = 1, **values: Any) -> Job:
    basis = {
        "job_id": f"{number:026d}",
        "vendor": "ims",
        "account": "ims",
        "status": JobStatus.QUEUED,
        "created_at": NOON + timedelta(milliseconds=number),
        "updated_at": NOON,
        "deadline_at": NOON + timedelta(hours=1),
    }
    return Job(**(basis | values))


def test_what_is_written_is_read(jobs: Jobs) -> None:
    job = a_job(
        request={"upload_urls": ["https://a.example/ü?x=1"]},
        labels={"site": "gate 3"},
        vendor_refs={"ids": ["1"]},
        deadline_seconds=3600,
        error=Problem("A", "b", "c", "d"),
        verdict=JobStatus.FAILED,
        triggered_at=NOON,
        quiet_until=NOON,
        source="rule",
        fingerprint="f" * 64,
    )
    assert jobs.create(job) == (job, True)
    file = File(
        "f001",
        "r",
        "näme.mp4",
        size=2**43,
        detail={"a": [1]},
        checkpoint={"u": "x"},
        error=Problem("X", "y"),
        evidence={"level": "none"},
    )
    jobs.add_files(job, [file])
    assert jobs.load(job.job_id) == job
    assert jobs.load(job.job_id).files == [file]
    assert jobs.load(job.job_id, with_files=False).files == []


def test_rows_written_before_there_were_warnings_have_none(jobs: Jobs) -> None:
    job = a_job()
    jobs.create(job)
    jobs.add_files(job, [File("f001", "r", "n")])
    for sk in ("JOB", "FILE#f001"):
        row = {"pk": {"S": f"JOB#{job.job_id}"}, "sk": {"S": sk}}
        client("dynamodb").update_item(TableName=Item.Meta.table_name, Key=row, UpdateExpression="REMOVE warnings")

    old = jobs.load(job.job_id)

    assert (old.warnings, old.files[0].warnings, old.public()["warnings"]) == ([], [], [])


@pytest.mark.parametrize("with_files", [True, False])
def test_a_job_that_is_not_there(jobs: Jobs, with_files: bool) -> None:
    with pytest.raises(NotFound):
        jobs.load("0" * 26, with_files=with_files)


@pytest.mark.parametrize("labels", [{}, {"site": "gate"}])
def test_the_same_id_is_made_once(jobs: Jobs, labels: dict[str, str]) -> None:
    first, made = jobs.create(a_job(labels=labels))
    again, made_again = jobs.create(a_job(labels=labels, account="other"))
    assert (made, made_again) == (True, False)
    assert again == first


def test_two_clicks_at_once_do_not_break_each_other(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """DynamoDB cancels one of two transactions on the same item, for that moment only."""
    call, conflicts = BaseClient._make_api_call, iter([True, True])  # type: ignore[attr-defined]
    busy: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "busy"},
        "CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}],
    }

    def conflicting(client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        if operation == "TransactWriteItems" and next(conflicts, False):
            raise ClientError(busy, operation)
        return call(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", conflicting)
    monkeypatch.setattr("clipferry.store.writes.CONFLICT_WAITS", (0, 0))
    assert jobs.create(a_job(labels={"site": "gate"}))[1]
    conflicts = iter([True, True, True])
    with pytest.raises(TransactWriteError):
        jobs.create(a_job(2, labels={"site": "gate"}))


def test_a_late_writer_fails_and_changes_nothing(jobs: Jobs) -> None:
    jobs.create(a_job())
    early, late = jobs.load(a_job().job_id), jobs.load(a_job().job_id)
    jobs.change(early, NOON, JobStatus.CANCELLED, finished_at=NOON)
    with pytest.raises(Superseded):
        jobs.change(late, NOON, JobStatus.TRIGGERING)
    with pytest.raises(Superseded):
        jobs.change(late, NOON, polls=1)
    assert jobs.load(early.job_id) == early
    assert late.status is JobStatus.QUEUED


def test_a_writer_of_an_older_generation_fails(jobs: Jobs) -> None:
    jobs.create(a_job())
    old, new = jobs.load(a_job().job_id), jobs.load(a_job().job_id)
    jobs.change(new, NOON, generation=2)
    with pytest.raises(Superseded):
        jobs.change(old, NOON, polls=1)


def test_no_illegal_move_and_no_change_of_an_ended_job_is_written(jobs: Jobs) -> None:
    job, _ = jobs.create(a_job())
    with pytest.raises(IllegalMove):
        jobs.change(job, NOON, JobStatus.SUCCEEDED)
    jobs.change(job, NOON, JobStatus.FAILED, finished_at=NOON)
    with pytest.raises(IllegalMove):
        jobs.change(job, NOON, polls=9)
    jobs.change(job, NOON, event_sent=True)


def test_a_change_of_a_row_that_is_gone_makes_no_row(jobs: Jobs) -> None:
    with pytest.raises(Superseded):
        jobs.change(a_job(), NOON, polls=1)
    with pytest.raises(NotFound):
        jobs.load(a_job().job_id)


def test_two_looks_at_once_record_one_file(jobs: Jobs) -> None:
    job, _ = jobs.create(a_job())
    other = jobs.load(job.job_id)
    jobs.add_files(job, [File("f001", "a", "a")])
    with pytest.raises(Superseded):
        jobs.add_files(other, [File("f001", "b", "b")])
    assert [file.ref for file in jobs.load(job.job_id).files] == ["a"]


def test_a_file_taken_over_ignores_its_older_copy(jobs: Jobs) -> None:
    job, _ = jobs.create(a_job())
    file = File("f001", "a", "a", FileStatus.COPYING)
    jobs.add_files(job, [file])
    stale = replace(file)
    jobs.change_file(job, file, generation=2)
    with pytest.raises(Superseded):
        jobs.change_file(job, stale, FileStatus.STORED)
    with pytest.raises(IllegalMove):
        jobs.change_file(job, file, FileStatus.PENDING)
    assert jobs.load(job.job_id).files[0].status is FileStatus.COPYING


def test_a_job_goes_when_it_has_ended_and_everything_was_done_for_that(jobs: Jobs) -> None:
    def expiry() -> int | None:
        return next(row.expires_at for row in Item.query(f"JOB#{job.job_id}"))

    job, _ = jobs.create(a_job())
    assert expiry() is None
    jobs.change(job, NOON, JobStatus.FAILED, finished_at=NOON)
    assert expiry() is None
    jobs.change(job, NOON, event_sent=True)
    assert expiry() == int(NOON.timestamp()) + 90 * 86_400
    jobs.change(job, NOON, JobStatus.QUEUED, finished_at=None, event_sent=False)
    assert expiry() is None


def test_jobs_come_up_for_the_sweep_when_nothing_has_touched_them(jobs: Jobs) -> None:
    for number in range(1, 9):
        jobs.create(a_job(number))
    assert list(jobs.due(NOON)) == []
    assert list(jobs.due(NOON + timedelta(minutes=3))) == [a_job(number).job_id for number in range(1, 9)]
    job = jobs.load(a_job(1).job_id)
    jobs.change(job, NOON, JobStatus.WAITING, next_poll_at=NOON + timedelta(days=2))
    assert job.job_id not in list(jobs.due(NOON + timedelta(days=2)))
    assert job.job_id in list(jobs.due(NOON + timedelta(days=2, minutes=11)))
    jobs.change(job, NOON, JobStatus.FAILED, finished_at=NOON)
    jobs.change(job, NOON, event_sent=True)
    assert job.job_id not in list(jobs.due(NOON + timedelta(days=400)))


def test_the_oldest_unfinished_job_is_found(jobs: Jobs) -> None:
    assert jobs.oldest_unfinished() is None
    for number in (3, 2, 1):
        jobs.create(a_job(number, vendor="polyv" if number == 2 else "ims"))
    jobs.change(jobs.load(a_job(1).job_id), NOON, JobStatus.FAILED)
    assert jobs.oldest_unfinished() == a_job(2).created_at


def test_a_claim_is_the_first_ones_while_it_holds(jobs: Jobs) -> None:
    def claim(value: str, seconds: int) -> str:
        return jobs.claim("name", value, NOON + timedelta(seconds=seconds), holds=45)

    assert [claim("a", 0), claim("b", 45), claim("c", 46), claim("d", 60)] == ["a", "a", "c", "c"]


def test_indexes_carry_keys_only_and_no_value_has_one_partition() -> None:
    indexes = table_properties()["GlobalSecondaryIndexes"]
    assert {index["IndexName"] for index in indexes} == {"by_vendor", "by_status", "by_tag", "due"}
    for index in indexes:
        assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}
        assert index["KeySchema"][0]["AttributeName"].endswith("_shard")


#: vendor, labelled, failed, milliseconds
SPECS = st.lists(
    st.tuples(st.sampled_from(["ims", "polyv"]), st.booleans(), st.booleans(), st.integers(0, 3)), max_size=14
)
LISTINGS = st.builds(
    Listing,
    vendor=st.sampled_from([None, "ims", "polyv"]),
    status=st.sampled_from([None, JobStatus.QUEUED, JobStatus.FAILED]),
    tag=st.sampled_from([None, "label#site=gate"]),
    since=st.sampled_from([None, NOON + timedelta(milliseconds=2)]),
    until=st.sampled_from([None, NOON + timedelta(milliseconds=3)]),
)


@given(specs=SPECS, listing=LISTINGS, limit=st.integers(1, 5))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_paging_to_the_end_loses_and_doubles_no_job(specs: list[Any], listing: Listing, limit: int) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch, aws(monkeypatch):
        jobs, made = Jobs(("ims", "polyv")), []
        for number, (vendor, tagged, failed, tick) in enumerate(specs):
            job, _ = jobs.create(
                a_job(
                    number,
                    vendor=vendor,
                    labels={"site": "gate"} if tagged else {},
                    created_at=NOON + timedelta(milliseconds=tick),
                )
            )
            if failed:
                jobs.change(job, NOON, JobStatus.FAILED)
            made.append(job)
        found, token = [], None
        while True:
            page, token = jobs.list(listing, limit, token)
            assert len(page) <= limit
            found += page
            if token is None:
                break
        expected = [job for job in made if _belongs(job, listing)]
        expected.sort(key=lambda job: (job.created_at, job.job_id), reverse=True)
        assert found == expected


def _belongs(job: Job, listing: Listing) -> bool:
    return (
        listing.vendor in (None, job.vendor)
        and listing.status in (None, job.status)
        and (not listing.tag or bool(job.labels))
        and (not listing.since or job.created_at >= listing.since)
        and (not listing.until or job.created_at < listing.until)
    )


def test_a_row_that_expired_leaves_no_hole_in_a_page(jobs: Jobs) -> None:
    for number in range(6):
        jobs.create(a_job(number, labels={"site": "gate"}))
    for row in list(Item.query(f"JOB#{a_job(4).job_id}")):
        if row.sk == "JOB":
            row.delete()
    page, _ = jobs.list(Listing(tag="label#site=gate"), 5)
    assert [job.job_id for job in page] == [a_job(number).job_id for number in (5, 3, 2, 1, 0)]


def test_a_listing_that_filters_much_away_goes_on_in_the_next_call(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipferry.store.job_records.LOOKED_AT_MAX", 2)
    for number in range(5):
        jobs.create(a_job(number, labels={"site": "gate"}))
    jobs.change(jobs.load(a_job(0).job_id), NOON, JobStatus.FAILED)
    failed, token, calls = Listing(tag="label#site=gate", status=JobStatus.FAILED), None, 0
    found: list[Job] = []
    while calls == 0 or token:
        page, token = jobs.list(failed, 1, token)
        found, calls = found + page, calls + 1
    assert [job.job_id for job in found] == [a_job(0).job_id]
    assert calls > 2


def test_moves_race_and_one_wins(jobs: Jobs) -> None:
    jobs.create(a_job())
    ends, winners = (JobStatus.CANCELLED, JobStatus.FAILED, JobStatus.TIMED_OUT), 0
    for reading, status in [(jobs.load(a_job().job_id), status) for status in ends]:
        with contextlib.suppress(Superseded):
            jobs.change(reading, NOON, status)
            winners += 1
    assert winners == 1


def expiries(jobs: Jobs, job: Job) -> dict[str, int | None]:
    return {row.sk: row.expires_at for row in Item.query(f"JOB#{job.job_id}")}


def test_a_jobs_tags_live_as_long_as_its_row_however_long_that_is(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_RETENTION_DAYS", "3650")
    settings_of_functions.cache_clear()
    job, _ = jobs.create(a_job(labels={"site": "gate", "day": "1"}, source="rule"))
    assert set(expiries(jobs, job).values()) == {None}
    jobs.change(job, NOON, JobStatus.FAILED, finished_at=NOON + timedelta(days=500))

    jobs.expire_rows(job)
    jobs.change(job, NOON, event_sent=True)

    (expiry,) = set(expiries(jobs, job).values())
    assert expiry == int((NOON + timedelta(days=500 + 3650)).timestamp())
    jobs.change(job, NOON, JobStatus.QUEUED, finished_at=None, event_sent=False, generation=2)
    jobs.expire_rows(job)
    assert set(expiries(jobs, job).values()) == {None}
    settings_of_functions.cache_clear()


def test_a_tag_that_the_release_before_has_let_go_is_back_when_its_job_ends(jobs: Jobs) -> None:
    job, _ = jobs.create(a_job(labels={"site": "gate"}))
    TagRow(f"JOB#{job.job_id}", "TAG#label#site=gate").delete()
    assert jobs.list(Listing(tag="label#site=gate"), 5) == ([], None)

    jobs.change(job, NOON, JobStatus.FAILED, finished_at=NOON)
    jobs.expire_rows(job)

    assert [found.job_id for found in jobs.list(Listing(tag="label#site=gate"), 5)[0]] == [job.job_id]


def test_two_labels_that_read_the_same_are_one_tag(jobs: Jobs) -> None:
    """Taken by the release before: `a=b: c` and `a: b=c`."""
    job, _ = jobs.create(a_job(labels={"a=b": "c", "a": "b=c"}))

    listing = Listing(tag="label#a=b=c", labels=("a=b=c",))

    assert [found.job_id for found in jobs.list(listing, 5)[0]] == [job.job_id]


def test_a_listing_by_several_labels_holds_the_jobs_that_have_them_all(jobs: Jobs) -> None:
    both, _ = jobs.create(a_job(1, labels={"a": "1", "b": "2"}))
    jobs.create(a_job(2, labels={"a": "1", "b": "3"}))

    assert jobs.list(Listing(tag="label#a=1", labels=("a=1", "b=2")), 5)[0] == [jobs.load(both.job_id)]


def test_files_come_in_the_order_of_their_numbers(jobs: Jobs) -> None:
    job, _ = jobs.create(a_job())
    for number in (1000, 2, 999, 1, 10_000, 1001):
        jobs.add_files(job, [File(f"f{number:03d}", str(number), "n")])

    assert [file.number for file in jobs.load(job.job_id).files] == [1, 2, 999, 1000, 1001, 10_000]
