"""Jobs and files as values: the moves, the keys, what is shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from clipferry.jobs.file import File
from clipferry.jobs.job import Job, iso, job_id, outcome, percent
from clipferry.jobs.problems import Problem
from clipferry.jobs.statuses import FILE_MOVES, JOB_MOVES, FileStatus, JobStatus
from hypothesis import given
from hypothesis import strategies as st

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def a_job(**values: object) -> Job:
    basis = {
        "job_id": job_id(NOON),
        "vendor": "ims",
        "account": "ims",
        "status": JobStatus.WAITING,
        "created_at": NOON,
        "updated_at": NOON,
        "deadline_at": NOON + timedelta(hours=1),
    }
    return Job(**(basis | values))  # type: ignore[arg-type]


def a_file(status: FileStatus, **values: object) -> File:
    return File("f001", "ref", "clip.mp4", status, **values)  # type: ignore[arg-type]


def test_an_ended_job_moves_only_by_a_retry() -> None:
    for status in JobStatus:
        if status.terminal:
            assert JOB_MOVES[status] <= {JobStatus.QUEUED}
    assert not JOB_MOVES[JobStatus.SUCCEEDED]


def test_every_live_status_can_end_and_no_move_stays_where_it_is() -> None:
    for status in JobStatus:
        assert status not in JOB_MOVES[status]
        if not status.terminal:
            assert {JobStatus.FAILED, JobStatus.TIMED_OUT, JobStatus.CANCELLED} <= JOB_MOVES[status]


def test_success_comes_only_after_looking() -> None:
    before = {status for status, targets in JOB_MOVES.items() if JobStatus.SUCCEEDED in targets}
    assert before == {JobStatus.WAITING, JobStatus.DOWNLOADING}


def test_a_stored_file_stays_stored() -> None:
    assert not FILE_MOVES[FileStatus.STORED]
    assert {status for status in FileStatus if FileStatus.STORED in FILE_MOVES[status]} == {FileStatus.COPYING}


@pytest.mark.parametrize(
    ("statuses", "ending"),
    [
        ("SS", JobStatus.SUCCEEDED),
        ("SF", JobStatus.PARTIAL),
        ("FF", JobStatus.FAILED),
        ("", JobStatus.FAILED),
    ],
)
def test_the_outcome_is_told_by_the_files(statuses: str, ending: JobStatus) -> None:
    words = {"S": FileStatus.STORED, "F": FileStatus.FAILED}
    assert outcome(a_file(words[letter]) for letter in statuses) is ending


@given(
    st.lists(
        st.builds(
            a_file,
            st.sampled_from(FileStatus),
            size=st.none() | st.integers(0, 10**12),
            bytes_copied=st.integers(0, 10**13),
        ),
        max_size=4,
    ),
    st.integers(0, 100),
    st.sampled_from(JobStatus),
)
def test_progress_is_a_percentage_and_100_only_at_success(files: list[File], progress: int, status: JobStatus) -> None:
    shown = percent(a_job(files=files, progress=progress, status=status))
    assert 0 <= shown <= 100
    assert (shown == 100) == (status is JobStatus.SUCCEEDED)


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_seed_makes_one_id_and_another_seed_another(one: str, other: str) -> None:
    assert job_id(NOON, one) == job_id(NOON + timedelta(days=9), one)
    assert (job_id(NOON, one) == job_id(NOON, other)) == (one == other)
    assert len(job_id(NOON, one)) == 26
    assert job_id(NOON, one)[0] <= "7"


def test_ids_without_a_seed_sort_by_time_and_differ() -> None:
    assert job_id(NOON) < job_id(NOON + timedelta(milliseconds=1))
    assert job_id(NOON) != job_id(NOON)


def test_the_vendors_key_is_the_same_for_every_repeat_and_new_for_new_work() -> None:
    job = a_job()
    key = job.key
    assert len(key) == 32
    assert set(key) <= set("0123456789abcdef")
    assert a_job(job_id=job.job_id, generation=9, trigger_attempts=3).key == key
    assert a_job(job_id=job.job_id, trigger_round=2).key != key


@pytest.mark.parametrize(("prefix", "start"), [("", "ims/2026/11/21/"), ("/a/b/", "a/b/ims/2026/11/21/")])
def test_objects_lie_below_prefix_vendor_day_and_job(prefix: str, start: str) -> None:
    job = a_job(prefix=prefix)
    assert job.object_prefix == f"{start}{job.job_id}/"


def test_what_is_shown_holds_no_query_of_a_url() -> None:
    signed = "https://a.example/v.mp4?Signature=secret&Expires=1"
    request = {"upload_urls": [signed], "note": f"see {signed} please"}
    job = a_job(request=request, vendor_refs={"deep": [{"u": signed}]})
    assert "secret" not in repr(job.public())
    assert job.public()["request"]["upload_urls"] == ["https://a.example/v.mp4"]


def test_elapsed_time_is_the_clocks_or_the_waits_where_those_ran_faster() -> None:
    later = NOON + timedelta(seconds=30)
    assert a_job().elapsed(later) == 0
    assert a_job(triggered_at=NOON).elapsed(later) == 30
    assert a_job(triggered_at=NOON, waited=600).elapsed(later) == 600


def test_handing_a_job_on_keeps_a_doubtful_trigger_quiet() -> None:
    assert a_job(triggered_at=NOON).next_generation_changes()["quiet_until"] > NOON
    assert a_job(triggered_at=NOON, refs_complete=True).next_generation_changes()["quiet_until"] is None
    assert a_job(generation=4, polls=7).next_generation_changes() == {
        "generation": 5,
        "waited_here": 0,
        "quiet_until": None,
    }


@given(st.builds(Problem, st.text(), st.text(), st.none() | st.text(min_size=1), st.none() | st.text(min_size=1)))
def test_a_problem_survives_being_written_and_read(problem: Problem) -> None:
    assert Problem.parse(problem.as_dict()) == problem


def test_times_are_utc_with_milliseconds() -> None:
    assert iso(datetime.fromisoformat("2026-11-21T13:00:00.123456+01:00")) == "2026-11-21T12:00:00.123Z"
    assert iso(None) is None


@pytest.mark.parametrize(
    ("copied", "total", "parts"),
    [
        (0, 17, {"copied": 0, "total": 3}),
        (8, 17, {"copied": 1, "total": 3}),
        (17, 17, {"copied": 3, "total": 3}),
        (16, None, {"copied": 2, "total": None}),
    ],
)
def test_a_copy_under_way_counts_its_parts(copied: int, total: int | None, parts: dict[str, int | None]) -> None:
    assert File("f001", "r", "n", declared=total, part_size=8, bytes_copied=copied).public()["parts"] == parts
    assert File("f001", "r", "n", declared=total, bytes_copied=copied).public()["parts"] is None
