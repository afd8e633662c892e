"""Signed URLs in every field that a user or a vendor can set, and none in anything that comes out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clipferry import transfer
from clipferry.steps.schedule import ScheduleInvalid
from clipferry.store.rows import JobRow
from clipferry.transfer import Code
from clipferry.vendors.contract import Look, LookStatus, Sighting, Submitted, VendorRefused

from tests.unit.functions.conftest import Functions
from tests.unit.steps.aws import BUCKET, client
from tests.unit.steps.batching import KEY, Batching

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

#: The secret is `can` and `4ry` with something between them that ends a URL in many people's eyes.
SIGNED = (
    "https://media.example/clip.mp4?Signature=can'4ry",
    'HTTPS://media.example/clip.mp4?Signature=can"4ry',
    "https://media.example/clip.mp4?Signature=can<4ry>",
    "//media.example/clip.mp4#can(4ry)",
    "https://media.example/clip.mp4?x=片can]4ry",
    "https%3A%2F%2Fmedia.example%2Fclip.mp4%3FSignature%3Dcan%274ry",
    '{"url": "https:\\/\\/media.example\\/clip.mp4?can\'4ry"}',
    "https://user:can'4ry@media.example/clip.mp4",
    "https://media.example/clip.mp4?Signature=can 4ry",
    "https://media.example/clip.mp4?Signature=can\n4ry",
)


def planted(functions: Functions, signed: str) -> str:
    """A job of which every part that the vendor names is a signed URL."""
    stage = functions.world.stage
    evidence = {"level": "content-length", "sha256": "00", "etag": signed, signed: [signed]}
    stored = transfer.Stored("k/f001.mp4", 4, evidence, "video/mp4")
    stage.trigger = [Submitted({"ids": [signed], signed: signed}, first_look=1)]
    failed = Sighting(
        "v2", signed, LookStatus.FAILED, code=f"VENDOR_FILE_FAILED {signed}", message=signed, vendor_code=signed
    )
    stage.poll = [Look(LookStatus.READY, raw_status=signed, files=[Sighting("v1", signed, LookStatus.READY), failed])]
    functions.world.copying.results = [stored]
    job_id = functions.world.submit(request={"url": signed})
    functions.world.settle()
    return job_id


def refused(functions: Functions, signed: str) -> str:
    words = VendorRefused(f"no: {signed}", code=signed, request_id=signed)
    functions.world.stage.trigger = [words]
    job_id = functions.world.submit(request={"url": signed})
    functions.world.settle()
    return job_id


def broken(functions: Functions, signed: str) -> str:
    """A copy that fails with the source's words, and a defect whose words are a signed URL."""
    world = functions.world
    world.copying.results = [transfer.Failed(Code.NOT_A_VIDEO, f"came {signed}")]
    world.stage.poll = [RuntimeError(f"a defect: {signed}")]
    job_id = world.submit(request={"url": signed})
    event = {"job_id": job_id, "generation": 1}
    functions.call("trigger", event)
    with pytest.raises(RuntimeError):
        functions.call("poll", event)
    world.settle()
    return job_id


def shown(functions: Functions, job_id: str) -> list[Any]:
    return [
        functions.api("GET", f"/jobs/{job_id}"),
        functions.api("GET", "/jobs"),
        functions.world.manifest(job_id),
        functions.world.edge.sent,
    ]


def assert_nothing_secret(functions: Functions, signed: str, found: list[Any]) -> None:
    text = repr(found) + functions.log.getvalue() + repr(functions.replies)
    assert "media.example" in text, "a place with nothing in it proves nothing"
    for secret in ("4ry", "can'", 'can"', "can<", "can(", "can]", "=can"):
        assert secret not in text, (signed, secret, text[max(0, text.index(secret) - 300) : text.index(secret) + 50])


@pytest.mark.parametrize("signed", SIGNED)
@pytest.mark.parametrize("make", [planted, refused, broken])
def test_no_part_of_a_job_shows_it(functions: Functions, make: Any, signed: str) -> None:
    job_id = make(functions, signed.replace("\n", " "))  # no door takes a line break in a URL
    functions.as_published = make is not planted

    assert_nothing_secret(functions, signed, shown(functions, job_id))


