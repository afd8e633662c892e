"""A batch of ten thousand lines, stopped and taken up again while it submits: what became of every line.

The jobs themselves are not part of it: once the stack is deployed, their machine is replaced by one that ends at once.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.fleet import Fleet

LINES = 10_000
STOPS = (0.3, 0.6)  # shares of the lines at which the execution is stopped
PATIENCE = 3600.0
HELD = {"StartAt": "Held", "States": {"Held": {"Type": "Succeed"}}}


@dataclass(frozen=True)
class Submitted:
    """What a batch left behind."""

    lines: int
    status: str
    seconds: float
    stopped_at: list[int]  # lines accepted by then
    generation: int
    jobs: int
    skipped: int  # lines without a job
    doubled: int  # jobs beyond a line's first
    executions: int  # of jobs, by different names
    write_units: float  # a line, as the two reads
    read_units: float
    invocations: float


def submit(fleet: Fleet, lines: int = LINES) -> Submitted:
    """Submit a manifest, stop its execution at each of STOPS, and have it go on: by itself first, then by the API."""
    stack, states = fleet.stack, fleet.stack.client("stepfunctions")
    states.update_state_machine(stateMachineArn=stack.outputs["StateMachineArn"], definition=json.dumps(HELD))
    before, executions_before, started = fleet.usage(), fleet.executions(), time.monotonic()
    key = "manifests/ten-thousand.jsonl"
    text = "\n".join(json.dumps({"request": {"vids": [f"line-{n}"]}}) for n in range(1, lines + 1))
    stack.client("s3").put_object(Bucket=stack.outputs["BucketName"], Key=key, Body=text.encode())
    defaults = {"vendor": "polyv", "account": "polyv-0"}
    reply = stack.call("POST", "/batches", body={"manifest": {"key": key}, "defaults": defaults})
    batch: dict[str, Any] = reply.json()
    stopped: list[int] = []
    while batch["status"] not in ("SUBMITTED", "FAILED") and time.monotonic() - started < PATIENCE:
        accepted = batch["lines"]["accepted"]
        if len(stopped) < len(STOPS) and accepted >= STOPS[len(stopped)] * lines:
            _stop(fleet, batch)
            stopped.append(accepted)
            if len(stopped) > 1:
                stack.call("POST", f"/batches/{batch['batch_id']}/resume")
        time.sleep(2)
        batch = stack.call("GET", f"/batches/{batch['batch_id']}").json()
    seconds = time.monotonic() - started
    time.sleep(3)  # the last counts are on their way to their file
    found = _lines(fleet, batch["batch_id"])
    used = fleet.usage().since(before)
    return Submitted(
        lines, batch["status"], seconds, stopped, batch["generation"], found.total(),
        sum(not found[line] for line in range(1, lines + 1)), sum(count - 1 for count in found.values() if count > 1),
        fleet.executions() - executions_before, used.asked("capacity", "write") / lines,
        used.asked("capacity", "read") / lines, used.asked("lambda", "invocations") / lines,
    )  # fmt: skip


def _stop(fleet: Fleet, batch: dict[str, Any]) -> None:
    machine = fleet.stack.outputs["BatchMachineArn"].replace(":stateMachine:", ":execution:")
    execution = f"{machine}:{batch['batch_id']}-{batch['generation']}"
    fleet.stack.client("stepfunctions").stop_execution(executionArn=execution)


def _lines(fleet: Fleet, batch_id: str) -> Counter[int]:
    """Jobs in the table by the line of the manifest that asked for them: that is what their request says."""
    found: Counter[int] = Counter()
    for row in fleet.rows():
        if row["sk"]["S"] == "JOB" and row.get("source", {}).get("S") == f"batch#{batch_id}":
            (vid,) = json.loads(row["request"]["S"])["vids"]
            found[int(vid.removeprefix("line-"))] += 1
    return found
