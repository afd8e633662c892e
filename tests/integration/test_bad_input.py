"""Bad input and bad answers on the deployed stack: each ends in a code that says what to do, and tells no secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from local.simulators.base import Simulator
from local.simulators.cloudv import CloudVSimulator
from local.simulators.faults import Fault
from local.simulators.linkvisual import LinkVisualSimulator
from local.simulators.polyv import PolyvSimulator
from local.stack import Stack
from tests.integration.vendors import Vendors

CANARY = "canary-secret-of-an-account"
FUNCTIONS = ("api", "trigger", "poll", "download", "finish", "sweep")
RECORD = {"iot_id": "gate-3", "record_duration": 60}


def ended(stack: Stack, account: str, request: dict[str, Any], vendor: str = "linkvisual", **more: Any) -> Any:
    """A job's end, asked for under this account."""
    body = {"vendor": vendor, "account": account, "request": request, **more}
    return stack.wait(stack.submit(body)["job_id"])


def rows(stack: Stack) -> str:
    """Everything in the table, as text."""
    pages = stack.client("dynamodb").get_paginator("scan").paginate(TableName=stack.outputs["TableName"])
    return repr([item for page in pages for item in page["Items"]])


@pytest.mark.parametrize(
    "secret",
    [
        "not json, and " + CANARY,
        {"vendor": "linkvisual", "access_key_id": CANARY},
        {"vendor": "polyv", "app_id": CANARY, "app_secret": CANARY},
    ],
    ids=["no-json", "a-key-is-missing", "another-vendors"],
)
def test_an_account_that_is_malformed_fails_its_job(
    stack: Stack, account_numbers: Any, logs: Callable[[str], list[str]], secret: Any
) -> None:
    account = f"malformed-{next(account_numbers)}"
    stack.add_account(account, secret)

    job = ended(stack, account, RECORD)

    assert (job["status"], job["error"]["code"]) == ("FAILED", "ACCOUNT_MALFORMED")
    assert account in job["error"]["message"]
    assert CANARY not in f"{job} {rows(stack)} {[logs(function) for function in FUNCTIONS]}"


def test_an_account_that_does_not_exist_fails_its_job(stack: Stack) -> None:
    job = ended(stack, "nobodys", RECORD)

    assert (job["status"], job["error"]["code"]) == ("FAILED", "ACCOUNT_MISSING")
    assert f"{stack.outputs['SecretPrefix']}/nobodys" in job["error"]["message"]


def test_an_account_that_the_vendor_refuses_fails_its_job_with_the_vendors_request_id(
    stack: Stack, vendor: Vendors, logs: Callable[[str], list[str]]
) -> None:
    simulator, account = vendor(LinkVisualSimulator)
    stack.add_account(account, {**simulator.account(), "access_key_secret": CANARY})

    job = ended(stack, account, RECORD)

    assert (job["status"], job["error"]["code"]) == ("FAILED", "ACCOUNT_REFUSED")
    assert job["error"]["vendor_code"] == "SignatureDoesNotMatch"
    assert job["error"]["request_id"]
    assert simulator.calls["TriggerRecord"] == 1
    assert CANARY not in f"{job} {rows(stack)} {[logs(function) for function in FUNCTIONS]}"


@pytest.mark.parametrize(
    ("camera", "code", "words"),
    [
        ("offline-1", "DEVICE_OFFLINE", "device status error"),
        ("foreign-1", "VENDOR_REFUSED", "tenant auth error"),
    ],
)
def test_what_the_vendor_refuses_is_told_in_its_own_words(
    stack: Stack, vendor: Vendors, camera: str, code: str, words: str
) -> None:
    _, account = vendor(LinkVisualSimulator)

    job = ended(stack, account, {**RECORD, "iot_id": camera})

    assert (job["status"], job["error"]["code"], job["error"]["vendor_code"]) == ("FAILED", code, "403")
    assert words in job["error"]["message"]


def test_a_recording_without_a_file_fails_its_job(stack: Stack, vendor: Vendors) -> None:
    _, account = vendor(LinkVisualSimulator)

    job = ended(stack, account, {**RECORD, "iot_id": "empty-1"})

    assert (job["status"], job["error"]["code"], job["files"]) == ("FAILED", "NO_RECORDING", [])


NOTHING_OF_USE = [Fault("html"), Fault("empty"), Fault("truncated"), Fault("status", status=500), Fault("reset_before")]


def test_a_vendor_that_answers_nothing_of_use_is_asked_again_and_then_given_up(stack: Stack, vendor: Vendors) -> None:
    """All at once, for each waits its budget out."""
    asked = []
    for fault in NOTHING_OF_USE:
        simulator, account = vendor(PolyvSimulator)
        simulator.fail_next("get", fault, times=None)
        asked.append((simulator, stack.submit({"vendor": "polyv", "account": account, "request": {"vids": ["a"]}})))

    for simulator, submitted in asked:
        job = stack.wait(submitted["job_id"])
        assert (job["status"], job["error"]["code"], job["poll_errors"]) == ("FAILED", "VENDOR_UNAVAILABLE", 9)
        assert simulator.calls["get"] == 10


def test_a_vendor_that_comes_back_within_the_budget_costs_nothing(stack: Stack, vendor: Vendors) -> None:
    simulator, account = vendor(PolyvSimulator)
    simulator.fail_next("get", Fault("html"), times=4)

    job = ended(stack, account, {"vids": ["a"]}, "polyv")

    assert (job["status"], job["poll_errors"]) == ("SUCCEEDED", 0)


@pytest.mark.parametrize("media_base", ["https://169.254.169.254", "https://203.0.113.9"])
def test_a_file_at_an_address_that_nobody_may_reach_is_refused(stack: Stack, vendor: Vendors, media_base: str) -> None:
    simulator, account = vendor(CloudVSimulator)
    stack.add_account(account, {**simulator.account(), "media_base_url": media_base})

    job = ended(stack, account, {"files": [{"fetch_url": "https://media.example.com/a.mp4"}]}, "cloudv")

    assert (job["status"], job["error"]["code"]) == ("FAILED", "ADDRESS_REFUSED")
    assert job["files"][0]["error"]["code"] == "ADDRESS_REFUSED"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (LinkVisualSimulator, {"request": {**RECORD, "record_duration": 9}}),
        (LinkVisualSimulator, {"request": RECORD, "adopt": {"iot_id": "gate-3", "record_id": "r"}}),
        (PolyvSimulator, {"request": {"vids": [str(number) for number in range(101)]}}),
    ],
)
def test_a_body_that_is_refused_leaves_no_row_and_no_execution(
    stack: Stack, vendor: Vendors, kind: type[Simulator], body: dict[str, Any]
) -> None:
    simulator, account = vendor(kind)

    answer = stack.call("POST", "/jobs", body={"vendor": simulator.vendor, "account": account, **body})

    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert account not in rows(stack)
    assert not simulator.calls
