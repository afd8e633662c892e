"""EventBridge Scheduler keeps the schedules: one group for each stack, one target, the job body in the target's input.

Scheduler calls the schedule function with `_input`, and replaces the placeholder in it by the firing's scheduled time
(EventBridge Scheduler User Guide: "Adding context attributes"). A firing that it cannot deliver goes to the dead-letter
queue.
The input also holds a random token. EventBridge rules of the account may call the same function but do not know the
token, so that only Scheduler can fire a schedule.
"""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from clipferry.aws.sdk import client_options
from clipferry.intake.checks import FieldError, InvalidBody
from clipferry.intake.schedule_body import Schedule, is_name
from clipferry.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_scheduler.type_defs import CreateScheduleInputTypeDef, GetScheduleOutputTypeDef, TargetTypeDef

RETRY_SECONDS = 3600  # Scheduler repeats a delivery for so long; then it goes to the dead-letter queue
RETRY_ATTEMPTS = 30
PUT_ATTEMPTS = 3  # when other calls put or delete the same name at the same time


class NoSchedule(Exception):
    """This stack's group has no schedule of that name."""


class NotKept(Exception):
    """EventBridge Scheduler does not accept the schedule now, although the request is right; the message says why."""


class BadToken(Exception):
    """The token does not come from a listing of this group."""


@cache
def _client() -> EventBridgeSchedulerClient:
    import boto3
    from botocore.config import Config

    return boto3.client("scheduler", config=Config(**client_options()))


def put(wanted: Schedule, now: datetime) -> tuple[Schedule, bool]:
    """Create or replace a schedule; the stored schedule, and whether it is new. A repeated call changes nothing.

    Raises InvalidBody, NotKept.
    """
    client, token = _client(), wanted.token or secrets.token_urlsafe(24)
    for _ in range(PUT_ATTEMPTS):
        # Another call put or deleted the same name meanwhile: read the schedule again.
        with suppress(client.exceptions.ConflictException, client.exceptions.ResourceNotFoundException, NoSchedule):
            found = _find(wanted.name)
            kept = _schedule(found) if found else None
            asked = replace(wanted, token=kept.token if kept and kept.token else token)
            if found is None:
                _ask(client.create_schedule, **_arguments(asked, now))
            elif not asked.wants_the_same(kept) or found["Target"] != _target(asked):
                _ask(client.update_schedule, **_arguments(asked, now))
            return get(wanted.name), found is None
    raise NotKept("the schedule is being changed by somebody else; try again")


def get(name: str) -> Schedule:
    """Raises NoSchedule."""
    schedule = find(name)
    if schedule is None:
        raise NoSchedule(name)
    return schedule


def find(name: str) -> Schedule | None:
    """The schedule of that name; None when there is none."""
    found = _find(name)
    return _schedule(found) if found else None


def delete(name: str) -> None:
    """Raises NoSchedule."""
    client = _client()
    if not is_name(name):
        raise NoSchedule(name)
    try:
        client.delete_schedule(GroupName=settings().schedule_group, Name=name)
    except client.exceptions.ResourceNotFoundException:
        raise NoSchedule(name) from None


def page(limit: int, token: str | None) -> tuple[list[Schedule], str | None]:
    """One page of this stack's schedules, and the token of the next page. Raises BadToken."""
    client, more = _client(), {"NextToken": token} if token else {}
    try:
        reply = client.list_schedules(GroupName=settings().schedule_group, MaxResults=limit, **more)  # type: ignore[arg-type]
    except ClientError as error:
        told = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if not token or told not in (None, HTTPStatus.BAD_REQUEST):
            raise
        raise BadToken from None
    found = [_find(summary["Name"]) for summary in reply["Schedules"]]  # the summaries lack the schedule's expression
    return [s for s in map(_schedule, filter(None, found)) if s], reply.get("NextToken")


def _ask(operation: Any, **arguments: Any) -> None:
    try:
        operation(**arguments)
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code == "ValidationException":
            raise InvalidBody([FieldError("", f"is refused by EventBridge Scheduler: {message}")]) from None
        if code == "ServiceQuotaExceededException":
            raise NotKept("EventBridge Scheduler holds as many schedules as this account may have") from None
        raise


def _find(name: str) -> GetScheduleOutputTypeDef | None:
    client = _client()
    if not is_name(name):
        return None
    try:
        return client.get_schedule(GroupName=settings().schedule_group, Name=name)
    except client.exceptions.ResourceNotFoundException:
        return None


def _schedule(found: GetScheduleOutputTypeDef) -> Schedule | None:
    """The schedule; None when somebody has put it into the group without Clipferry's API."""
    try:
        said = json.loads(found["Target"]["Input"])
        start, job = said["start"], dict(said["job"])
        end = datetime.fromisoformat(said["end"]) if said.get("end") else found.get("EndDate")
    except (ValueError, TypeError, KeyError):
        return None
    return Schedule(
        name=found["Name"],
        expression=found["ScheduleExpression"],
        time_zone=found["ScheduleExpressionTimezone"],
        start=datetime.fromisoformat(start) if start else None,
        end=end.astimezone(UTC) if end else None,
        enabled=found["State"] == "ENABLED",
        job=job,
        token=said.get("token"),
        created_at=found["CreationDate"],
        updated_at=found["LastModificationDate"],
    )


def _arguments(wanted: Schedule, now: datetime) -> CreateScheduleInputTypeDef:
    arguments: CreateScheduleInputTypeDef = {
        "GroupName": settings().schedule_group,
        "Name": wanted.name,
        "ScheduleExpression": wanted.expression,
        "ScheduleExpressionTimezone": wanted.time_zone,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "State": "ENABLED" if wanted.enabled else "DISABLED",
        "ActionAfterCompletion": "NONE",  # only a user deletes a schedule
        "Target": _target(wanted),
    }
    # Scheduler refuses an end in the past. So that an old schedule can be disabled, its bounds are in the input only.
    if not wanted.enabled:
        return arguments
    if start := wanted.begins(now):
        arguments["StartDate"] = start
    if wanted.end:
        arguments["EndDate"] = wanted.end
    return arguments


def _target(wanted: Schedule) -> TargetTypeDef:
    return {
        "Arn": settings().schedule_target_arn,
        "RoleArn": settings().schedule_role_arn,
        "DeadLetterConfig": {"Arn": settings().dead_letters_arn},
        "RetryPolicy": {"MaximumEventAgeInSeconds": RETRY_SECONDS, "MaximumRetryAttempts": RETRY_ATTEMPTS},
        "Input": _input(wanted),
    }


def _input(wanted: Schedule) -> str:
    """The input of the schedule function. Each `<` of the job is escaped, so that it starts no placeholder."""
    said = {
        "schedule": wanted.name,
        "token": wanted.token,
        "time_zone": wanted.time_zone,
        "start": wanted.start.isoformat() if wanted.start else None,
        "end": wanted.end.isoformat() if wanted.end else None,
        "job": wanted.job,
    }
    text = json.dumps(said).replace("<", "\\u003c")
    return f'{{"scheduled_time": "<aws.scheduler.scheduled-time>", {text[1:]}'