@pytest.mark.parametrize("signed", SIGNED)
def test_no_answer_to_a_bad_call_shows_it(functions: Functions, signed: str) -> None:
    body: dict[str, Any] = {"vendor": "scripted", "request": {"url": "https://media.example/a"}}
    found = [
        functions.api("POST", "/jobs", body | {signed: signed}),
        functions.api("POST", "/jobs", body | {"vendor": signed, "account": signed, "on_uncertain": signed}),
        functions.api("POST", "/jobs", body | {"labels": {signed: signed, "a": signed}}),
        functions.api("POST", "/jobs", body | {"destination": {"prefix": signed, signed: 1}}),
        functions.api("POST", "/jobs", {"vendor": "scripted", "request": {"url": 1, signed: signed}}),
        functions.api("PUT", "/schedules/a", {"expression": signed, "time_zone": signed, "start": signed, "job": body}),
        functions.api("PUT", "/schedules/a", {"expression": "rate(1 day)", "job": body | {signed: 1}, "name": signed}),
        functions.api("POST", "/batches", {"manifest": {"key": f"manifests/{signed}.csv", "bucket": signed}}),
        functions.api("GET", "/jobs", query={signed: signed}),
        functions.api("GET", "/jobs", query={"vendor": signed}),
        functions.api("GET", "/jobs", query={"since": signed, "next_token": signed}),
        functions.api("GET", f"/jobs/{signed}"),
    ]

    assert {answer.status for answer in found} <= {400, 404}
    assert_nothing_secret(functions, signed, found)


@pytest.mark.parametrize("signed", SIGNED)
def test_a_schedule_and_what_it_fires_do_not_show_it(functions: Functions, signed: str) -> None:
    signed = signed.replace("\n", " ")
    job = {"vendor": "scripted", "request": {"url": signed}}
    found: list[Any] = [
        functions.api("PUT", "/schedules/a", {"expression": "rate(1 day)", "job": job}),
        functions.api("GET", "/schedules/a"),
        functions.api("GET", "/schedules"),
    ]
    assert found[0].status == 201
    functions.call(
        "schedule", {"schedule": "a", "scheduled_time": signed, "firing": signed, "token": signed, "job": job}
    )
    for event in ({"jobs": [job | {signed: 1}], "firing": signed}, {"schedule": signed, "job": job}):
        with pytest.raises(ScheduleInvalid) as caught:
            functions.call("schedule", event)
        found.append(str(caught.value))

    assert_nothing_secret(functions, signed, [*found, functions.world.edge.sent])


@pytest.mark.parametrize("signed", SIGNED)
def test_a_batch_and_its_report_do_not_show_it(functions: Functions, signed: str) -> None:
    signed = signed.replace("\n", " ")
    batching = Batching(functions.world)
    lines = [
        json.dumps({"vendor": "scripted", "request": {"url": signed}}),
        json.dumps({"vendor": signed, signed: signed, "labels": {signed: signed}}),
        signed,
    ]
    batch_id = batching.post(*lines, key=KEY)
    batching.execute(batch_id)
    header = batching.post(f"vendor,{signed}", "scripted,1", key="manifests/other.csv")
    batching.execute(header)

    report = functions.world.s3.get_object(Bucket=BUCKET, Key=batching.batch(batch_id).report or "")["Body"].read()
    found = [functions.api("GET", f"/batches/{batch_id}"), functions.api("GET", f"/batches/{header}")]
    assert found[1].body["error"]
    assert_nothing_secret(functions, signed, [*found, report, "media.example"])


def test_rows_that_were_written_before_do_not_show_it_either(functions: Functions) -> None:
    """A job that the release before has taken and ended, with names and words as the vendor sent them."""
    signed = SIGNED[0]
    job_id = functions.world.submit(request={"url": signed})
    words = json.dumps({"code": "A", "message": signed, "vendor_code": signed, "request_id": signed})
    JobRow.get(f"JOB#{job_id}", "JOB").update(actions=[JobRow.labels.set({"a": signed, signed: "b"})])
    client("dynamodb").update_item(
        TableName=JobRow.Meta.table_name,
        Key={"pk": {"S": f"JOB#{job_id}"}, "sk": {"S": "JOB"}},
        UpdateExpression="SET #error = :words",
        ExpressionAttributeNames={"#error": "error"},
        ExpressionAttributeValues={":words": {"S": words}},
    )

    assert_nothing_secret(functions, signed, [functions.api("GET", f"/jobs/{job_id}"), functions.api("GET", "/jobs")])
