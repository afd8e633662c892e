"""`/batches` over HTTP: statuses, links, and problems that name what is wrong."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.unit.functions.conftest import Answer, Functions
from tests.unit.steps.aws import BUCKET
from tests.unit.steps.batching import KEY, Batching, line

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")


def post(functions: Functions, *lines: str, **body: Any) -> Answer:
    functions.world.s3.put_object(Bucket=BUCKET, Key=KEY, Body="\n".join(lines).encode())
    return functions.api("POST", "/batches", {"manifest": {"key": KEY}, **body})


def test_a_batch_is_accepted_and_found_under_its_location(functions: Functions) -> None:
    answer = post(functions, line(1))

    assert (answer.status, answer.body["status"]) == (202, "READING")
    assert answer.headers["Location"] == f"/v1/batches/{answer.body['batch_id']}"
    found = functions.api("GET", f"/batches/{answer.body['batch_id']}")
    assert (found.status, found.body) == (200, answer.body)
    assert set(found.body["lines"]) == {"total", "accepted", "rejected", "duplicates", "waiting"}
    assert set(found.body["jobs"]) == {"LIVE", "SUCCEEDED", "PARTIAL", "FAILED", "TIMED_OUT", "CANCELLED"}


def test_its_jobs_are_listed_and_name_it(functions: Functions) -> None:
    batch_id = post(functions, line(1), line(2)).body["batch_id"]
    Batching(functions.world).execute(batch_id)

    listed = functions.api("GET", "/jobs", query={"batch": batch_id}).body["jobs"]

    assert sorted((job["source"], job["line"]) for job in listed) == [(f"batch#{batch_id}", n) for n in (1, 2)]


def test_an_upload_link_is_for_one_new_manifest(functions: Functions) -> None:
    first, second = (functions.api("POST", "/batches/uploads", {"format": "csv"}) for _ in range(2))

    assert first.status == 201
    assert first.body["manifest"] != second.body["manifest"]
    assert first.body["manifest"]["key"].endswith(".csv")
    assert urlsplit(first.body["url"]).path.endswith(first.body["manifest"]["key"])
    assert functions.api("POST", "/batches/uploads").body["manifest"]["key"].endswith(".jsonl")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"format": "xml"}, "/format"),
        ({"colour": 1}, "/colour"),
    ],
)
def test_an_upload_of_something_else_is_refused(functions: Functions, body: dict[str, Any], pointer: str) -> None:
    answer = functions.api("POST", "/batches/uploads", body)

    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert [error["pointer"] for error in answer.body["errors"]] == [pointer]


def test_a_manifest_that_is_not_there_is_refused_and_makes_no_batch(functions: Functions) -> None:
    answer = functions.api("POST", "/batches", {"manifest": {"key": "manifests/none.jsonl"}})

    assert (answer.status, answer.body["errors"][0]["pointer"]) == (400, "/manifest/key")
    assert Batching(functions.world).running() == []


def test_a_key_of_another_body_is_a_conflict(functions: Functions) -> None:
    functions.world.s3.put_object(Bucket=BUCKET, Key=KEY, Body=line(1).encode())
    headers, body = {"Idempotency-Key": "k-1"}, {"manifest": {"key": KEY}}

    first, again = (functions.api("POST", "/batches", body, headers=headers) for _ in range(2))
    other = functions.api("POST", "/batches", body | {"format": "csv"}, headers=headers)

    assert (first.status, again.body) == (202, first.body)
    assert other.status == 409


def test_cancel_and_resume_answer_with_the_batch(functions: Functions) -> None:
    batch_id = post(functions, line(1)).body["batch_id"]

    resumed = functions.api("POST", f"/batches/{batch_id}/resume")
    cancelled = functions.api("POST", f"/batches/{batch_id}/cancel")

    assert (resumed.status, resumed.body["status"], resumed.body["generation"]) == (202, "READING", 2)
    assert (cancelled.status, cancelled.body["status"], cancelled.body["generation"]) == (202, "CANCELLING", 3)


def test_what_the_status_does_not_allow_is_a_conflict(functions: Functions) -> None:
    batch_id = post(functions, line(1)).body["batch_id"]
    Batching(functions.world).execute(batch_id)

    assert functions.api("POST", f"/batches/{batch_id}/resume").status == 409
    assert functions.api("GET", f"/batches/{batch_id}/report/url").status == 409


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/batches/none"),
        ("POST", "/batches/none/cancel"),
        ("POST", "/batches/none/resume"),
        ("GET", "/batches/none/report/url"),
    ],
)
def test_a_batch_that_is_not_there_is_not_found(functions: Functions, method: str, path: str) -> None:
    assert functions.api(method, path).status == 404


def test_no_link_is_logged(functions: Functions) -> None:
    functions.api("POST", "/batches/uploads", {})
    batch_id = post(functions, line(1), "{broken").body["batch_id"]
    Batching(functions.world).execute(batch_id)
    link = functions.api("GET", f"/batches/{batch_id}/report/url").body["url"]

    assert "Signature" in link
    assert "Signature" not in functions.log.getvalue()
