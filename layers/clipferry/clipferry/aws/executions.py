"""Starts, stops and describes executions of the state machines. A repeated start has no further effect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from clipferry.aws.sdk import client_options
from clipferry.batches import Batch
from clipferry.jobs.job import Job
from clipferry.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


@cache
def _client() -> SFNClient:
    import boto3
    from botocore.config import Config

    return boto3.client("stepfunctions", config=Config(**client_options()))


def execution_name(job: Job) -> str:
    """The job's id and generation. Names are unique, so each generation has only one execution."""
    return f"{job.job_id}-{job.generation}"


def parse_name(name: str) -> tuple[str, int] | None:
    """The id of the job or batch and the generation; None when the name is not one that Clipferry gives."""
    job_id, dash, generation = name.rpartition("-")
    return (job_id, int(generation)) if dash and generation.isdecimal() and generation.isascii() else None


def execution_arn(job: Job) -> str:
    return f"{settings().state_machine_arn.replace(':stateMachine:', ':execution:')}:{execution_name(job)}"


def start(job: Job) -> None:
    """Start the job's execution, if it was not started before."""
    of_job = {"job_id": job.job_id, "generation": job.generation}
    _start(settings().state_machine_arn, execution_name(job), of_job)


def start_batch(batch: Batch) -> None:
    """Start the batch's execution, if it was not started before."""
    of_batch = {"batch_id": batch.batch_id, "generation": batch.generation}
    _start(settings().batch_machine_arn, f"{batch.batch_id}-{batch.generation}", of_batch)


def _start(machine_arn: str, name: str, of_what: dict[str, Any]) -> None:
    client = _client()
    try:
        client.start_execution(stateMachineArn=machine_arn, name=name, input=json.dumps(of_what))
    except client.exceptions.ExecutionAlreadyExists:
        return


def stop(job: Job, cause: str) -> None:
    """Stop the job's execution if there is one. A running Lambda call goes on; its writes fail on their conditions."""
    client = _client()
    try:
        client.stop_execution(executionArn=execution_arn(job), cause=cause)
    except (client.exceptions.ExecutionDoesNotExist, client.exceptions.ValidationException):
        return  # it was never started, or has already ended


def status(job: Job) -> str | None:
    """RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED; None when the execution was never started."""
    return _status(execution_arn(job))


def batch_status(batch: Batch) -> str | None:
    """The status of the batch's execution; None when it was never started."""
    arn = settings().batch_machine_arn.replace(":stateMachine:", ":execution:")
    return _status(f"{arn}:{batch.batch_id}-{batch.generation}")


def ended_badly(machine_arn: str, since: datetime) -> Iterator[tuple[str, int]]:
    """The id and generation of each execution that ended FAILED, TIMED_OUT or ABORTED since then.

    For each status this reads only the latest 100 executions, so that the cost does not grow with their number.
    """
    for status in ("FAILED", "TIMED_OUT", "ABORTED"):
        page = _client().list_executions(stateMachineArn=machine_arn, statusFilter=status, maxResults=100)
        for execution in page["executions"]:
            ended = parse_name(execution["name"])
            if ended and execution["stopDate"] >= since:
                yield ended


def _status(arn: str) -> str | None:
    client = _client()
    try:
        return str(client.describe_execution(executionArn=arn)["status"])
    except client.exceptions.ExecutionDoesNotExist:
        return None
