"""The rows of a job live and die together, and a job begins with no rows of another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clipferry.jobs.file import File
from clipferry.jobs.job import Job
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.store.job_records import ROWS_AT_ONCE, Jobs, Listing, Superseded
from clipferry.store.rows import FileRow, Item, TagRow

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
RETENTION = 90 * 86_400


def a_job(**values: Any) -> Job:
    basis: dict[str, Any] = {
        "job_id": "0" * 26,
        "vendor": "ims",
        "account": "ims",
        "status": JobStatus.QUEUED,
        "created_at": NOON,
        "updated_at": NOON,
        "deadline_at": NOON + timedelta(hours=1),
    }
    return Job(**(basis | values))


def files(count: int) -> list[File]:
    return [File(f"f{number:03d}", str(number), "n", FileStatus.STORED) for number in range(1, count + 1)]


def rows(job: Job) -> dict[str, int | None]:
    return {row.sk: row.expires_at for row in Item.query(f"JOB#{job.job_id}")}


def ended(jobs: Jobs, job: Job) -> Job:
    jobs.change(job, NOON, JobStatus.FAILED, finished_at=NOON)
    jobs.expire_rows(job)
    return jobs.change(job, NOON, event_sent=True)


def lives_again(jobs: Jobs, job: Job) -> Job:
    return jobs.change(job, NOON, JobStatus.QUEUED, finished_at=None, event_sent=False, generation=job.generation + 1)


@pytest.mark.parametrize("count", [1, ROWS_AT_ONCE, 2 * ROWS_AT_ONCE + 1])
def test_all_rows_go_at_one_time_and_live_again_together(jobs: Jobs, count: int) -> None:
    job, _ = jobs.create(a_job(labels={"site": "gate"}, source="rule"))
    jobs.add_files(job, files(count))
    assert len(jobs.load(job.job_id).files) == count
    ended(jobs, job)
    assert set(rows(job).values()) == {int(NOON.timestamp()) + RETENTION}
    assert len(rows(job)) == count + 3
    lives_again(jobs, job)
    assert jobs.load(job.job_id).rows_expire
    jobs.expire_rows(job)
    assert set(rows(job).values()) == {None}
    assert not jobs.load(job.job_id).rows_expire


def test_files_are_not_added_to_a_job_that_has_ended_or_moved_on(jobs: Jobs) -> None:
    job, _ = jobs.create(a_job())
    late = jobs.load(job.job_id)
    ended(jobs, job)
    with pytest.raises(Superseded):
        jobs.add_files(late, files(1))
    lives_again(jobs, job)
    with pytest.raises(Superseded):
        jobs.add_files(late, files(1))
    assert jobs.load(job.job_id).files == []
    jobs.add_files(job, files(1))


def test_a_number_is_given_once(jobs: Jobs) -> None:
    job, _ = jobs.create(a_job())
    other = jobs.load(job.job_id)
    jobs.add_files(job, files(2))
    with pytest.raises(Superseded):
        jobs.add_files(other, [File("f003", "x", "n"), File("f002", "y", "n")])
    assert [file.ref for file in jobs.load(job.job_id).files] == ["1", "2"], "all of a call's files, or none"


def test_a_late_end_takes_nothing_from_a_job_that_lives_again(jobs: Jobs) -> None:
    job, _ = jobs.create(a_job(labels={"site": "gate"}))
    jobs.add_files(job, files(1))
    jobs.change(job, NOON, JobStatus.FAILED, finished_at=NOON)
    late = jobs.load(job.job_id)
    lives_again(jobs, job)
    with pytest.raises(Superseded):
        jobs.expire_rows(late)
    assert set(rows(job).values()) == {None}


def test_a_late_retry_keeps_nothing_of_a_job_that_has_ended_again(jobs: Jobs) -> None:
    job, _ = jobs.create(a_job(labels={"site": "gate"}))
    jobs.add_files(job, files(1))
    ended(jobs, job)
    lives_again(jobs, job)
    late = jobs.load(job.job_id)
    ended(jobs, job)
    with pytest.raises(Superseded):
        jobs.expire_rows(late)
    assert set(rows(job).values()) == {int(NOON.timestamp()) + RETENTION}


def test_rows_in_their_last_day_are_kept_before_the_job_lives_again(jobs: Jobs) -> None:
    job, _ = jobs.create(a_job(labels={"site": "gate"}))
    jobs.add_files(job, files(1))
    ended(jobs, job)
    before = rows(job)
    jobs.keep_rows(job, NOON + timedelta(days=80))
    assert rows(job) == before, "nothing is written where there is time"
    last_hour = NOON + timedelta(days=90, hours=-1)
    jobs.keep_rows(job, last_hour)
    kept = {sk: at for sk, at in rows(job).items() if sk != "JOB"}
    assert set(kept.values()) == {int((last_hour + timedelta(days=2)).timestamp())}


def test_a_row_that_went_meanwhile_stays_away(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    job, _ = jobs.create(a_job())
    jobs.add_files(job, files(1))
    jobs.change(job, NOON, JobStatus.FAILED, finished_at=NOON)
    query = Item.query

    def gone_after(*args: Any, **options: Any) -> Any:
        found = list(query(*args, **options))
        monkeypatch.setattr(Item, "query", query)
        FileRow(f"JOB#{job.job_id}", "FILE#f001").delete()
        return found

    monkeypatch.setattr(Item, "query", gone_after)
    with pytest.raises(Superseded):
        jobs.expire_rows(job)
    assert set(rows(job)) == {"JOB"}


class TestAnEarlierLife:
    """The record of a job is gone, some of its rows are not, and its idempotency key is used again."""

    def left_behind(self, jobs: Jobs, **values: Any) -> Job:
        job, _ = jobs.create(a_job(**values))
        jobs.add_files(job, files(2))
        job_row = next(row for row in Item.query(f"JOB#{job.job_id}") if row.sk == "JOB")
        job_row.delete()
        return job

    def test_leaves_the_new_job_no_file(self, jobs: Jobs) -> None:
        self.left_behind(jobs)
        job, made = jobs.create(a_job())
        assert made
        assert job.files == jobs.load(job.job_id).files == []

    def test_is_overwritten_by_the_new_jobs_files(self, jobs: Jobs) -> None:
        self.left_behind(jobs)
        job, _ = jobs.create(a_job())
        jobs.add_files(job, [File("f001", "new", "new.mp4")])
        (file,) = jobs.load(job.job_id).files
        assert (file.ref, file.status, file.s3_uri) == ("new", FileStatus.PENDING, None)

    def test_of_the_release_before_is_not_taken_for_the_new_one_either(self, jobs: Jobs) -> None:
        old = self.left_behind(jobs)
        for row in FileRow.query(f"JOB#{old.job_id}", FileRow.sk.startswith("FILE#")):
            row.update(actions=[FileRow.life.remove()])
        job, _ = jobs.create(a_job())
        assert jobs.load(job.job_id).files == []
        jobs.add_files(job, [File("f001", "new", "new.mp4")])
        assert [file.ref for file in jobs.load(job.job_id).files] == ["new"]

    def test_cannot_write_into_the_new_ones_rows(self, jobs: Jobs) -> None:
        old = self.left_behind(jobs)
        job, _ = jobs.create(a_job())
        jobs.add_files(job, [File("f001", "new", "new.mp4")])
        with pytest.raises(Superseded):
            jobs.change_file(old, replace_status(old.files[0]), error=None)
        with pytest.raises(Superseded):
            jobs.change(old, NOON, polls=7)

    def test_goes_with_the_new_one_when_it_had_no_end_of_its_own(self, jobs: Jobs) -> None:
        self.left_behind(jobs)
        job, _ = jobs.create(a_job())
        ended(jobs, job)
        assert set(rows(job).values()) == {int(NOON.timestamp()) + RETENTION}

    def test_keeps_its_own_end_while_the_new_one_lives(self, jobs: Jobs) -> None:
        old = self.left_behind(jobs)
        for row in FileRow.query(f"JOB#{old.job_id}", FileRow.sk.startswith("FILE#")):
            row.update(actions=[FileRow.expires_at.set(7)])
        job, _ = jobs.create(a_job())
        assert not jobs.load(job.job_id).rows_expire
        ended(jobs, job)
        lives_again(jobs, job)
        jobs.expire_rows(job)
        assert rows(job) == {"FILE#f001": 7, "FILE#f002": 7, "JOB": None}

    def test_lists_the_new_one_under_no_label_that_it_does_not_have(self, jobs: Jobs) -> None:
        self.left_behind(jobs, labels={"site": "gate"})
        job, _ = jobs.create(a_job(labels={"site": "yard"}, created_at=NOON + timedelta(days=200)))
        assert jobs.list(Listing(tag="label#site=gate"), 5)[0] == []
        assert [found.job_id for found in jobs.list(Listing(tag="label#site=yard"), 5)[0]] == [job.job_id]

    def test_lists_the_new_one_once(self, jobs: Jobs) -> None:
        old = self.left_behind(jobs, labels={"site": "gate"})
        job, _ = jobs.create(a_job(labels={"site": "gate"}, created_at=NOON + timedelta(days=200)))
        assert TagRow.get(f"JOB#{old.job_id}", "TAG#label#site=gate").created_key.startswith("2027")
        assert [found.job_id for found in jobs.list(Listing(tag="label#site=gate"), 5)[0]] == [job.job_id]


def replace_status(file: File) -> File:
    """As a stale copy would have it: of the status that the new row has."""
    from dataclasses import replace

    return replace(file, status=FileStatus.PENDING)
