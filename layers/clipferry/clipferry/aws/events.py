"""Sends an event to EventBridge when a job ends, or when a firing gives no job. See the README, "Events"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from clipferry.aws.sdk import client_options
from clipferry.jobs.job import Job, iso
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.redaction import bare
from clipferry.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

    from clipferry.intake.checks import InvalidBody

SCHEMA_VERSION = "1"  # changes when a field is removed or gets another meaning, not when fields are added
EVENT_MAX = 250 * 1024  # bytes of a detail; PutEvents allows 256 KB for an entry with its source and detail-type
_DETAIL_TYPES = {
    JobStatus.SUCCEEDED: "Clipferry Job Succeeded",
    JobStatus.PARTIAL: "Clipferry Job Partial",
    JobStatus.FAILED: "Clipferry Job Failed",
    JobStatus.TIMED_OUT: "Clipferry Job TimedOut",
    JobStatus.CANCELLED: "Clipferry Job Cancelled",
}


class EventNotSent(Exception):
    """EventBridge accepted the call but not the entry; the caller tries again."""


@cache
def _client() -> EventBridgeClient:
    import boto3
    from botocore.config import Config

    return boto3.client("events", config=Config(**client_options()))


def announce(job: Job) -> None:
    """Send the event of the job's end. Each repetition has the same `event_id`, so that consumers can recognise it.

    Raises EventNotSent or botocore's errors.
    """
    _send(_DETAIL_TYPES[job.status], detail(job))


def announce_rejected(schedule: str, firing: str, reasons: InvalidBody) -> None:
    """Send an event which says that a firing gave no job, and why. Each repetition has the firing as its `event_id`.

    Raises EventNotSent or botocore's errors.
    """
    _send(
        "Clipferry Schedule Rejected",
        {
            "schema_version": SCHEMA_VERSION,
            "event_id": bare(firing),
            "schedule": bare(schedule),
            "errors": reasons.told(),
            **reasons.more(),
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
    """The event's detail, at most EVENT_MAX bytes.

    When the S3 URIs do not fit, `s3_uris` is null; the object that `manifest` names lists them.
    """
    said = bare(
        {
            "schema_version": SCHEMA_VERSION,
            "event_id": f"{job.job_id}-{job.generation}-{job.status}",
            "job_id": job.job_id,
            "generation": job.generation,
            "vendor": job.vendor,
            "account": job.account,
            "status": job.status.value,
            "labels": job.labels,
            "source": job.source,
            "s3_uris": None,
            "manifest": None,
            "error_code": job.error.code if job.error else None,
            "finished_at": iso(job.finished_at),
        }
    )
    said["manifest"] = f"s3://{settings().bucket_name}/{job.manifest_key}"
    stored = [f.s3_uri for f in job.files if f.status is FileStatus.STORED]
    return {**said, "s3_uris": stored} if len(json.dumps({**said, "s3_uris": stored})) <= EVENT_MAX else said
