"""The manifest beside a job's files: a late end never overwrites what a later one wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from clipferry.jobs.statuses import JobStatus
from clipferry.steps.job_manifest import WRITES, ManifestContended, write_manifest
from clipferry.store.job_records import Superseded
from clipferry.vendors.contract import VendorRefused

from tests.unit.steps.aws import BUCKET
from tests.unit.steps.world import World


@pytest.fixture
def failed(world: World) -> str:
    """A job that has ended, and whose manifest is written."""
    world.stage.trigger = [VendorRefused("the camera is offline")]
    job_id = world.submit()
    world.settle()
    return job_id


def nothing_to_say() -> None:
    return


def test_written_again_it_says_the_same(world: World, failed: str) -> None:
    before = world.manifest(failed)
    write_manifest(world.s3, world.job(failed), nothing_to_say)
    assert world.manifest(failed) == before


def test_what_a_later_end_wrote_between_the_look_and_the_write_stays(world: World, failed: str) -> None:
    late, looks = world.job(failed), iter([nothing_to_say, lambda: _retried_to_the_end(world, failed), _moved_on])
    with pytest.raises(Superseded):
        write_manifest(world.s3, late, lambda: next(looks)())
    assert world.manifest(failed)["status"] == JobStatus.SUCCEEDED


def test_one_that_somebody_deleted_is_written(world: World, failed: str) -> None:
    job = world.job(failed)

    def deleted() -> None:
        world.s3.delete_object(Bucket=BUCKET, Key=job.manifest_key)

    looks: list[Callable[[], None]] = [nothing_to_say, deleted, nothing_to_say]
    write_manifest(world.s3, job, lambda: looks.pop(0)())
    assert world.manifest(failed)["status"] == JobStatus.FAILED


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict"])
def test_writers_at_the_same_time_try_again_and_not_for_ever(
    world: World, failed: str, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    tries = []

    def busy(**given: Any) -> None:
        tries.append(given)
        raise ClientError({"Error": {"Code": code, "Message": ""}}, "PutObject")

    monkeypatch.setattr(world.s3, "put_object", busy)
    with pytest.raises(ManifestContended):
        write_manifest(world.s3, world.job(failed), nothing_to_say)
    assert len(tries) == WRITES


def test_what_s3_refuses_otherwise_is_raised(world: World, failed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "PutObject")
    monkeypatch.setattr(world.s3, "put_object", lambda **_: (_ for _ in ()).throw(denied))
    with pytest.raises(ClientError, match="AccessDenied"):
        write_manifest(world.s3, world.job(failed), nothing_to_say)


def _moved_on() -> None:
    raise Superseded("taken up again")


def _retried_to_the_end(world: World, job_id: str) -> None:
    world.retry(job_id)
    world.settle()
