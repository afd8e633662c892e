"""The deployed stack itself: who may call it, what a rule does, what the machine leaves behind."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import requests
from clipferry.steps.step_result import HAND_OVER_AT

from local.patience import until
from local.simulators.linkvisual import LinkVisualSimulator
from local.simulators.polyv import PolyvSimulator
from local.stack import BUILD, Caller, CallRefused, Stack
from tests.benchmarks.start import LAYERS_MOST, unzipped
from tests.integration.vendors import Vendors

EVENTS = Path(__file__).resolve().parents[2] / "events"


class TestCallers:
    def test_an_unsigned_call_is_refused(self, stack: Stack) -> None:
        with requests.Session() as session:
            session.trust_env = False
            assert session.get(f"{stack.url}/jobs", timeout=30).status_code == 403

    def test_a_call_signed_with_a_wrong_secret_is_refused(self, stack: Stack) -> None:
        impostor = Caller(stack.caller.access_key_id, "not-the-secret")

        assert impostor.call("GET", f"{stack.url}/jobs").status_code == 403

    def test_a_user_without_the_right_to_call_the_api_is_refused(self, stack: Stack) -> None:
        stranger = stack.new_caller(f"stranger-{time.time_ns()}", allowed=False)

        assert stranger.call("GET", f"{stack.url}/jobs").status_code == 403

    def test_a_bad_body_is_refused_and_its_bad_fields_are_named(self, stack: Stack, vendor: Vendors) -> None:
        _, account = vendor(PolyvSimulator)

        assert stack.call("POST", "/jobs", body='{"vendor": "polyv"}').status_code == 400
        with pytest.raises(CallRefused) as refused:
            stack.submit({"vendor": "polyv", "account": account, "request": {"vids": []}})
        assert refused.value.problem["errors"]


def test_a_job_goes_the_whole_way_and_tells_of_it(stack: Stack, vendor: Vendors) -> None:
    simulator, account = vendor(LinkVisualSimulator)
    events, queue = stack.client("events"), stack.client("sqs").create_queue(QueueName=f"told-{time.time_ns()}")
    arn = stack.client("sqs").get_queue_attributes(QueueUrl=queue["QueueUrl"], AttributeNames=["QueueArn"])
    bus = stack.outputs["EventBusName"]
    events.put_rule(Name="told", EventBusName=bus, EventPattern=json.dumps({"source": ["clipferry"]}))
    events.put_targets(Rule="told", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}])

    job = stack.wait(
        stack.submit(
            {
                "vendor": "linkvisual",
                "account": account,
                "request": {"iot_id": "gate-3", "record_duration": 60},
                "destination": {"prefix": "site-a"},
                "labels": {"site": "gate-3"},
            }
        )["job_id"]
    )

    (file,) = job["files"]
    (served,) = simulator.expected.values()
    assert (job["status"], file["evidence"]["sha256"], file["size"]) == ("SUCCEEDED", served["sha256"], served["size"])
    assert file["s3_uri"].startswith(f"s3://{stack.outputs['BucketName']}/site-a/linkvisual/")
    manifest = json.loads(stack.stored(file["s3_uri"].rpartition("/")[0] + "/manifest.json"))
    assert (manifest["job_id"], manifest["files"]) == (job["job_id"], job["files"])
    (message,) = stack.client("sqs").receive_message(QueueUrl=queue["QueueUrl"], WaitTimeSeconds=10)["Messages"]
    told = json.loads(message["Body"])
    assert (told["detail-type"], told["detail"]["job_id"]) == ("Clipferry Job Succeeded", job["job_id"])


def test_the_execution_of_a_failed_job_fails_and_the_sweep_hears_of_it(stack: Stack, vendor: Vendors) -> None:
    _, account = vendor(LinkVisualSimulator)
    request = {"iot_id": "offline-1", "record_duration": 60}

    job = stack.wait(stack.submit({"vendor": "linkvisual", "account": account, "request": request})["job_id"])

    assert job["status"] == "FAILED"
    execution = f"{stack.outputs['StateMachineArn'].replace(':stateMachine:', ':execution:')}:{job['job_id']}-1"
    sfn = stack.client("stepfunctions")
    status = until(
        lambda: (found := sfn.describe_execution(executionArn=execution)["status"]) != "RUNNING" and found, 30
    )
    assert status == "FAILED"


def test_an_execution_near_the_end_of_its_history_hands_its_job_to_the_next(stack: Stack, vendor: Vendors) -> None:
    simulator, account = vendor(LinkVisualSimulator)
    request = {"iot_id": "gate-4", "record_duration": 1800}
    job_id = stack.submit({"vendor": "linkvisual", "account": account, "request": request})["job_id"]
    stack.wait(job_id, until=lambda job: job["status"] == "WAITING")

    stack.client("stepfunctions").start_execution(
        stateMachineArn=stack.outputs["StateMachineArn"],
        name=f"{job_id}-long",
        input=json.dumps({"job_id": job_id, "generation": 1, "events": HAND_OVER_AT}),
    )

    job = stack.wait(job_id)
    assert (job["status"], job["generation"], job["trigger_attempts"]) == ("SUCCEEDED", 2, 1)
    assert len(simulator.tasks) == 1
    shown = stack.client("stepfunctions").list_executions(stateMachineArn=stack.outputs["StateMachineArn"])
    assert {f"{job_id}-{name}" for name in ("1", "long", "2")} <= {run["name"] for run in shown["executions"]}


def test_a_delivery_of_a_schedules_input_that_is_repeated_starts_its_job_once(stack: Stack, vendor: Vendors) -> None:
    _, account = vendor(PolyvSimulator)
    rule_input = {"vendor": "polyv", "account": account, "request": {"vids": ["once"]}}

    first, again = (stack.invoke("schedule", rule_input)["job_ids"] for _ in range(2))

    assert first == again
    assert stack.wait(first[0])["status"] == "SUCCEEDED"


def test_the_layers_stay_far_below_what_a_function_may_unpack(stack: Stack) -> None:
    layers = unzipped(BUILD)

    assert set(layers) == {"ClipferryLayer", "DependenciesLayer"}
    assert 0 < sum(layers.values()) < LAYERS_MOST


def test_the_sweeps_own_events_are_taken(stack: Stack) -> None:
    for sample in ("sweep-every-5-minutes", "sweep-execution-ended"):
        assert stack.invoke("sweep", json.loads((EVENTS / f"{sample}.json").read_text()))["restarted"] == []
