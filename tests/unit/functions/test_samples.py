"""The sample events of `events/`: each is taken by its function and does what its name says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clipferry.aws import scheduler
from clipferry.batches import BatchStatus
from clipferry.intake.job_body import new_job
from clipferry.intake.schedule_body import Schedule
from clipferry.jobs.statuses import JobStatus
from clipferry.steps.batch import close, prepare, submit_chunk

from tests.unit.functions.conftest import Functions
from tests.unit.steps.aws import BUCKET, REPOSITORY
from tests.unit.steps.batching import Batching, line
from tests.unit.steps.world import SIGNED

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

FOLDER = REPOSITORY / "events"
FUNCTIONS = sorted(path.name for path in (REPOSITORY / "functions").iterdir() if path.is_dir())
SAMPLES = sorted(FOLDER.glob("*.json"))
SUBJECT = json.loads((FOLDER / "trigger.json").read_text())["job_id"]  # the job that the samples speak of

EXPECTED: dict[str, Any] = {
    "api-cancel-job": 200,
    "api-create-job": 202,
    "api-get-file-url": 200,
    "api-get-job": 200,
    "api-list-jobs": 200,
    "api-list-vendors": 200,
    "api-retry-job": 202,
    "api-put-schedule": 201,
    "api-get-schedule": 200,
    "api-delete-schedule": 204,
    "api-list-schedules": 200,
    "api-list-jobs-of-schedule": 200,
    "api-create-upload": 201,
    "api-create-batch": 202,
    "api-get-batch": 200,
    "api-cancel-batch": 202,
    "api-resume-batch": 202,
    "api-get-report-url": 200,
    "batch-prepare": {"next": "SUBMIT"},
    "batch-submit": {"submitted": True},
    "batch-close": {"next": "END"},
    "sweep-cancel-chunk": {"wait_seconds": 0},
    "trigger": {"next": "WAIT"},
    "poll": {"next": "FINISH"},
    "download": {"more": False},
    "finish": {"next": "END"},
    "finish-after-an-error": {"status": "PARTIAL"},
    "sweep-execution-ended": {"restarted": [SUBJECT]},
    "sweep-every-5-minutes": {"restarted": [SUBJECT]},
}


def function_of(path: Path) -> str:
    return path.stem.partition("-")[0]


def a_job_whose_one_file_is_stored(functions: Functions) -> None:
    world = functions.world
    body = {"vendor": "scripted", "request": {"url": SIGNED}}
    world.rt.jobs.create(replace(new_job(body, world.time), job_id=SUBJECT))
    world.trigger(SUBJECT)
    world.poll(SUBJECT)
    world.download(SUBJECT)
    world.poll(SUBJECT)


def a_batch_on_its_way(functions: Functions, sample: str) -> None:
    """As far as each sample wants it."""
    world, batching = functions.world, Batching(functions.world)
    world.s3.put_object(Bucket=BUCKET, Key="manifests/2026/11/21/gates.jsonl", Body=line(1).encode())
    if "batch" in sample or "report" in sample or "chunk" in sample:
        made = batching.batch(batching.post(line(1), "{broken"))
        batching.batches.create(replace(made, batch_id=SUBJECT))
        if sample not in ("batch-prepare", "api-resume-batch"):
            prepare(batching.context, SUBJECT, 1, lambda: 100.0)
        if sample in ("batch-close", "api-get-report-url", "sweep-cancel-chunk"):
            submit_chunk(batching.context, SUBJECT, 1, batching.chunks(SUBJECT)[0])
        if sample == "api-get-report-url":
            close(batching.context, SUBJECT, 1)
        if sample == "sweep-cancel-chunk":
            batching.batches.change(batching.batch(SUBJECT), world.time, BatchStatus.CANCELLING)


def test_every_function_has_a_sample() -> None:
    assert sorted({function_of(path) for path in SAMPLES}) == FUNCTIONS


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_taken_by_its_function(functions: Functions, path: Path) -> None:
    world = functions.world
    a_job_whose_one_file_is_stored(functions)
    if path.stem == "api-retry-job":
        world.cancel(SUBJECT)
    if path.stem.startswith("api-") and "schedule" in path.stem and path.stem != "api-put-schedule":
        functions.call("api", json.loads((FOLDER / "api-put-schedule.json").read_text()))
    if path.stem == "schedule-firing":
        firing = json.loads(path.read_text())
        scheduler.put(Schedule(firing["schedule"], "rate(1 day)", firing["job"], token=firing["token"]), world.time)
    if path.stem.startswith("sweep"):  # an execution there was, and it ended badly
        world.start_execution(SUBJECT)
        world.stop_execution(SUBJECT)
        world.wait(1801)
    a_batch_on_its_way(functions, path.stem)
    reply = functions.call(function_of(path), json.loads(path.read_text()))
    match EXPECTED.get(path.stem):
        case int() as status:
            assert reply["statusCode"] == status, reply["body"]
        case dict() as state:
            assert state.items() <= reply.items()
        case _:
            assert path.stem.startswith("schedule")
            assert [world.job(job_id).status for job_id in reply["job_ids"]] == [JobStatus.QUEUED] * len(
                json.loads(path.read_text()).get("jobs", [0])
            )
