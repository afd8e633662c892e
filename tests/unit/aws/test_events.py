"""The terminal event: its type, its detail, its identity."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from clipferry.aws import events
from clipferry.intake.checks import InvalidBody
from clipferry.jobs.file import File
from clipferry.jobs.job import Job
from clipferry.jobs.problems import Problem
from clipferry.jobs.statuses import FileStatus, JobStatus

from tests.unit.steps.aws import BUCKET
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


def test_the_detail_names_the_job_what_is_stored_and_why_not_more(world: World) -> None:
    assert events.detail(an_ended(JobStatus.PARTIAL)) == {
        "schema_version": "1",
        "event_id": "01K0000000000000000000000A-3-PARTIAL",
        "job_id": "01K0000000000000000000000A",
        "generation": 3,
        "vendor": "ims",
        "account": "ims",
        "status": "PARTIAL",
        "labels": {"a": "b"},
        "source": None,
        "s3_uris": ["s3://b/" + "k" * 1000 + "1"],
        "manifest": f"s3://{BUCKET}/ims/2026/11/21/01K0000000000000000000000A/manifest.json",
        "error_code": "FILES_FAILED",
        "finished_at": "2026-11-21T12:00:00.000Z",
    }


def test_a_hundred_files_are_named_one_by_one() -> None:
    assert len(events.detail(an_ended(JobStatus.PARTIAL, 100))["s3_uris"]) == 99


@pytest.mark.parametrize("files", [300, 1000])
def test_where_the_uris_do_not_fit_into_an_event_it_names_the_manifest_alone(world: World, files: int) -> None:
    job = an_ended(JobStatus.PARTIAL, files)
    job.labels = {chr(0x4E00 + n) * 64: "片" * 128 for n in range(8)}

    events.announce(job)

    (sent,) = world.edge.sent
    assert sent["s3_uris"] is None
    assert sent["manifest"].endswith(f"/{job.job_id}/manifest.json")
    assert len(json.dumps(sent)) < 256 * 1024


def test_labels_and_names_of_a_schedule_hold_no_url_query_in_an_event(world: World) -> None:
    job = an_ended(JobStatus.FAILED)
    job.labels, job.source = {"a": "https://u:canary@a.example/v?canary"}, "schedule#https://a.example/v?canary"

    events.announce(job)
    events.announce_rejected("https://a.example/v?canary", "https://a.example/v?canary@1", InvalidBody([]))

    assert "canary" not in repr(world.edge.sent)


def test_an_event_sent_again_has_the_same_identity(world: World) -> None:
    for _ in range(2):
        events.announce(an_ended(JobStatus.FAILED))
    assert len(set(world.event_ids())) == 1
