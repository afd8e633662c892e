"""The machine's definition on another interpreter than the emulator's: moto's, with jsonata-python for the expressions.

Functions are played by a script of answers; waits and retry pauses take no time and are written down.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import jsonata
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_sfn
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.jsonata import jsonata as moto_jsonata

from tests.unit.aws_clients import new_client

FOLDER = Path(__file__).resolve().parents[3] / "statemachine"
FUNCTIONS = {"retrieve": ("Trigger", "Poll", "Download", "Finish"), "batch": ("Batch", "Sweep")}
BUCKET = "videos"
INPUT = {"job_id": "01KAJ3Q0M7Z8V4T2R9XW5CY6DE", "generation": 1}
PATIENCE = 30.0  # seconds until a run counts as stuck

Answer = Mapping[str, Any] | Exception
Play = Callable[[str, dict[str, Any]], Answer]


class FunctionRaised(Exception):
    """Stands for an exception in a handler; the message is the error's name."""


@dataclass
class Run:
    """What an execution did."""

    status: str = ""
    error: str | None = None
    cause: str | None = None
    states: list[str] = field(default_factory=list)  # names, in the order of entering
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # function, payload
    waits: list[int] = field(default_factory=list)  # seconds
    retries: int = 0
    events: int = 0  # of its history
    started: list[dict[str, Any]] = field(default_factory=list)  # StartExecution requests

    def called(self, function: str) -> list[dict[str, Any]]:
        return [payload for name, payload in self.calls if name == function]


def definition(machine: str = "retrieve") -> dict[str, Any]:
    """The definition with its placeholders filled in as a deployment would."""
    text = (FOLDER / f"{machine}.asl.json").read_text().replace("${Partition}", "aws").replace("${Bucket}", BUCKET)
    for name in FUNCTIONS[machine]:
        text = text.replace(f"${{{name}Function}}", f"arn:aws:lambda:us-east-1:123456789012:function:{name}")
    return dict(json.loads(text))


def levels(machine: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The machine and each Map's own machine inside it."""
    yield machine
    for state in machine["States"].values():
        if state["Type"] == "Map":
            yield from levels(state["ItemProcessor"])


def lambda_states(machine: str = "retrieve") -> dict[str, dict[str, Any]]:
    """The states that call a function, by name."""
    states = {name: state for level in levels(definition(machine)) for name, state in level["States"].items()}
    return {name: state for name, state in states.items() if state.get("Resource", "").endswith(":lambda:invoke")}


def execute(
    play: Play,
    *,
    already_started: bool = False,
    machine: str = "retrieve",
    given: Mapping[str, Any] = INPUT,
    objects: Mapping[str, Any] | None = None,
) -> Run:
    """Run one execution to its end; `play` answers each call of a function, an exception being one it raises.

    `objects` are in the bucket, as JSON.
    """
    run = Run()
    with _interpreter(run, play, already_started):
        for key, value in (objects or {}).items():
            s3 = new_client("s3")
            s3.create_bucket(Bucket=BUCKET)
            s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(value))
        client = new_client("stepfunctions")
        arn = client.create_state_machine(
            name=machine, definition=json.dumps(definition(machine)), roleArn="arn:aws:iam::123456789012:role/machine"
        )["stateMachineArn"]
        execution = client.start_execution(stateMachineArn=arn, name="run-1", input=json.dumps(given))["executionArn"]
        deadline = time.monotonic() + PATIENCE
        while (described := client.describe_execution(executionArn=execution))["status"] == "RUNNING":
            if time.monotonic() > deadline:
                client.stop_execution(executionArn=execution)
                raise TimeoutError(f"still running after {PATIENCE} s: {run.calls[-5:]}")
            time.sleep(0.02)
        run.status = described["status"]
        run.error, run.cause = described.get("error"), described.get("cause")
        pages = client.get_paginator("get_execution_history").paginate(executionArn=execution)
        history = [event for page in pages for event in page["events"]]
        run.events = len(history)
        run.states = [
            event["stateEnteredEventDetails"]["name"] for event in history if "stateEnteredEventDetails" in event
        ]
    return run


@contextmanager
def _interpreter(run: Run, play: Play, already_started: bool) -> Iterator[None]:
    def invoke(parameters: dict[str, Any], region: str, state_credentials: Any) -> dict[str, Any]:
        function = parameters["FunctionName"].rsplit(":", 1)[1]
        payload = json.loads(parameters["Payload"])
        run.calls.append((function, payload))
        answer = play(function, payload)
        if isinstance(answer, FunctionRaised):
            return {"FunctionError": "Unhandled", "Payload": {"errorType": str(answer), "errorMessage": "boom"}}
        if isinstance(answer, Exception):
            raise answer
        return {"StatusCode": 200, "Payload": dict(answer)}

    def pause(_seconds: float) -> None:
        run.retries += 1

    def wait(self: Any, env: Any, wait_seconds: int) -> None:
        run.waits.append(wait_seconds)

    stand_ins: list[tuple[Any, str, Any]] = [
        (moto_jsonata, "_eval_jsonata", lambda text: jsonata.Jsonata(text).evaluate(None)),
        (lambda_eval_utils, "_invoke_lambda_function", invoke),
        (state_task_service_sfn, "boto_client_for", lambda **_: _Starter(run, already_started)),
        (retrier_decl, "time", SimpleNamespace(sleep=pause)),
        (WaitFunction, "_wait_interval", wait),
    ]
    with ExitStack() as patches:
        patches.enter_context(mock_aws(config={"stepfunctions": {"execute_state_machine": True}}))
        for owner, name, stand_in in stand_ins:
            patches.enter_context(patch.object(owner, name, stand_in))
        yield


class _Starter:
    """A Step Functions client that only starts executions, and only on paper."""

    def __init__(self, run: Run, already_started: bool) -> None:
        self._run, self._already_started = run, already_started

    def start_execution(self, **request: Any) -> dict[str, Any]:
        self._run.started.append({"name": request["Name"], "input": json.loads(request["Input"])})
        if self._already_started:
            raise refused("ExecutionAlreadyExists", "StartExecution")
        return {
            "executionArn": f"arn:{request['Name']}",
            "startDate": "2026-11-21T02:00:00Z",
            "ResponseMetadata": {"HTTPStatusCode": 200},
        }


def refused(code: str, operation: str = "Invoke") -> ClientError:
    """An AWS service's error answer."""
    metadata: Any = {"HTTPStatusCode": 400, "RequestId": "0"}
    return ClientError({"Error": {"Code": code, "Message": code}, "ResponseMetadata": metadata}, operation)
