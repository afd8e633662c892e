"""Many jobs at once, and one that is stopped half-way: none is lost, nothing stays behind."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from local.simulators.linkvisual import LinkVisualSimulator
from local.simulators.polyv import PolyvSimulator
from local.stack import Stack
from tests.integration.vendors import Vendors

CROWD = 24  # more than a page of the listing below


def listed(stack: Stack, label: str) -> list[str]:
    """The ids of all jobs with a label, page by page."""
    found: list[str] = []
    query: dict[str, Any] = {"label": label, "limit": 20}
    while True:
        page = stack.call("GET", "/jobs", params=query).json()
        found += [job["job_id"] for job in page["jobs"]]
        if page["next_token"] is None:
            return found
        query["next_token"] = page["next_token"]


def uploads(stack: Stack, prefix: str) -> list[Any]:
    found = stack.client("s3").list_multipart_uploads(Bucket=stack.outputs["BucketName"], Prefix=prefix)
    return list(found.get("Uploads", []))


@pytest.mark.timeout(900)
def test_many_jobs_at_once_all_end_with_their_own_video(stack: Stack, vendor: Vendors) -> None:
    simulator, account = vendor(PolyvSimulator)

    def submit(number: int) -> dict[str, Any]:
        return stack.submit(
            {
                "vendor": "polyv",
                "account": account,
                "request": {"vids": [f"crowd-{number}"]},
                "destination": {"prefix": "crowd"},
                "labels": {"crowd": account},
            }
        )

    with ThreadPoolExecutor(10) as pool:
        submitted = [job["job_id"] for job in pool.map(submit, range(CROWD))]
    jobs = [stack.wait(job_id, timeout=600, every=1.0) for job_id in submitted]

    assert [job["status"] for job in jobs] == ["SUCCEEDED"] * CROWD
    for job in jobs:
        (file,), (vid,) = job["files"], job["request"]["vids"]
        assert file["evidence"]["sha256"] == simulator.expected[vid]["sha256"]
    assert sorted(listed(stack, f"crowd={account}")) == sorted(submitted)
    assert simulator.calls["create"] == len(simulator.tasks) == CROWD
    assert uploads(stack, "crowd/") == []


def test_a_job_that_is_cancelled_stops_here_and_at_the_vendor(stack: Stack, vendor: Vendors) -> None:
    simulator, account = vendor(LinkVisualSimulator)
    body = {
        "vendor": "linkvisual",
        "account": account,
        "request": {"iot_id": "yard-1", "record_duration": 4200},
        "destination": {"prefix": "cancelled"},
    }
    job_id = stack.submit(body)["job_id"]
    stack.wait(job_id, until=lambda job: job["status"] == "WAITING")

    cancelled, again = stack.cancel(job_id), stack.cancel(job_id)

    assert (cancelled["status"], cancelled["error"]["code"]) == ("CANCELLED", "CANCELLED")
    assert again == stack.job(job_id)
    assert simulator.calls["StopTriggeredRecord"] == 1
    arn = f"{stack.outputs['StateMachineArn'].replace(':stateMachine:', ':execution:')}:{job_id}-1"
    assert stack.client("stepfunctions").describe_execution(executionArn=arn)["status"] == "ABORTED"
    day = cancelled["created_at"][:10].replace("-", "/")
    prefix = f"cancelled/linkvisual/{day}/{job_id}/"
    assert uploads(stack, prefix) == []
    manifest = json.loads(stack.stored(f"s3://{stack.outputs['BucketName']}/{prefix}manifest.json"))
    assert (manifest["status"], manifest["files"]) == ("CANCELLED", [])
