"""Batches on the deployed stack: a manifest with everything wrong in it, stopped in the middle; and one cancelled."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import requests

from local.patience import Patience
from local.simulators.linkvisual import LinkVisualSimulator
from local.simulators.polyv import PolyvSimulator
from local.stack import Stack
from tests.integration.vendors import Vendors

PATIENCE = 90.0  # seconds


def wait(stack: Stack, batch_id: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    patience = Patience(PATIENCE)
    while True:
        batch: dict[str, Any] = stack.call("GET", f"/batches/{batch_id}").json()
        if until(batch):
            return batch
        assert not patience.over, batch
        time.sleep(0.2)


def upload(stack: Stack, text: bytes, **body: Any) -> str:
    """By a link as a user without rights in the bucket would; the batch's id."""
    link = stack.call("POST", "/batches/uploads", body={"format": "jsonl"}).json()
    with requests.Session() as session:
        session.trust_env = False
        assert session.put(link["url"], data=text, timeout=30).ok
    return str(stack.call("POST", "/batches", body={"manifest": link["manifest"], **body}).json()["batch_id"])


def jobs_of(stack: Stack, batch_id: str) -> list[dict[str, Any]]:
    found, token = [], None
    while True:
        more = {"next_token": token} if token else {}
        page = stack.call("GET", "/jobs", params={"batch": batch_id, "limit": "100", **more}).json()
        found += page["jobs"]
        token = page["next_token"]
        if token is None:
            return found


def test_a_manifest_with_everything_wrong_is_submitted_once_although_it_is_stopped(
    stack: Stack, vendor: Vendors
) -> None:
    simulator, account = vendor(PolyvSimulator)
    good = [json.dumps({"vendor": "polyv", "account": account, "request": {"vids": [f"v{n}"]}}) for n in range(4)]
    broken = [b"{broken", b'{"vendor": "\xff"}', b'{"vendor": "polyv", "request": {"vids": []}}', b"[]", b" "]
    lines = [b"\xef\xbb\xbf" + good[0].encode() + b"\r", *(b"%s\r" % line.encode() for line in good[1:])]
    text = b"\n".join([*lines, *broken * 12, *(line.encode() for line in good)])

    batch_id = upload(stack, text)
    wait(stack, batch_id, lambda batch: batch["lines"]["total"] is not None)
    execution = stack.outputs["BatchMachineArn"].replace(":stateMachine:", ":execution:")
    stack.client("stepfunctions").stop_execution(executionArn=f"{execution}:{batch_id}-1")
    batch = wait(stack, batch_id, lambda batch: batch["status"] == "SUBMITTED")

    assert batch["generation"] == 2, "the sweep hears of the end and starts another execution"
    assert batch["lines"] == {"total": 56, "accepted": 4, "rejected": 48, "duplicates": 4, "waiting": 0}
    wait(stack, batch_id, lambda batch: batch["jobs"]["SUCCEEDED"] == 4)
    assert len(jobs_of(stack, batch_id)) == 4
    assert simulator.calls["create"] == 4
    link = stack.call("GET", f"/batches/{batch_id}/report/url").json()["url"]
    with requests.Session() as session:
        session.trust_env = False
        report = [json.loads(entry) for entry in session.get(link, timeout=30).text.splitlines()]
    assert sorted(entry["line"] for entry in report) == [entry["line"] for entry in report]
    assert len(report) == 52


def test_a_batch_that_is_cancelled_leaves_none_of_its_jobs_alive(stack: Stack, vendor: Vendors) -> None:
    _, account = vendor(LinkVisualSimulator)
    lines = [json.dumps({"request": {"iot_id": f"gate-{n}", "record_duration": 7200}}) for n in range(6)]
    batch_id = upload(stack, "\n".join(lines).encode(), defaults={"vendor": "linkvisual", "account": account})
    wait(stack, batch_id, lambda batch: batch["status"] == "SUBMITTED")

    assert stack.call("POST", f"/batches/{batch_id}/cancel").status_code == 202

    batch = wait(stack, batch_id, lambda batch: batch["status"] == "CANCELLED")
    assert (batch["jobs"]["CANCELLED"], batch["jobs"]["LIVE"]) == (6, 0)
    assert {job["status"] for job in jobs_of(stack, batch_id)} == {"CANCELLED"}
