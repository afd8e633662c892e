"""No reply is larger than Lambda lets through, and nothing is lost for that: pages go on, files come in parts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clipferry.jobs.file import File
from clipferry.jobs.job import Job
from clipferry.jobs.problems import Problem
from clipferry.jobs.statuses import FileStatus, JobStatus

from tests.unit.functions.conftest import Functions

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

LAMBDA_MAX = 6 * 1024 * 1024  # bytes of an answer (Lambda quotas, "Invocation payload")


def answer(functions: Functions, method: str, path: str, **more: Any) -> dict[str, Any]:
    """The body of an answer that fits."""
    found = functions.api(method, path, **more)
    assert found.status in (200, 202), found
    assert len(json.dumps(functions.replies[-1])) < LAMBDA_MAX
    return found.body


@pytest.mark.parametrize(
    ("text", "jobs"),
    [("x" * 80_000, 70), ("\\" * 80_000, 25), ('"' * 60_000, 35), ("片" * 40_000, 70)],
    ids=["plain", "backslashes", "quotes", "beyond ASCII"],
)
def test_a_page_ends_where_a_reply_is_full_and_the_next_one_goes_on(functions: Functions, text: str, jobs: int) -> None:
    """Of each text, as many jobs as more than fill a reply, in which it is escaped twice."""
    made = []
    for number in range(jobs):
        made.append(functions.world.submit(request={"url": f"{text}{number}"}))
        functions.world.wait(1)
    found, query, pages = [], {"limit": "100"}, 0
    while True:
        page = answer(functions, "GET", "/jobs", query=query)
        found += [job["job_id"] for job in page["jobs"]]
        pages += 1
        if page["next_token"] is None:
            break
        query["next_token"] = page["next_token"]

    assert found == made[::-1]
    assert 1 < pages < 10


def test_one_job_as_large_as_it_may_be_is_a_page(functions: Functions) -> None:
    for _ in range(3):
        functions.world.submit(request={"url": "\\" * 120_000})

    assert len(answer(functions, "GET", "/jobs")["jobs"]) == 3


@pytest.fixture
def many_files(functions: Functions) -> str:
    """A job of 1,200 files, each with a long name and a long error."""
    job_id = functions.world.submit(destination={"prefix": "p" * 509})
    error = Problem("VENDOR_FILE_FAILED", "片" * 900)
    files = [
        File(f"f{number:03d}", str(number), "片" * 500, FileStatus.FAILED, error=error) for number in range(1, 1201)
    ]
    functions.world.rt.jobs.add_files(functions.world.job(job_id), files)
    return job_id


def test_a_job_with_more_files_than_a_reply_holds_says_how_to_see_the_others(
    functions: Functions, many_files: str
) -> None:
    seen: list[str] = []
    query: dict[str, str] = {}
    for _ in range(10):
        body = answer(functions, "GET", f"/jobs/{many_files}", query=query)
        seen += [file["file_id"] for file in body["files"]]
        if not body["warnings"]:
            break
        (warning,) = body["warnings"]
        assert warning["code"] == "FILES_LEFT_OUT"
        assert f"files_after={seen[-1]} " in warning["message"]
        assert warning["message"].endswith(str(1200 - len(seen)))
        query["files_after"] = seen[-1]

    assert seen == [f"f{number:03d}" for number in range(1, 1201)]
    assert len(answer(functions, "POST", f"/jobs/{many_files}/cancel")["files"]) < 1200


def test_files_beyond_999_are_in_the_order_of_their_numbers_everywhere(functions: Functions, many_files: str) -> None:
    functions.world.cancel(many_files)

    for files in (functions.world.job(many_files).public()["files"], functions.world.manifest(many_files)["files"]):
        assert [file["file_id"] for file in files] == [f"f{number:03d}" for number in range(1, 1201)]


def test_the_vendors_and_a_schedule_as_large_as_it_may_be_fit(functions: Functions) -> None:
    answer(functions, "GET", "/vendors")
    job = {"vendor": "scripted", "request": {"url": "\\" * 90_000}}
    assert functions.api("PUT", "/schedules/large", {"expression": "rate(1 day)", "job": job}).status == 201
    answer(functions, "GET", "/schedules/large")
    answer(functions, "GET", "/schedules")


def test_a_body_with_tens_of_thousands_of_mistakes_gets_a_short_answer(functions: Functions) -> None:
    body = {"vendor": "cloudv", "request": {"files": [1] * 85_000}}

    found = functions.api("POST", "/jobs", body)

    assert found.status == 400
    assert len(json.dumps(functions.replies[-1])) < 100_000


@pytest.mark.parametrize("levels", [100, 471, 600])
def test_a_row_that_holds_deeply_nested_values_spoils_no_page(functions: Functions, levels: int) -> None:
    """The first release took some 480 levels by a batch's line."""
    value: Any = "https://media.example/a?canary"
    for _ in range(levels):
        value = {"a": value}
    now = functions.world.time
    made = {"request": value, "vendor_refs": value, "status": JobStatus.QUEUED, "vendor": "scripted"}
    job = Job("0" * 26, account="scripted", created_at=now, updated_at=now, deadline_at=now, **made)
    functions.world.rt.jobs.create(job)
    other = functions.world.submit()

    page = answer(functions, "GET", "/jobs")

    assert {found["job_id"] for found in page["jobs"]} == {job.job_id, other}
    assert answer(functions, "GET", f"/jobs/{job.job_id}")["job_id"] == job.job_id
    assert answer(functions, "POST", f"/jobs/{job.job_id}/cancel")["status"] == "CANCELLED"
    assert "canary" not in json.dumps(functions.world.manifest(job.job_id))
