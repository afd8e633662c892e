"""The largest job that a door takes, and all that a vendor may say of it, fit into DynamoDB's 400 KB."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from clipferry.intake.checks import BODY_MAX
from clipferry.intake.job_body import ADOPT_MAX, check, new_job
from clipferry.jobs.file import File
from clipferry.jobs.job import Job
from clipferry.jobs.problems import MAX_WARNINGS, Problem, warning
from clipferry.store.job_records import Jobs
from clipferry.vendors.contract import REFS_MAX, LookStatus, Sighting, Submitted, VendorUnavailable

from tests.unit.steps.aws import client

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ITEM_MAX = 400 * 1024
LABELS = {f"{number}" + "片" * 63: "片" * 128 for number in range(8)}


def largest(way: str) -> dict[str, Any]:
    """A body that its door just takes."""
    more: dict[str, Any] = {"labels": LABELS, "destination": {"prefix": "p" * 512}, "account": "a" * 64}
    if way == "adopt":
        names = ["片" * (ADOPT_MAX // 6 // 50 - 2)] * 50
        return {"vendor": "linkvisual", "adopt": {"iot_id": "c", "file_names": names}, **more}
    body = {"vendor": "ims", "request": {"upload_urls": ["https://a.example/v"], "user_data": {"a": ""}}, **more}
    body["request"]["user_data"]["a"] = "片" * ((BODY_MAX - 15_000) // 6)
    return body


@pytest.mark.parametrize("way", ["request", "adopt"])
def test_the_largest_job_fits_whatever_its_vendor_says(jobs: Jobs, way: str) -> None:
    assert check(largest(way)) == []
    job, _ = jobs.create(new_job(largest(way), NOON))
    refs = Submitted({"ids": ["片" * (REFS_MAX // 6 - 10)]}).refs
    words = Problem("X" * 500, "片" * 5000, "片" * 5000, "片" * 5000)
    job.warnings = [warning(f"A{number}", "片" * 5000) for number in range(2 * MAX_WARNINGS)]

    jobs.change(job, NOON, vendor_refs=refs, error=words, warnings=job.all_warnings)

    assert job.all_warnings
    assert size_of(job, "JOB") < ITEM_MAX


def test_the_largest_file_fits(jobs: Jobs) -> None:
    job, _ = jobs.create(new_job(largest("adopt"), NOON))
    seen = Sighting("片" * 16_000, "片" * 16_000, LookStatus.READY, detail={"a": "片" * 16_000, "b": "片" * 16_000})
    file = File("f001", seen.ref, seen.name, detail=dict(seen.detail), error=Problem("A", "片" * 5000))
    file.warnings = [warning("A", "片" * 5000)] * MAX_WARNINGS

    jobs.add_files(job, [file])

    assert size_of(job, "FILE#f001") < ITEM_MAX


def test_ids_that_no_row_could_hold_are_no_answer_of_a_vendor() -> None:
    with pytest.raises(VendorUnavailable):
        Submitted({"task_id": "x" * REFS_MAX})


def size_of(job: Job, sort_key: str) -> int:
    """Bytes of an item as DynamoDB counts them, a little more for numbers and flags."""
    key = {"pk": {"S": f"JOB#{job.job_id}"}, "sk": {"S": sort_key}}
    item = client("dynamodb").get_item(TableName="clipferry", Key=key)["Item"]
    return sum(len(name.encode()) + len(str(next(iter(value.values()))).encode()) for name, value in item.items())
