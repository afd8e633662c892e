"""Jobs and files as values, one by one: what they begin as, what is shown of them, and what each event changes."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clipferry.jobs.file import File
from clipferry.jobs.job import Job, iso, job_id, outcome, percent
from clipferry.jobs.problems import MAX_CODE, MAX_MESSAGE, MAX_WARNING, MAX_WARNINGS, WARNINGS_BYTES, Problem, warning
from clipferry.jobs.statuses import FILE_MOVES, JOB_MOVES, TERMINAL, FileStatus, JobStatus

from tests.unit.test_jobs import NOON, a_file, a_job

LATER = NOON + timedelta(seconds=100)
SIGNED = "https://a.example/v.mp4?Signature=secret"


# -- moves


def test_the_moves_of_a_job_are_these() -> None:
    moves = {status.value: "".join(sorted(target.value[0] for target in JOB_MOVES[status])) for status in JobStatus}
    assert moves == {
        "QUEUED": "CFTTW",
        "TRIGGERING": "CFTW",
        "WAITING": "CDFPST",
        "DOWNLOADING": "CFPSTW",
        "SUCCEEDED": "",
        "PARTIAL": "Q",
        "FAILED": "Q",
        "TIMED_OUT": "Q",
        "CANCELLED": "Q",
    }


def test_the_moves_of_a_file_are_these() -> None:
    assert {status.value: sorted(target.value for target in FILE_MOVES[status]) for status in FileStatus} == {
        "PENDING": ["FAILED", "READY"],
        "READY": ["COPYING", "FAILED"],
        "COPYING": ["FAILED", "READY", "STORED"],
        "STORED": [],
        "FAILED": ["PENDING"],
    }


def test_terminal_is_what_a_job_ends_with() -> None:
    assert {status.value for status in JobStatus if status.terminal} == {status.value for status in TERMINAL}
    assert {status.value for status in TERMINAL} == {"SUCCEEDED", "PARTIAL", "FAILED", "TIMED_OUT", "CANCELLED"}


def test_a_file_is_settled_when_it_is_stored_or_has_failed() -> None:
    assert [status.value for status in FileStatus if status.settled] == ["STORED", "FAILED"]


# -- problems and warnings


@pytest.mark.parametrize(("length", "ending"), [(MAX_MESSAGE - 1, "x"), (MAX_MESSAGE, "x"), (MAX_MESSAGE + 1, "…")])
def test_a_message_is_cut_where_it_is_too_long(length: int, ending: str) -> None:
    message = Problem("CODE", "x" * length).message
    assert (len(message), message[-1]) == (min(length, MAX_MESSAGE), ending)


@pytest.mark.parametrize("name", ["code", "vendor_code", "request_id"])
def test_what_a_vendor_gives_as_a_code_is_text_of_bounded_length_without_queries(name: str) -> None:
    def kept(said: object) -> str:
        values: dict[str, Any] = {"code": "C", "message": "m", name: said}
        return str(getattr(Problem(**values), name))

    assert kept("x" * MAX_CODE) == "x" * MAX_CODE
    assert kept("x" * (MAX_CODE + 1)) == "x" * (MAX_CODE - 1) + "…"
    assert kept([7, "a"]) == "[7, 'a']"
    assert kept(SIGNED) == "https://a.example/v.mp4"


def test_a_problem_is_written_without_what_it_lacks_and_read_back() -> None:
    bare, full = Problem("CODE", "words"), Problem("CODE", "words", "10010", "r-1")
    assert bare.as_dict() == {"code": "CODE", "message": "words"}
    assert full.as_dict() == {"code": "CODE", "message": "words", "vendor_code": "10010", "request_id": "r-1"}
    assert [Problem.parse(given.as_dict()) for given in (bare, full)] == [bare, full]
    assert Problem.parse(None) is None
    assert Problem.parse({}) is None


def test_a_problem_with_attributes_of_a_later_release_is_read() -> None:
    assert Problem.parse({"code": "CODE", "message": "words", "later": 1}) == Problem("CODE", "words")


def test_a_warning_holds_no_query_and_is_cut() -> None:
    assert warning("CODE", f"see {SIGNED}") == {"code": "CODE", "message": "see https://a.example/v.mp4…"}
    assert warning("CODE", "x" * MAX_WARNING) == {"code": "CODE", "message": "x" * MAX_WARNING}
    assert warning("CODE", "x" * (MAX_WARNING + 1)) == {"code": "CODE", "message": "x" * MAX_WARNING}


def test_all_warnings_are_the_jobs_and_its_files_none_twice() -> None:
    mine, of_file = warning("A", "a"), warning("B", "b")
    files = [File("f001", "r", "n", warnings=[of_file, of_file]), File("f002", "r", "n", warnings=[of_file])]
    assert a_job(warnings=[mine, mine], files=files).all_warnings == [
        mine,
        {**of_file, "file_id": "f001"},
        {**of_file, "file_id": "f002"},
    ]


def test_warnings_beyond_the_most_are_left_out() -> None:
    many = [warning("A", str(number)) for number in range(MAX_WARNINGS + 1)]
    assert a_job(warnings=many).all_warnings == many[:MAX_WARNINGS]


def test_warnings_take_no_more_room_than_the_row_has() -> None:
    long = [warning("AA", f"{number:02}" + "x" * 468) for number in range(40)]  # 499 bytes each, as JSON
    assert WARNINGS_BYTES == 12_288
    assert a_job(warnings=long).all_warnings == long[:24]
    exact = [*long[:24], warning("A", "x" * 284)]  # 24 × 499 + 312
    assert a_job(warnings=exact).all_warnings == exact
    assert a_job(warnings=[*long[:24], warning("A", "x" * 285)]).all_warnings == long[:24]
    short_behind_long = [*long, warning("A", "a")]
    assert a_job(warnings=short_behind_long).all_warnings == long[:24]


# -- files


def test_a_file_begins_so() -> None:
    file = File("f001", "ref", "clip.mp4")
    assert vars(file) == {
        "file_id": "f001",
        "ref": "ref",
        "name": "clip.mp4",
        "status": FileStatus.PENDING,
        "media": "file",
        "size": None,
        "declared": None,
        "part_size": None,
        "md5": None,
        "detail": {},
        "bytes_copied": 0,
        "s3_uri": None,
        "evidence": None,
        "error": None,
        "warnings": [],
        "attempts": 0,
        "reached": 0,
        "call_seconds": 0,
        "broken_at": None,
        "checkpoint": {},
        "generation": 1,
        "worker": None,
        "reservation": None,
        "refused_at": None,
    }


def test_a_file_is_shown_so() -> None:
    file = a_file(
        FileStatus.STORED,
        size=17,
        declared=99,
        part_size=8,
        bytes_copied=17,
        attempts=2,
        s3_uri="s3://videos/site?a/v.mp4",
        evidence={"level": "md5", "seen at": SIGNED},
        error=Problem("CODE", "words"),
        checkpoint={"upload": "u"},
    )
    assert file.public() == {
        "file_id": "f001",
        "name": "clip.mp4",
        "status": "STORED",
        "size": 17,
        "bytes_copied": 17,
        "attempts": 2,
        "parts": {"copied": 3, "total": 3},
        "s3_uri": "s3://videos/site?a/v.mp4",
        "evidence": {"level": "md5", "seen at": "https://a.example/v.mp4"},
        "error": {"code": "CODE", "message": "words"},
    }
    assert a_file(FileStatus.READY).public()["error"] is None
    assert a_file(FileStatus.READY, declared=9).public()["size"] == 9


def test_files_are_in_the_order_of_their_numbers() -> None:
    assert [File(name, "r", "n").number for name in ("f001", "f999", "f1000")] == [1, 999, 1000]


@pytest.mark.parametrize(
    ("status", "values", "awaited"),
    [
        (FileStatus.READY, {}, None),
        (FileStatus.READY, {"reservation": {"at": 1}}, "budget"),
        (FileStatus.READY, {"refused_at": NOON}, "account"),
        (FileStatus.READY, {"refused_at": NOON, "reservation": {"at": 1}}, "account"),
        (FileStatus.STORED, {"refused_at": NOON}, None),
        (FileStatus.FAILED, {"reservation": {"at": 1}}, None),
    ],
)
def test_a_file_waits_for_its_account_or_for_its_place_in_the_budget(
    status: FileStatus, values: dict[str, Any], awaited: str | None
) -> None:
    assert a_file(status, **values).waits_for == awaited


@pytest.mark.parametrize(("copied", "further"), [(9, {}), (10, {}), (11, {"reached": 11, "attempts": 0})])
def test_only_more_than_ever_before_begins_the_attempts_anew(copied: int, further: dict[str, int]) -> None:
    file = a_file(FileStatus.COPYING, reached=10, attempts=3, bytes_copied=4)
    assert file.copied_changes(copied) == {"bytes_copied": copied, **further}


def test_a_failed_call_is_an_attempt() -> None:
    assert a_file(FileStatus.COPYING, attempts=3).failed_attempt_changes == {"attempts": 4, "call_seconds": 0}


@pytest.mark.parametrize(
    ("status", "opened"),
    [
        (FileStatus.FAILED, FileStatus.PENDING),
        (FileStatus.COPYING, FileStatus.READY),
        (FileStatus.READY, FileStatus.READY),
        (FileStatus.PENDING, FileStatus.PENDING),
    ],
)
def test_a_retry_opens_a_file(status: FileStatus, opened: FileStatus) -> None:
    assert a_file(status, attempts=6, reached=5, error=Problem("C", "m")).opened_changes(4) == {
        "status": opened,
        "generation": 4,
        "error": None,
        "attempts": 0,
        "reached": 0,
        "call_seconds": 0,
        "bytes_copied": 0,
        "checkpoint": {},
        "refused_at": None,
    }


# -- jobs


def test_a_job_begins_so() -> None:
    job = Job("J", "ims", "acme", JobStatus.QUEUED, NOON, NOON, LATER)
    given = {"job_id", "vendor", "account", "status", "created_at", "updated_at", "deadline_at"}
    assert {name: value for name, value in vars(job).items() if name not in given} == {
        "prefix": "",
        "generation": 1,
        "fresh_since": 1,
        "request": None,
        "adopt": None,
        "on_uncertain": "fail",
        "deadline_seconds": 0,
        "labels": {},
        "fingerprint": "",
        "source": None,
        "line": None,
        "vendor_refs": {},
        "refs_complete": False,
        "trigger_round": 1,
        "triggered_at": None,
        "trigger_attempts": 0,
        "trigger_errors": 0,
        "retriggers": 0,
        "intent": None,
        "quiet_until": None,
        "polls": 0,
        "poll_errors": 0,
        "unknown_looks": 0,
        "hint": 0,
        "waited": 0,
        "waited_here": 0,
        "progress": 0,
        "listed": False,
        "verdict": None,
        "restarts": 0,
        "next_poll_at": None,
        "finished_at": None,
        "error": None,
        "warnings": [],
        "event_sent": False,
        "clean_at": None,
        "reservation": None,
        "refused_at": None,
        "ticket": None,
        "in_flight": None,
        "last_look": None,
        "reported": None,
        "life": None,
        "files": [],
        "rows_expire": False,
    }


def test_a_job_is_shown_so() -> None:
    file = a_file(FileStatus.STORED, warnings=[warning("B", "b")])
    job = a_job(
        job_id="J",
        account="acme",
        prefix="site a",
        generation=2,
        status=JobStatus.WAITING,
        progress=40,
        request={"url": SIGNED},
        vendor_refs={"task": "t-1"},
        labels={"site": "gate"},
        on_uncertain="retrigger",
        deadline_seconds=3600,
        source="batch#b-1",
        line=7,
        files=[file],
        error=Problem("CODE", "words"),
        warnings=[warning("A", "a")],
        polls=3,
        poll_errors=1,
        trigger_attempts=2,
        trigger_errors=5,
        next_poll_at=LATER,
        updated_at=LATER,
        finished_at=LATER,
    )
    assert job.public() == {
        "job_id": "J",
        "vendor": "ims",
        "account": "acme",
        "status": "WAITING",
        "progress": 99,
        "generation": 2,
        "request": {"url": "https://a.example/v.mp4"},
        "adopt": None,
        "vendor_refs": {"task": "t-1"},
        "destination": {"prefix": "site a"},
        "labels": {"site": "gate"},
        "on_uncertain": "retrigger",
        "deadline_seconds": 3600,
        "source": "batch#b-1",
        "line": 7,
        "files": [file.public()],
        "error": {"code": "CODE", "message": "words"},
        "warnings": [warning("A", "a"), {**warning("B", "b"), "file_id": "f001"}],
        "polls": 3,
        "poll_errors": 1,
        "trigger_attempts": 2,
        "trigger_errors": 5,
        "waits_for": "vendor",
        "next_poll_at": "2026-11-21T12:01:40.000Z",
        "created_at": "2026-11-21T12:00:00.000Z",
        "updated_at": "2026-11-21T12:01:40.000Z",
        "deadline_at": "2026-11-21T13:00:00.000Z",
        "finished_at": "2026-11-21T12:01:40.000Z",
    }
    adopted = a_job(adopt={"task": "t-1"}).public()
    assert (adopted["adopt"], adopted["request"], adopted["error"]) == ({"task": "t-1"}, None, None)


@pytest.mark.parametrize("name", ["request", "adopt", "vendor_refs", "labels"])
def test_whatever_users_and_vendors_name_is_shown_without_queries(name: str) -> None:
    shown = a_job(**{name: {"url": SIGNED}}).public()
    assert shown[name] == {"url": "https://a.example/v.mp4"}


def test_the_key_at_the_vendor_is_the_same_in_every_release() -> None:
    """Work that another release began is found by it."""
    assert a_job(job_id="J", trigger_round=2).key == "c22b751605ecb3381692bc704bc1747c"


@pytest.mark.parametrize(
    ("values", "doubt"),
    [
        ({}, False),
        ({"triggered_at": NOON}, True),
        ({"triggered_at": NOON, "refs_complete": True}, False),
        ({"refs_complete": True}, False),
    ],
)
def test_a_trigger_is_in_doubt_until_its_answer_is_written(values: dict[str, Any], doubt: bool) -> None:
    assert a_job(**values).in_doubt is doubt


def test_where_the_objects_of_a_job_lie() -> None:
    job = a_job(job_id="J", prefix="a/b", files=[a_file(FileStatus.READY)])
    assert job.object_prefix == "a/b/ims/2026/11/21/J/"
    assert job.stem(job.files[0]) == "a/b/ims/2026/11/21/J/f001"
    assert job.manifest_key == "a/b/ims/2026/11/21/J/manifest.json"


@pytest.mark.parametrize(
    ("status", "generation", "files", "left"),
    [
        (JobStatus.SUCCEEDED, 1, 1, False),
        (JobStatus.SUCCEEDED, 2, 1, True),
        (JobStatus.CANCELLED, 1, 1, True),
        (JobStatus.PARTIAL, 2, 1, True),
        (JobStatus.CANCELLED, 1, 0, False),
    ],
)
def test_objects_may_be_left_where_a_copy_was_cut_off(
    status: JobStatus, generation: int, files: int, left: bool
) -> None:
    job = a_job(status=status, generation=generation, files=[a_file(FileStatus.FAILED)] * files)
    assert job.left_to_clean(NOON) == (NOON + timedelta(minutes=20) if left else None)


def test_a_retry_holds_its_slots_under_another_name() -> None:
    assert a_job(job_id="J", generation=7, fresh_since=3).holder == "J-3"


@pytest.mark.parametrize(
    ("status", "values", "awaited"),
    [
        (JobStatus.QUEUED, {}, None),
        (JobStatus.QUEUED, {"ticket": 0}, "slot"),
        (JobStatus.QUEUED, {"ticket": 3, "reservation": {"at": 1}}, "slot"),
        (JobStatus.TRIGGERING, {"reservation": {"at": 1}}, "budget"),
        (JobStatus.WAITING, {}, "vendor"),
        (JobStatus.WAITING, {"reservation": {"at": 1}}, "budget"),
        (JobStatus.WAITING, {"refused_at": NOON, "ticket": 3}, "account"),
        (JobStatus.DOWNLOADING, {}, None),
        (JobStatus.DOWNLOADING, {"ticket": 3}, None),
        (JobStatus.DOWNLOADING, {"files": [a_file(FileStatus.READY, refused_at=NOON)]}, "account"),
        (JobStatus.DOWNLOADING, {"files": [a_file(FileStatus.STORED, refused_at=NOON)]}, None),
        (JobStatus.DOWNLOADING, {"files": [a_file(FileStatus.READY, reservation={"at": 1})]}, None),
        (JobStatus.FAILED, {"refused_at": NOON}, None),
        (JobStatus.CANCELLED, {"ticket": 3}, None),
    ],
)
def test_what_a_job_waits_for(status: JobStatus, values: dict[str, Any], awaited: str | None) -> None:
    assert a_job(status=status, **values).waits_for == awaited


@pytest.mark.parametrize(
    ("triggered", "lately"),
    [(None, False), (-1, False), (0, True), (1, True)],
)
def test_a_trigger_is_lately_since_the_job_was_submitted_or_retried(triggered: int | None, lately: bool) -> None:
    began = NOON + timedelta(minutes=10)
    at = None if triggered is None else began + timedelta(seconds=triggered)
    job = a_job(deadline_at=began + timedelta(seconds=600), deadline_seconds=600, triggered_at=at)
    assert job.triggered_lately is lately


def test_another_execution_leaves_a_doubtful_trigger_the_life_of_a_call() -> None:
    job = a_job(triggered_at=NOON, updated_at=LATER, generation=2, waited_here=60)
    assert job.next_generation_changes() == {
        "generation": 3,
        "waited_here": 0,
        "quiet_until": LATER + timedelta(seconds=120),
    }


def test_waits_are_counted_once_however_often_a_step_is_repeated() -> None:
    job = a_job()
    for waited_here in (30, 30, 90, 40):  # the last by a call that began before the third
        job.add_wait(waited_here)
    assert (job.waited, job.waited_here) == (90, 40)


@pytest.mark.parametrize(("waited", "outrun"), [(0, False), (152, False), (153, True)])
def test_waits_outrun_the_clock_when_they_are_half_as_long_again(waited: int, outrun: bool) -> None:
    assert a_job(triggered_at=NOON, waited=waited).waits_outrun_clock(LATER) is outrun


@pytest.mark.parametrize(("waited", "outrun"), [(2, False), (3, True)])
def test_waits_outrun_a_clock_that_does_not_run(waited: int, outrun: bool) -> None:
    assert a_job(waited=waited).waits_outrun_clock(LATER) is outrun


def test_a_file_is_found_by_its_id() -> None:
    files = [File("f001", "r", "n"), File("f002", "r", "n")]
    assert a_job(files=files).file("f002") is files[1]
    assert a_job(files=files).file("f003") is None


# -- what is computed of them


@pytest.mark.parametrize(
    ("statuses", "ending"),
    [
        ([FileStatus.STORED, FileStatus.STORED], JobStatus.SUCCEEDED),
        ([FileStatus.STORED, FileStatus.FAILED], JobStatus.PARTIAL),
        ([FileStatus.FAILED, FileStatus.STORED], JobStatus.PARTIAL),
        ([FileStatus.FAILED], JobStatus.FAILED),
        ([], JobStatus.FAILED),
    ],
)
def test_the_outcome_of_files(statuses: list[FileStatus], ending: JobStatus) -> None:
    assert outcome(a_file(status) for status in statuses) is ending


READY, COPYING, STORED, PENDING = FileStatus.READY, FileStatus.COPYING, FileStatus.STORED, FileStatus.PENDING


@pytest.mark.parametrize(
    ("files", "progress", "shown"),
    [
        ([], 61, 30),
        ([(PENDING, 0, None)], 60, 30),
        ([(READY, 0, 100)], 100, 50),
        ([(COPYING, 50, 100)], 100, 75),
        ([(COPYING, 50, None)], 100, 50),
        ([(COPYING, 200, 100)], 100, 99),
        ([(COPYING, 200, 100), (PENDING, 0, None)], 0, 50),
        ([(PENDING, 0, None)], 99, 50),
        ([(STORED, 100, 100)], 100, 99),
        ([(STORED, 100, 100), (PENDING, 0, None)], 20, 55),
        ([(STORED, 1, 1), (COPYING, 1, 4), (READY, 0, 4)], 0, 71),
    ],
)
def test_the_vendors_work_is_the_first_half_and_the_copy_the_second(
    files: list[tuple[FileStatus, int, int | None]], progress: int, shown: int
) -> None:
    made = [a_file(status, bytes_copied=copied, size=size) for status, copied, size in files]
    assert percent(a_job(files=made, progress=progress)) == shown
    assert percent(a_job(files=made, progress=progress, status=JobStatus.SUCCEEDED)) == 100


def test_an_id_is_a_ulid_of_its_time_or_of_its_seed() -> None:
    at = datetime(2026, 11, 21, 12, 0, 0, 789_000, tzinfo=UTC)
    value = 0
    for letter in job_id(at):
        value = value * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(letter)
    assert value >> 80 == 1_795_262_400_789
    assert job_id(at, "seed") == "0SP9C5DRE1A3586K7ZS2TSP8XD"
    assert len({job_id(at)[10:] for _ in range(64)}) == 64


def test_a_time_is_shown_in_utc_with_milliseconds() -> None:
    assert iso(datetime.fromisoformat("2026-01-02T03:04:05.678999+08:00")) == "2026-01-01T19:04:05.678Z"


def test_a_time_is_shown_in_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        assert iso(NOON) == "2026-11-21T12:00:00.000Z"
    finally:
        monkeypatch.undo()
        time.tzset()
