"""Schedules on the deployed stack: put through the API, fired by EventBridge Scheduler, one job for each firing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from local import patience
from local.simulators.polyv import PolyvSimulator
from local.stack import Stack
from tests.integration.vendors import Vendors

PATIENCE = 90.0  # seconds; Scheduler looks every ten


def until(what: Callable[[], Any]) -> Any:
    return patience.until(what, PATIENCE, every=0.5)


def soon(seconds: int = 3) -> str:
    return f"at({(datetime.now(UTC) + timedelta(seconds=seconds)).strftime('%Y-%m-%dT%H:%M:%S')})"


def put_soon(stack: Stack, name: str, **body: Any) -> Any:
    """Put to fire as soon as the API manages to: a cold function on a busy machine may find the time passed."""
    for seconds in (3, 6, 12, 24):
        reply = stack.call("PUT", f"/schedules/{name}", body={"expression": soon(seconds), **body})
        if reply.status_code != 400:
            break
    return reply


def target(stack: Stack, name: str) -> dict[str, Any]:
    found: dict[str, Any] = stack.client("scheduler").get_schedule(GroupName=stack.name, Name=name)
    return found


def test_a_schedule_fires_once_and_one_whose_job_became_invalid_tells_of_it(
    stack: Stack, vendor: Vendors, logs: Callable[[str], list[str]]
) -> None:
    _, account = vendor(PolyvSimulator)
    name = f"lessons-{time.time_ns()}"
    events, queue = stack.client("events"), stack.client("sqs").create_queue(QueueName=name)
    arn = stack.client("sqs").get_queue_attributes(QueueUrl=queue["QueueUrl"], AttributeNames=["QueueArn"])
    pattern = {"source": ["clipferry"], "detail-type": ["Clipferry Schedule Rejected"]}
    bus = {"EventBusName": stack.outputs["EventBusName"]}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern), **bus)
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}], **bus)
    job = {
        "vendor": "polyv",
        "account": account,
        "request": {"vids": ["lesson"]},
        "destination": {"prefix": "{date}"},
        "labels": {"at": "{time}"},
    }

    # at(), not rate(): the emulator remembers a rate() that it has seen, and never fires an at() of the same name.
    stale = stack.call("PUT", f"/schedules/{name}-stale", body={"expression": soon(86_400), "job": job})
    silent = put_soon(stack, f"{name}-off", job=job, enabled=False)
    made = put_soon(stack, name, job=job)
    assert [reply.status_code for reply in (made, silent, stale)] == [201, 201, 201]
    kept = target(stack, f"{name}-stale")  # as an update of the bundle would leave it: valid once, and no longer
    kept["ScheduleExpression"] = soon(0)
    kept["Target"]["Input"] = kept["Target"]["Input"].replace('"polyv"', '"nobody"')
    same = ("Name", "GroupName", "ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "Target")
    stack.client("scheduler").update_schedule(**{key: kept[key] for key in same})

    jobs = until(lambda: stack.call("GET", f"/schedules/{name}/jobs").json()["jobs"])
    again = stack.invoke("schedule", json.loads(target(stack, name)["Target"]["Input"]))  # delivered a second time
    done = stack.wait(jobs[0]["job_id"])
    listed = [
        [found["job_id"] for found in stack.call("GET", path, params=params).json()["jobs"]]
        for path, params in ((f"/schedules/{name}/jobs", {}), ("/jobs", {"schedule": name}))
    ]
    assert listed == [[done["job_id"]]] * 2
    assert again["job_ids"] == [done["job_id"]]
    assert (done["status"], done["source"]) == ("SUCCEEDED", f"schedule#{name}")
    assert done["files"][0]["s3_uri"].split("/")[3] == done["created_at"][:10]
    assert stack.call("GET", f"/schedules/{name}-off/jobs").json()["jobs"] == []

    (message,) = until(lambda: stack.client("sqs").receive_message(QueueUrl=queue["QueueUrl"]).get("Messages"))
    told = json.loads(message["Body"])["detail"]
    assert (told["schedule"], told["errors"][0]["pointer"]) == (f"{name}-stale", "/job/vendor")
    assert stack.call("GET", f"/schedules/{name}-stale/jobs").json()["jobs"] == []
    until(lambda: any('"SchedulesRejected":[1.0]' in line.replace(" ", "") for line in logs("schedule")))

    names = [schedule["name"] for schedule in stack.call("GET", "/schedules").json()["schedules"]]
    assert {name, f"{name}-off", f"{name}-stale"} <= set(names)
    for suffix in ("", "-off", "-stale"):
        assert stack.call("DELETE", f"/schedules/{name}{suffix}").status_code == 204
    assert stack.call("GET", f"/schedules/{name}").status_code == 404
    assert len(stack.call("GET", f"/schedules/{name}/jobs").json()["jobs"]) == 1


def test_a_bad_schedule_is_refused_with_its_reasons(stack: Stack) -> None:
    body = {"expression": "rate(1 minutes)", "time_zone": "Mars/Base", "job": {"vendor": "polyv"}}

    refused = stack.call("PUT", "/schedules/bad", body=body)

    assert refused.status_code == 400
    assert {error["pointer"] for error in refused.json()["errors"]} == {"/expression", "/time_zone", "/job"}


def test_another_stacks_schedules_are_not_seen(stack: Stack) -> None:
    scheduler, group = stack.client("scheduler"), f"other-{time.time_ns()}"
    scheduler.create_schedule_group(Name=group)
    scheduler.create_schedule(
        Name="theirs",
        GroupName=group,
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": stack.outputs["ScheduleFunctionArn"], "RoleArn": "arn:aws:iam::000000000000:role/x"},
    )

    assert stack.call("GET", "/schedules/theirs").status_code == 404
    assert "theirs" not in stack.call("GET", "/schedules").text
    assert stack.call("DELETE", "/schedules/theirs").status_code == 404
