"""The terminal event: its type, its detail, its identity."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from clipferry.aws import events
from clipferry.jobs import File, FileStatus, Job, JobStatus, Problem

from tests.unit.steps.world import World

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def an_ended(status: JobStatus, files: int = 2) -> Job:
    found = [
        File(f"f{n:03d}", "r", "n", FileStatus.STORED if n else FileStatus.FAILED, s3_uri=f"s3://b/{'k' * 1000}{n}")
        for n in range(files)
    ]
    return Job(
        "01K0000000000000000000000A",
        "ims",
        "ims",
        status,
        NOON,
        NOON,
        NOON,
        generation=3,
        labels={"a": "b"},
        finished_at=NOON,
        error=Problem("FILES_FAILED", "one of two"),
        files=found,
    )


@pytest.mark.parametrize(
    ("status", "detail_type"),
    [
        (JobStatus.SUCCEEDED, "Clipferry Job Succeeded"),
        (JobStatus.PARTIAL, "Clipferry Job Partial"),
        (JobStatus.FAILED, "Clipferry Job Failed"),
        (JobStatus.TIMED_OUT, "Clipferry Job TimedOut"),
        (JobStatus.CANCELLED, "Clipferry Job Cancelled"),
    ],
)
def test_every_end_has_its_detail_type(world: World, status: JobStatus, detail_type: str) -> None:
    events.announce(an_ended(status))
    assert [event["type"] for event in world.edge.sent] == [detail_type]


def test_the_detail_names_the_job_what_is_stored_and_why_not_more() -> None:
    assert events.detail(an_ended(JobStatus.PARTIAL)) == {
        "schema_version": "1",
        "event_id": "01K0000000000000000000000A-3-PARTIAL",
        "job_id": "01K0000000000000000000000A",
        "vendor": "ims",
        "account": "ims",
        "status": "PARTIAL",
        "labels": {"a": "b"},
        "source": None,
        "s3_uris": ["s3://b/" + "k" * 1000 + "1"],
        "error_code": "FILES_FAILED",
        "finished_at": "2026-11-21T12:00:00.000Z",
    }


def test_a_hundred_files_fit_into_an_event() -> None:
    assert len(json.dumps(events.detail(an_ended(JobStatus.PARTIAL, 100)))) < 256 * 1024


def test_an_event_sent_again_has_the_same_identity(world: World) -> None:
    for _ in range(2):
        events.announce(an_ended(JobStatus.FAILED))
    assert len(set(world.event_ids())) == 1
