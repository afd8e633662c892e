"""EventBridge out: one event when a job ends, or when a schedule fires in vain. Documented in the README, "Events"."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from clipferry.jobs import FileStatus, Job, JobStatus, iso
from clipferry.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

SCHEMA_VERSION = "1"
_DETAIL_TYPES = {
    JobStatus.SUCCEEDED: "Clipferry Job Succeeded",
    JobStatus.PARTIAL: "Clipferry Job Partial",
    JobStatus.FAILED: "Clipferry Job Failed",
    JobStatus.TIMED_OUT: "Clipferry Job TimedOut",
    JobStatus.CANCELLED: "Clipferry Job Cancelled",
}


class EventNotSent(Exception):
    """EventBridge took the call but not the entry; asking again is right."""


@cache
def _client() -> EventBridgeClient:
    import boto3

    return boto3.client("events")


def announce(job: Job) -> None:
    """Send the job's terminal event. `event_id` is the same however often it is sent, so that a consumer can tell.

    Raises EventNotSent or botocore's errors.
    """
    _send(_DETAIL_TYPES[job.status], detail(job))


def announce_rejected(schedule: str, firing: str, reasons: Sequence[Mapping[str, str]]) -> None:
    """Tell that a schedule fired and made no job, and why. `event_id` is the firing's, however often it is sent.

    Raises EventNotSent or botocore's errors.
    """
    _send(
        "Clipferry Schedule Rejected",
        {
            "schema_version": SCHEMA_VERSION,
            "event_id": firing,
            "schedule": schedule,
            "errors": list(reasons),
        },
    )


def _send(detail_type: str, said: Mapping[str, Any]) -> None:
    entry: PutEventsRequestEntryTypeDef = {
        "Source": "clipferry",
        "DetailType": detail_type,
        "Detail": json.dumps(said),
        "EventBusName": settings().event_bus_name,
    }
    reply = _client().put_events(Entries=[entry])
    if reply.get("FailedEntryCount"):
        raise EventNotSent(reply["Entries"][0].get("ErrorCode", "unknown"))


def detail(job: Job) -> dict[str, Any]:
    """The event's detail; within EventBridge's 256 KB at a hundred files."""
    return {
        "schema_version": SCHEMA_VERSION,
        "event_id": f"{job.job_id}-{job.generation}-{job.status}",
        "job_id": job.job_id,
        "vendor": job.vendor,
        "account": job.account,
        "status": job.status.value,
        "labels": job.labels,
        "source": job.source,
        "s3_uris": [f.s3_uri for f in job.files if f.status is FileStatus.STORED],
        "error_code": job.error.code if job.error else None,
        "finished_at": iso(job.finished_at),
    }
