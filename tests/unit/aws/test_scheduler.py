"""Schedules as EventBridge Scheduler keeps them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from clipferry.aws import scheduler
from clipferry.aws.scheduler import NoSchedule, NotKept
from clipferry.intake.checks import InvalidBody
from clipferry.intake.schedule_body import Schedule

from tests.unit.intake.test_job_body import GOOD as JOB
from tests.unit.intake.test_job_body import IMS, request
from tests.unit.steps.aws import GROUP, Edge, aws, client

NOW = datetime.now(UTC).replace(microsecond=0)
NIGHTLY = Schedule("nightly", "cron(0 2 * * ? *)", JOB, "Europe/Berlin", NOW + timedelta(1), NOW + timedelta(9))


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Any:
    with aws(monkeypatch) as edge:
        edge.effects.clear()
        yield edge


def kept(name: str = "nightly") -> dict[str, Any]:
    return dict(client("scheduler").get_schedule(GroupName=GROUP, Name=name))


def fail(monkeypatch: pytest.MonkeyPatch, operation: str, code: str, times: int = 99) -> None:
    """Let an operation be refused some times."""
    real, left = getattr(client("scheduler"), operation), [times]

    def refused(**arguments: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            return real(**arguments)
        error = {"Error": {"Code": code, "Message": "no such thing"}}
        known = getattr(client("scheduler").exceptions, code, ClientError)
        raise known(error, operation)

    monkeypatch.setattr(client("scheduler"), operation, refused)


def test_what_is_put_is_there_and_what_is_deleted_is_gone(edge: Edge) -> None:
    made, new = scheduler.put(NIGHTLY, NOW)
    assert new
    assert made.wants_the_same(NIGHTLY)
    assert made.created_at is not None
    assert made.updated_at is not None
    assert scheduler.get("nightly") == made
    scheduler.delete("nightly")
    for gone in (scheduler.get, scheduler.delete):
        with pytest.raises(NoSchedule):
            gone("nightly")


def test_it_fires_into_the_one_function_by_the_one_role_with_the_dead_letters_behind(edge: Edge) -> None:
    scheduler.put(NIGHTLY, NOW)
    found = kept()
    assert (found["ScheduleExpression"], found["ScheduleExpressionTimezone"]) == ("cron(0 2 * * ? *)", "Europe/Berlin")
    assert (found["State"], found["FlexibleTimeWindow"]) == ("ENABLED", {"Mode": "OFF"})
    assert (found["StartDate"], found["EndDate"]) == (NIGHTLY.start, NIGHTLY.end)
    target = found["Target"]
    assert target["Arn"].endswith(":function:schedule")
    assert target["RoleArn"].endswith(":role/schedule")
    assert target["DeadLetterConfig"]["Arn"].endswith(":dead-letters")
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 30}
    said = json.loads(target["Input"])
    assert len(said.pop("token")) >= 32
    assert said == {
        "schedule": "nightly",
        "scheduled_time": "<aws.scheduler.scheduled-time>",
        "time_zone": "Europe/Berlin",
        "start": NIGHTLY.start.isoformat() if NIGHTLY.start else None,
        "end": NIGHTLY.end.isoformat() if NIGHTLY.end else None,
        "job": JOB,
    }


def test_no_text_of_the_job_is_taken_for_a_placeholder(edge: Edge) -> None:
    job = request(IMS, user_data="<aws.scheduler.execution-id>")
    made, _ = scheduler.put(replace(NIGHTLY, job=job), NOW)
    assert kept()["Target"]["Input"].count("<") == 1
    assert made.job == job


def test_the_same_again_changes_nothing(edge: Edge) -> None:
    made, _ = scheduler.put(NIGHTLY, NOW)
    again, new = scheduler.put(NIGHTLY, NOW + timedelta(days=2))
    assert (again, new) == (made, False)
    assert edge.effects == ["CreateSchedule"]


@pytest.mark.parametrize(
    "change",
    [
        {"expression": "rate(1 day)"},
        {"time_zone": "UTC"},
        {"start": None},
        {"end": None},
        {"enabled": False},
        {"job": JOB | {"labels": {"a": "b"}}},
        {"start": NOW - timedelta(days=1)},
    ],
)
def test_another_body_replaces_the_first(edge: Edge, change: dict[str, Any]) -> None:
    first, _ = scheduler.put(NIGHTLY, NOW)
    wanted = replace(NIGHTLY, **change)
    made, new = scheduler.put(wanted, NOW)
    assert not new
    assert made.wants_the_same(wanted)
    assert made.created_at == first.created_at
    assert kept()["State"] == ("ENABLED" if wanted.enabled else "DISABLED")


def test_another_role_or_queue_of_the_stack_is_taken_over(edge: Edge) -> None:
    scheduler.put(NIGHTLY, NOW)
    old = kept()
    same = (
        "GroupName",
        "Name",
        "ScheduleExpression",
        "ScheduleExpressionTimezone",
        "FlexibleTimeWindow",
        "EndDate",
        "State",
    )
    other = old["Target"] | {"RoleArn": "arn:aws:iam::123456789012:role/old"}
    client("scheduler").update_schedule(**{key: old[key] for key in same}, Target=other)
    scheduler.put(NIGHTLY, NOW)
    assert kept()["Target"] == old["Target"]


def test_a_start_that_has_passed_is_remembered_but_not_asked_for(edge: Edge) -> None:
    wanted = replace(NIGHTLY, start=NOW - timedelta(days=30))
    made, _ = scheduler.put(wanted, NOW)
    assert made.start == wanted.start
    assert "StartDate" not in kept()


def test_only_the_own_group_is_listed_page_by_page(edge: Edge) -> None:
    client("scheduler").create_schedule_group(Name="another-stack")
    names = [f"s{number}" for number in range(5)]
    for name in names:
        scheduler.put(replace(NIGHTLY, name=name), NOW)
    stranger = {
        key: value for key, value in kept("s0").items() if key in ("ScheduleExpression", "FlexibleTimeWindow", "Target")
    }
    client("scheduler").create_schedule(**stranger, Name="theirs", GroupName="another-stack")
    found, token = [], None
    while True:
        page, token = scheduler.page(2, token)
        assert len(page) <= 2
        found += [schedule.name for schedule in page]
        if token is None:
            break
    assert sorted(found) == names
    with pytest.raises(NoSchedule):
        scheduler.get("theirs")


def test_a_rate_that_is_changed_keeps_its_beat(edge: Edge) -> None:
    hourly = replace(NIGHTLY, expression="rate(1 hour)", start=NOW - timedelta(minutes=90))
    scheduler.put(hourly, NOW - timedelta(minutes=80))
    assert kept()["StartDate"] == NOW - timedelta(minutes=30)
    made, _ = scheduler.put(replace(hourly, job=JOB | {"labels": {"a": "b"}}), NOW)
    assert kept()["StartDate"] == NOW + timedelta(minutes=30)
    assert made.start == hourly.start


@pytest.mark.parametrize("said", ["{}", "text", '{"start": null, "job": 7}', "[]"])
def test_what_was_put_there_past_the_api_is_left_alone(edge: Edge, said: str) -> None:
    target = {"Arn": "arn:aws:lambda:us-east-1:123456789012:function:f", "RoleArn": "arn:aws:iam::123456789012:role/r"}
    client("scheduler").create_schedule(
        Name="by-hand",
        GroupName=GROUP,
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={**target, "Input": said},
    )
    assert scheduler.page(10, None) == ([], None)
    with pytest.raises(NoSchedule):
        scheduler.get("by-hand")


@pytest.mark.parametrize("name", ["", "a/b", "..", "x" * 65])
def test_a_name_that_cannot_be_is_not_there(edge: Edge, name: str) -> None:
    for look in (scheduler.get, scheduler.delete):
        with pytest.raises(NoSchedule):
            look(name)


def test_what_scheduler_refuses_is_told_in_its_words(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, "create_schedule", "ValidationException")
    with pytest.raises(InvalidBody, match="no such thing"):
        scheduler.put(NIGHTLY, NOW)


def test_a_full_group_is_told(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, "create_schedule", "ServiceQuotaExceededException")
    with pytest.raises(NotKept, match="as many schedules"):
        scheduler.put(NIGHTLY, NOW)


def test_other_trouble_is_not_taken_for_a_bad_request(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, "create_schedule", "InternalServerException")
    with pytest.raises(ClientError):
        scheduler.put(NIGHTLY, NOW)


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("create_schedule", "ConflictException"),
        ("update_schedule", "ResourceNotFoundException"),
        ("update_schedule", "ConflictException"),
    ],
)
def test_two_puts_at_once_come_to_one_end(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, operation: str, code: str
) -> None:
    if operation == "update_schedule":
        scheduler.put(replace(NIGHTLY, enabled=False), NOW)
    with monkeypatch.context() as once:
        fail(once, operation, code, times=1)
        made, _ = scheduler.put(NIGHTLY, NOW)
    assert made.wants_the_same(NIGHTLY)
    fail(monkeypatch, operation, code)
    scheduler.put(replace(NIGHTLY), NOW)  # nothing to do: nothing to lose against
    if operation == "update_schedule":
        with pytest.raises(NotKept, match="somebody else"):
            scheduler.put(replace(NIGHTLY, end=None), NOW)
