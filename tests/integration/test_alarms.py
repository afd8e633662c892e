"""Every alarm fires when what it watches for really happens.

Each scenario makes it happen on the deployed stack. Then the alarm's own statistic, under its own namespace, name and
dimensions, must have crossed its own threshold, and the emulator must show it in ALARM. How the metrics come to
CloudWatch without AWS is in `metrics.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from samcli.yamlhelper import parse_yaml_file

from local.emulator import ROOT
from local.patience import until
from local.simulators.faults import Fault
from local.simulators.linkvisual import LinkVisualSimulator
from local.stack import Stack
from tests.integration.metrics import Metrics
from tests.integration.test_least_privilege import _without
from tests.integration.vendors import Vendors
from tests.unit.stack import second_opinion

NOBODY = "0" * 26  # no job and no batch has this id


@dataclass
class Ground:
    """What a scenario plays on."""

    stack: Stack
    vendor: Vendors
    metrics: Metrics

    def submit(self, iot_id: str, duration: int = 10, **settings: Any) -> tuple[dict[str, Any], LinkVisualSimulator]:
        simulator, account = self.vendor(LinkVisualSimulator, **settings)
        request = {"iot_id": iot_id, "record_duration": duration}
        return self.stack.submit({"vendor": "linkvisual", "account": account, "request": request}), simulator

    def raises(self, function: str, event: Any) -> None:
        """Call a function with what it cannot work on."""
        with pytest.raises(RuntimeError):
            self.stack.invoke(function, event)

    def status(self, machine: str, name: str) -> str:
        arn = self.machine(machine).replace(":stateMachine:", ":execution:")
        reply = self.stack.client("stepfunctions").describe_execution(executionArn=f"{arn}:{name}")
        return str(reply["status"])

    def machine(self, machine: str) -> str:
        return self.stack.outputs["StateMachineArn"].rpartition(":")[0] + f":{self.stack.name}-{machine}"

    def row(self, job_id: str) -> dict[str, Any]:
        return {"TableName": self.stack.outputs["TableName"], "Key": {"pk": {"S": f"JOB#{job_id}"}, "sk": {"S": "JOB"}}}


# -- what really happens -----------------------------------------------------------------------------------------------


def a_job_fails(ground: Ground) -> None:
    job, _ = ground.submit("offline-1")
    until(lambda: ground.status("retrieve", f"{job['job_id']}-1") == "FAILED", 60)


def a_batch_fails(ground: Ground) -> None:
    ground.stack.client("stepfunctions").start_execution(
        stateMachineArn=ground.machine("batch"),
        name=(name := f"{NOBODY}-{time.time_ns()}"),
        input=f'{{"batch_id": "{NOBODY}", "generation": 1}}',
    )
    until(lambda: ground.status("batch", name) == "FAILED", 60)


def an_execution_outlives_its_timeout(machine: str) -> Callable[[Ground], None]:
    """On the second interpreter: the emulator ends no execution by its TimeoutSeconds."""

    def happens(ground: Ground) -> None:
        whole = second_opinion.definition

        def impatient(name: str = "retrieve") -> dict[str, Any]:
            return {**whole(name), "TimeoutSeconds": 1}

        def slow(function: str, payload: dict[str, Any]) -> dict[str, Any]:
            time.sleep(2)
            return {"next": "WAIT", "wait_seconds": 1, "status": "RUNNING", "ready": [], "then": "WAIT"}

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(second_opinion, "definition", impatient)
            given = {**second_opinion.INPUT, "batch_id": NOBODY}
            run = second_opinion.execute(slow, machine=machine, given=given)
        ground.metrics.elsewhere.append((f"{ground.stack.name}-{machine}", run.status))

    return happens


def an_event_cannot_be_delivered(ground: Ground) -> None:
    """A rule's input that holds no job body: the function raises, and is asked again in vain."""
    sqs, queue = ground.stack.client("sqs"), _dead_letters(ground.stack)

    def there() -> bool:
        shown = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
        return int(shown["Attributes"]["ApproximateNumberOfMessages"]) > 0

    ground.stack.client("lambda").invoke(
        FunctionName=f"{ground.stack.name}-schedule", InvocationType="Event", Payload=b'{"jobs": []}'
    )
    until(there, 60)


def _dead_letters(stack: Stack) -> str:
    found = stack.client("cloudformation").describe_stack_resource(
        StackName=stack.name, LogicalResourceId="DeadLetters"
    )
    return str(found["StackResourceDetail"]["PhysicalResourceId"])


def a_job_is_old(ground: Ground) -> None:
    """Days cannot be waited for: the job's row is made to say that it was created long ago."""
    job, _ = ground.submit("gate", 7200)
    ground.stack.wait(job["job_id"], until=lambda seen: seen["status"] == "WAITING")
    ground.stack.client("dynamodb").update_item(
        **ground.row(job["job_id"]),
        UpdateExpression="SET created_key = :then",
        ExpressionAttributeValues={":then": {"S": f"2026-01-01T00:00:00.000Z#{job['job_id']}"}},
    )
    ground.stack.invoke("sweep", {})
    ground.stack.cancel(job["job_id"])


