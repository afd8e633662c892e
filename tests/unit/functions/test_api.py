"""The HTTP API: routes, statuses, and problems that name what is wrong."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from clipferry import __version__
from clipferry.aws import executions
from clipferry.intake import job_body
from clipferry.intake.values import fingerprints
from clipferry.jobs.statuses import JobStatus
from clipferry.vendors import VENDORS
from clipferry.vendors.contract import VendorRefused

from tests.conformance import toy
from tests.unit.functions.conftest import Functions, proxy_event
from tests.unit.intake.test_job_body import BAD
from tests.unit.steps.world import EVERYTHING

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

BODY: dict[str, Any] = {"vendor": "scripted", "request": {"url": "https://media.example/a.mp4"}}


def jobs(functions: Functions) -> int:
    return len(functions.world.rt.jobs.list(EVERYTHING, 100)[0])


def test_a_job_is_accepted_and_found_under_its_location(functions: Functions) -> None:
    answer = functions.api("POST", "/jobs", BODY | {"labels": {"site": "gate"}})
    assert (answer.status, answer.body["status"]) == (202, "QUEUED")
    assert answer.headers["Location"] == f"/v1/jobs/{answer.body['job_id']}"
    found = functions.api("GET", f"/jobs/{answer.body['job_id']}")
    assert (found.status, found.body) == (200, answer.body)
    assert found.headers["Content-Type"] == "application/json"
    assert functions.world.executions() == [(answer.body["job_id"], 1)]


@pytest.mark.parametrize("spelled", [60, 60.0])
def test_a_key_with_equal_numbers_is_a_replay_and_the_job_shows_them_in_one_form(
    functions: Functions, spelled: float
) -> None:
    def post(number: float) -> Any:
        body = BODY | {"request": BODY["request"] | {"record_duration": number}, "deadline_seconds": number}
        return functions.api("POST", "/jobs", body, headers={"Idempotency-Key": "k-1"})

    first, again, other = post(60), post(spelled), post(61)

    assert (first.status, again.status, other.status) == (202, 202, 409)
    assert again.body == first.body
    assert repr(again.body["request"]["record_duration"]) == repr(again.body["deadline_seconds"]) == "60"


def test_a_body_of_the_first_release_is_a_replay_of_its_own_job(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = BODY | {"deadline_seconds": 60.0}
    with monkeypatch.context() as first_release:
        first_release.setattr(job_body, "fingerprint", lambda given: fingerprints(body)[1])
        first = functions.api("POST", "/jobs", body, headers={"Idempotency-Key": "k-1"})

    assert functions.api("POST", "/jobs", body, headers={"Idempotency-Key": "k-1"}).body == first.body


def test_a_job_shows_every_documented_field(functions: Functions) -> None:
    job = functions.api("POST", "/jobs", BODY).body
    functions.world.settle()
    job = functions.api("GET", f"/jobs/{job['job_id']}").body
    assert {
        "job_id",
        "vendor",
        "account",
        "status",
        "progress",
        "request",
        "adopt",
        "vendor_refs",
        "labels",
        "files",
        "error",
        "polls",
        "next_poll_at",
        "created_at",
        "updated_at",
        "finished_at",
    } <= set(job)
    assert set(job["files"][0]) == {
        "file_id",
        "name",
        "status",
        "size",
        "bytes_copied",
        "attempts",
        "parts",
        "s3_uri",
        "evidence",
        "error",
    }
    assert (job["status"], job["progress"], job["error"]) == ("SUCCEEDED", 100, None)


def test_one_key_and_one_body_are_one_job(functions: Functions) -> None:
    first = functions.api("POST", "/jobs", BODY, headers={"Idempotency-Key": "k-1"})
    functions.world.wait(60)
    again = functions.api("POST", "/jobs", dict(reversed(BODY.items())), headers={"idempotency-key": "k-1"})
    assert again.status == 202
    assert again.body == first.body
    assert jobs(functions) == len(functions.world.executions()) == 1


def test_one_key_with_another_body_is_a_conflict(functions: Functions) -> None:
    functions.api("POST", "/jobs", BODY, headers={"Idempotency-Key": "k-1"})
    answer = functions.api("POST", "/jobs", BODY | {"labels": {"a": "b"}}, headers={"Idempotency-Key": "k-1"})
    assert answer.status == 409
    assert jobs(functions) == 1


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_has_a_length(functions: Functions, key: str) -> None:
    answer = functions.api("POST", "/jobs", BODY, headers={"Idempotency-Key": key})
    assert (answer.status, answer.body["errors"][0]["pointer"]) == (400, "Idempotency-Key")


def test_bad_input_is_named_and_leaves_nothing_behind(functions: Functions) -> None:
    for body, pointer in BAD:
        answer = functions.api("POST", "/jobs", body)
        assert answer.status == answer.body["status"] == 400, body
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert pointer in [error["pointer"] for error in answer.body["errors"]], body
    assert functions.world.edge.effects == []


@pytest.mark.parametrize("body", ["", "{", "[]", '"a"', "null", "[" * 100_000, '{"a": "' + "x" * 300_000 + '"}'])
def test_a_body_that_is_no_job_at_all(functions: Functions, body: str) -> None:
    assert functions.api("POST", "/jobs", body).status == 400


def test_a_body_in_base64_is_read_and_one_that_is_no_text_refused(functions: Functions) -> None:
    for raw, status in ((b'{"vendor": "nobody"}', 400), (b"\xff\xfe\x00", 400)):
        event = proxy_event("POST", "/jobs", base64.b64encode(raw).decode()) | {"isBase64Encoded": True}
        assert functions.call("api", event)["statusCode"] == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/jobs/{'0' * 26}"),
        ("POST", f"/jobs/{'0' * 26}/cancel"),
        ("POST", f"/jobs/{'0' * 26}/retry"),
        ("GET", f"/jobs/{'0' * 26}/files/f001/url"),
        ("GET", "/nowhere"),
        ("DELETE", "/jobs"),
    ],
)
def test_what_is_not_there_is_a_404_problem(functions: Functions, method: str, path: str) -> None:
    answer = functions.api(method, path)
    assert (answer.status, answer.body["status"]) == (404, 404)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_list_pages_to_its_end_newest_first(functions: Functions) -> None:
    made = []
    for _ in range(5):
        made.append(functions.api("POST", "/jobs", BODY).body["job_id"])
        functions.world.wait(1)
    found, query = [], {"limit": "2", "vendor": "scripted"}
    while True:
        page = functions.api("GET", "/jobs", query=query)
        assert page.status == 200
        found += [job["job_id"] for job in page.body["jobs"]]
        if page.body["next_token"] is None:
            break
        query["next_token"] = page.body["next_token"]
    assert found == made[::-1]


@pytest.mark.parametrize(
    "query",
    [
        {"next_token": "tampered"},
        {"limit": "1000"},
        {"vendor": "nobody"},
        {"since": "soon"},
        {"colour": "red"},
    ],
)
def test_a_bad_query_is_named(functions: Functions, query: dict[str, str]) -> None:
    answer = functions.api("GET", "/jobs", query=query)
    assert answer.status == 400
    assert answer.body["errors"][0]["parameter"] == next(iter(query))


def test_a_cancel_and_its_second_click(functions: Functions) -> None:
    job_id = functions.api("POST", "/jobs", BODY).body["job_id"]
    for _ in range(2):
        answer = functions.api("POST", f"/jobs/{job_id}/cancel")
        assert (answer.status, answer.body["status"]) == (200, "CANCELLED")
    assert len(functions.world.edge.sent) == 1


def test_a_cancel_of_what_has_ended_is_a_conflict(functions: Functions) -> None:
    job_id = functions.api("POST", "/jobs", BODY).body["job_id"]
    functions.world.settle()
    answer = functions.api("POST", f"/jobs/{job_id}/cancel")
    assert (answer.status, answer.body["detail"]) == (409, "a job that is SUCCEEDED cannot be cancelled")


def test_a_retry_is_accepted_as_a_new_generation(functions: Functions) -> None:
    functions.world.stage.trigger = [VendorRefused("the camera is offline")]
    job_id = functions.api("POST", "/jobs", BODY).body["job_id"]
    assert functions.api("POST", f"/jobs/{job_id}/retry").status == 409
    functions.world.settle()
    answer = functions.api("POST", f"/jobs/{job_id}/retry")
    assert (answer.status, answer.body["generation"]) == (202, 2)
    functions.world.settle()
    assert functions.api("GET", f"/jobs/{job_id}").body["status"] == "SUCCEEDED"


def test_a_stored_file_has_a_signed_link_and_another_none(functions: Functions) -> None:
    job_id = functions.api("POST", "/jobs", BODY).body["job_id"]
    functions.world.trigger(job_id)
    functions.world.poll(job_id)
    assert functions.api("GET", f"/jobs/{job_id}/files/f001/url").status == 409
    functions.world.settle()
    answer = functions.api("GET", f"/jobs/{job_id}/files/f001/url")
    assert (answer.status, answer.body["expires_in"]) == (200, 900)
    assert f"{job_id}/f001.mp4?" in answer.body["url"]
    assert functions.api("GET", f"/jobs/{job_id}/files/f002/url").status == 404


def test_every_vendor_is_described(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(VENDORS, "scripted")
    body = functions.api("GET", "/vendors").body
    assert body["version"] == __version__
    vendors = body["vendors"]
    assert [vendor["vendor"] for vendor in vendors] == list(VENDORS)
    for vendor in vendors:
        assert vendor["request"]["type"] == vendor["adopt"]["type"] == "object"
        assert vendor["limits"]
        assert vendor["supports"]["request"] is vendor["supports"]["adopt"] is True


def test_a_vendor_is_offered_as_soon_as_it_is_registered(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.register(monkeypatch)
    described = functions.api("GET", "/vendors").body["vendors"][-1]
    assert (described["vendor"], described["title"]) == ("toy", "Toy Kitchen")
    assert described["request"]["required"] == ["dishes"]
    assert (described["limits"], described["secret_keys"]) == ({"dishes": "1 to 10 a job, 4 an order"}, ["key"])

    refused = functions.api("POST", "/jobs", {"vendor": "toy", "request": {"dishes": []}})
    assert (refused.status, refused.body["errors"][0]["pointer"]) == (400, "/request/dishes")
    job = functions.api("POST", "/jobs", {"vendor": "toy", "request": {"dishes": ["soup"]}})
    assert (job.status, job.body["account"], job.body["vendor"]) == (202, "toy", "toy")
    assert functions.api("GET", "/jobs", query={"vendor": "toy"}).body["jobs"][0]["job_id"] == job.body["job_id"]


def test_a_start_that_fails_is_left_to_the_sweep(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.exceptions import ClientError

    def refuse(_: object) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException"}}, "StartExecution")

    with monkeypatch.context() as broken:
        broken.setattr(executions, "start", refuse)
        answer = functions.api("POST", "/jobs", BODY)
    assert answer.status == 202
    functions.world.settle()
    functions.world.assert_honest(answer.body["job_id"], JobStatus.SUCCEEDED, stored=1)


def test_a_defect_of_ours_is_a_500_that_tells_nothing(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("canary-internals")

    monkeypatch.setattr(functions.world.rt.jobs, "load", broken)
    answer = functions.api("GET", f"/jobs/{'0' * 26}")
    assert (answer.status, answer.body["request_id"]) == (500, "request-1")
    assert "canary" not in repr(answer)
    assert "canary-internals" in functions.log.getvalue()
