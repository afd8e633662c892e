"""Executions from outside: a start repeated is a start once."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError
from clipferry.aws import executions

from tests.unit.steps.aws import client
from tests.unit.steps.world import World


def test_a_start_repeated_is_a_start_once(world: World) -> None:
    job = world.job(world.submit())
    executions.start(job)
    executions.start(job)
    assert world.executions() == [(job.job_id, 1)]
    world.stop_execution(job.job_id)
    executions.start(job)
    assert world.executions() == []


def test_an_execution_knows_its_job_and_generation_and_nothing_else(world: World) -> None:
    job = world.job(world.submit())
    found = client("stepfunctions").describe_execution(executionArn=executions.execution_arn(job))
    assert json.loads(found["input"]) == {"job_id": job.job_id, "generation": 1}
    assert found["name"] == executions.execution_name(job)


def test_the_status_of_an_execution_is_told(world: World) -> None:
    job = world.job(world.submit())
    assert executions.status(job) == "RUNNING"
    executions.stop(job, "enough")
    assert executions.status(job) == "ABORTED"
    job.generation = 2
    assert executions.status(job) is None
    executions.stop(job, "there is none")


def test_what_is_over_cannot_be_stopped_and_that_is_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job, refused = world.job(world.submit()), []

    def is_over(**_: object) -> None:
        refused.append("StopExecution")
        raise client("stepfunctions").exceptions.ValidationException(
            {"Error": {"Code": "ValidationException", "Message": "Execution is not running"}}, "StopExecution"
        )

    monkeypatch.setattr(client("stepfunctions"), "stop_execution", is_over)
    executions.stop(job, "the job was cancelled")

    assert refused


def test_a_stop_that_was_throttled_is_no_stop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = world.job(world.submit())

    def throttled(**_: object) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException"}}, "StopExecution")

    monkeypatch.setattr(client("stepfunctions"), "stop_execution", throttled)

    with pytest.raises(ClientError, match="ThrottlingException"):
        executions.stop(job, "the job was cancelled")