def a_triggers_reply_is_lost(ground: Ground) -> None:
    """The camera records and is not heard, and this account's recordings cannot be listed."""
    simulator, account = ground.vendor(LinkVisualSimulator, listed_in_query=False)
    simulator.fail_next("TriggerRecord", Fault("reset_after"))
    request = {"iot_id": "gate", "record_duration": 10}
    job = ground.stack.submit({"vendor": "linkvisual", "account": account, "request": request})
    ended = ground.stack.wait(job["job_id"])
    assert ended["error"]["code"] == "TRIGGER_UNCERTAIN"


def an_account_is_missing(ground: Ground) -> None:
    job = ground.stack.submit({"vendor": "polyv", "account": "nobody", "request": {"vids": ["1_1"]}})
    assert ground.stack.wait(job["job_id"])["error"]["code"] == "ACCOUNT_MISSING"


def executions_are_lost(ground: Ground) -> None:
    jobs = [ground.submit(f"gate-{number}", 7200)[0]["job_id"] for number in range(5)]
    for job_id in jobs:
        ground.stack.wait(job_id, until=lambda seen: seen["status"] == "WAITING")
        arn = ground.machine("retrieve").replace(":stateMachine:", ":execution:")
        ground.stack.client("stepfunctions").stop_execution(executionArn=f"{arn}:{job_id}-1")
    for job_id in jobs:
        ground.stack.wait(job_id, until=lambda seen: seen["generation"] > 1)
        ground.stack.cancel(job_id)


def a_job_resists_the_sweep(ground: Ground) -> None:
    """The sweep may not look at executions any more, and a job is due."""
    job, _ = ground.submit("gate", 7200)
    ground.stack.wait(job["job_id"], until=lambda seen: seen["status"] == "WAITING")
    ground.stack.client("dynamodb").update_item(
        **ground.row(job["job_id"]),
        UpdateExpression="SET due_at = :then",
        ExpressionAttributeValues={":then": {"N": "1"}},
    )
    with _without(ground.stack, "sweep", "CompareExecutions"):
        assert job["job_id"] in ground.stack.invoke("sweep", {})["failed"]
    ground.stack.cancel(job["job_id"])


def a_schedules_job_is_invalid(ground: Ground) -> None:
    ground.stack.invoke("schedule", {"schedule": "nightly", "job": {"vendor": "polyv", "request": {"vids": []}}})


def a_request_meets_a_defect(ground: Ground) -> None:
    with _without(ground.stack, "api", "ReadAJobWithItsFiles"):
        assert ground.stack.call("GET", f"/jobs/{NOBODY}").status_code == 500


def raises(function: str, event: Any) -> Callable[[Ground], None]:
    return lambda ground: ground.raises(function, event)


ON_AWS_ONLY = {"DownloadThrottlesAlarm"}  # the emulator throttles under another name and counts no throttles
UNKNOWN = {"job_id": NOBODY, "generation": 1}
SCENARIOS: dict[str, Callable[[Ground], None]] = {
    "ExecutionFailedAlarm": a_job_fails,
    "ExecutionTimedOutAlarm": an_execution_outlives_its_timeout("retrieve"),
    "BatchFailedAlarm": a_batch_fails,
    "BatchTimedOutAlarm": an_execution_outlives_its_timeout("batch"),
    "DeadLettersAlarm": an_event_cannot_be_delivered,
    "OldestUnfinishedJobAlarm": a_job_is_old,
    "TriggerUncertainAlarm": a_triggers_reply_is_lost,
    "AccountRefusedAlarm": an_account_is_missing,
    "JobsSweptAlarm": executions_are_lost,
    "SweepResistedAlarm": a_job_resists_the_sweep,
    "ScheduleRejectedAlarm": a_schedules_job_is_invalid,
    "ApiDefectsAlarm": a_request_meets_a_defect,
    "ApiErrorsAlarm": raises("api", {}),
    "ScheduleErrorsAlarm": raises("schedule", {"jobs": []}),
    "TriggerErrorsAlarm": raises("trigger", UNKNOWN),
    "PollErrorsAlarm": raises("poll", UNKNOWN),
    "DownloadErrorsAlarm": raises("download", {**UNKNOWN, "file_id": "f001"}),
    "FinishErrorsAlarm": raises("finish", UNKNOWN),
    "BatchErrorsAlarm": raises("batch", {"batch_id": NOBODY, "generation": 1, "step": "prepare"}),
    "SweepErrorsAlarm": raises("sweep", {"source": "aws.states", "detail": {}}),
}


def test_every_alarm_has_its_scenario() -> None:
    resources = parse_yaml_file(str(ROOT / "template.yaml"))["Resources"]
    alarms = {name for name, resource in resources.items() if resource["Type"] == "AWS::CloudWatch::Alarm"}

    assert set(SCENARIOS) == alarms - ON_AWS_ONLY


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_fires(stack: Stack, vendor: Vendors, name: str) -> None:
    alarm = _alarm(stack, name)
    ground = Ground(stack, vendor, Metrics(stack))

    SCENARIOS[name](ground)
    ground.metrics.publish()

    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    assert ground.metrics.of(alarm) >= alarm["Threshold"]
    assert _alarm(stack, name)["StateValue"] == "ALARM"


def _alarm(stack: Stack, name: str) -> dict[str, Any]:
    found = stack.client("cloudformation").describe_stack_resource(StackName=stack.name, LogicalResourceId=name)
    physical = found["StackResourceDetail"]["PhysicalResourceId"]
    (alarm,) = stack.client("cloudwatch").describe_alarms(AlarmNames=[physical])["MetricAlarms"]
    return dict(alarm)
