"""Objects that no row names are taken back once their job has ended, and nothing else ever is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from clipferry import transfer
from clipferry.jobs.job import COPY_LIFETIME
from clipferry.jobs.statuses import JobStatus
from clipferry.steps import leftovers
from clipferry.steps.leftovers import KEEP_SEGMENTS
from clipferry.steps.sweep import Sweep

from tests.unit.steps.aws import BUCKET
from tests.unit.steps.world import World

SOON, A_DAY = COPY_LIFETIME.total_seconds(), KEEP_SEGMENTS.total_seconds()


def put(world: World, key: str, job_id: str, file_id: str = "f001") -> str:
    """An object as a copy of that file writes it."""
    metadata = {"job-id": job_id, "file-id": file_id, "vendor": "scripted"}
    world.s3.put_object(Bucket=BUCKET, Key=key, Body=b"clip", Metadata=metadata)
    return key


@pytest.fixture
def cancelled(world: World) -> str:
    """A job that was cancelled between the completion of its file's object and the row that would have named it."""
    job_id = world.submit(destination={"prefix": "site-a"})
    world.trigger(job_id)
    world.wait(5)
    world.poll(job_id)

    def complete(*_: object) -> transfer.Stored:
        key = put(world, world.job(job_id).object_prefix + "f001.mp4", job_id)
        world.cancel(job_id)
        return transfer.Stored(key, 4, {"level": "content-length", "sha256": "00"}, "video/mp4")

    world.copying.results = [complete]
    assert world.download(job_id)["more"] is False
    return job_id


@pytest.fixture
def failed(world: World) -> str:
    """A job of one file whose copy failed for good."""
    job_id = world.submit()
    world.copying.results = [transfer.Failed("HLS_SEGMENT_MISSING", "segment 4 of 5 is missing")]
    world.execute(job_id)
    assert world.job(job_id).status is JobStatus.FAILED
    return job_id


def test_an_object_that_a_cancel_left_without_a_name_is_taken_back(world: World, cancelled: str) -> None:
    world.wait(SOON - 60)
    world.sweep()
    assert len(world.videos()) == 1, "a call of the job may still be alive"
    world.wait(60)
    assert world.sweep().objects_taken_back == 1
    world.assert_honest(cancelled, JobStatus.CANCELLED, stored=0)
    assert list(world.rt.jobs.due(world.time)) == []


def test_an_event_about_the_jobs_execution_does_not_look_too_early(world: World, cancelled: str) -> None:
    world.sweep_one(cancelled)
    assert len(world.videos()) == 1
    world.wait(SOON)
    world.sweep()
    assert world.videos() == {}


def test_a_look_changes_nothing_that_a_user_sees_of_the_job(world: World, cancelled: str) -> None:
    before = world.job(cancelled).public()
    world.wait(SOON)
    world.sweep()
    assert world.job(cancelled).public() == before


def test_a_job_that_succeeded_at_once_costs_no_look(world: World) -> None:
    job_id = world.submit()
    world.settle()
    assert world.job(job_id).status is JobStatus.SUCCEEDED
    assert world.job(job_id).clean_at is None


def test_a_job_that_never_had_a_file_costs_no_look(world: World) -> None:
    job_id = world.submit()
    world.cancel(job_id)
    assert world.job(job_id).clean_at is None


@pytest.mark.parametrize(
    "key",
    [
        "{prefix}f0010.mp4",  # another file's
        "{prefix}f001-poster.jpg",  # somebody's own
        "{prefix}poster.jpg",
        "{prefix}manifest.json",
        "{prefix}f0010/v0/00001.ts",
        "site-b/f001.mp4",
    ],
)
def test_what_does_not_lie_where_a_copy_of_the_file_writes_is_left_alone(world: World, failed: str, key: str) -> None:
    key = put(world, key.format(prefix=world.job(failed).object_prefix), failed)
    world.wait(A_DAY)
    assert world.sweep().objects_taken_back == 0
    assert key in world.objects()


@pytest.mark.parametrize(
    "metadata", [{}, {"job-id": "another", "file-id": "f001"}, {"job-id": "own", "file-id": "f002"}]
)
@pytest.mark.parametrize("name", ["f001.mp4", "f001/v0/00001.ts"])
def test_what_another_hand_has_written_is_left_alone(
    world: World, failed: str, name: str, metadata: dict[str, str]
) -> None:
    """As the object of somebody else for which a copy ended as DESTINATION_TAKEN."""
    own = {key: value.replace("own", failed) for key, value in metadata.items()}
    key = world.job(failed).object_prefix + name
    world.s3.put_object(Bucket=BUCKET, Key=key, Body=b"theirs", Metadata=own)
    world.wait(A_DAY)
    assert world.sweep().objects_taken_back == 0
    assert key in world.objects()


def test_what_a_row_names_is_left_alone_and_what_lies_beside_it_is_not(world: World) -> None:
    """One file is stored, as a playlist with its segments; the other failed after it had been completed once."""
    world.stage.files = 2
    job_id = world.submit()

    def playlist(*_: object) -> transfer.Stored:
        stem = world.job(job_id).object_prefix + "f001"
        put(world, f"{stem}/v0/00001.ts", job_id)
        put(world, f"{stem}.mp4", job_id)
        return transfer.Stored(put(world, f"{stem}/index.m3u8", job_id), 4, {}, "application/vnd.apple.mpegurl")

    def failed(*_: object) -> transfer.Failed:
        put(world, world.job(job_id).object_prefix + "f002.ts", job_id, "f002")
        return transfer.Failed("DESTINATION_TAKEN", "another object")

    world.copying.results = [playlist, failed]
    world.execute(job_id)
    assert world.job(job_id).status is JobStatus.PARTIAL
    world.wait(SOON)
    assert world.sweep().objects_taken_back == 2
    prefix = world.job(job_id).object_prefix
    assert sorted(world.videos()) == [f"{prefix}f001/index.m3u8", f"{prefix}f001/v0/00001.ts"]


# -- segments of a video that failed ----------------------------------------------------------------------------------


@pytest.fixture
def segments(world: World, failed: str) -> list[str]:
    stem = world.job(failed).object_prefix + "f001"
    return [put(world, f"{stem}/v0/{number:05d}.ts", failed) for number in range(7)]


def test_segments_are_kept_for_a_retry_and_taken_back_after_a_day(
    world: World, failed: str, segments: list[str]
) -> None:
    world.wait(SOON)
    assert world.sweep().objects_taken_back == 0
    assert list(world.rt.jobs.due(world.time)) == [], "it comes up again when the day is over"
    world.wait(A_DAY - SOON)
    assert world.sweep().objects_taken_back == 7
    assert world.videos() == {}
    assert list(world.rt.jobs.due(world.time)) == []


def test_segments_of_a_job_that_was_retried_are_left_to_the_retry(
    world: World, failed: str, segments: list[str]
) -> None:
    world.wait(A_DAY)
    world.retry(failed)
    world.sweep()
    assert sorted(world.videos()) == segments


def test_a_retry_in_the_middle_of_a_look_keeps_everything(
    world: World, failed: str, segments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made_by = leftovers.Leftovers._made_by

    def retried_meanwhile(self: Any, *args: Any) -> bool:
        if world.job(failed).status.terminal:
            world.retry(failed)
        return made_by(self, *args)

    monkeypatch.setattr(leftovers.Leftovers, "_made_by", retried_meanwhile)
    world.wait(A_DAY)
    swept = world.sweep()
    assert (swept.objects_taken_back, swept.failed) == (0, [])
    assert sorted(world.videos()) == segments


def test_one_look_takes_back_so_many_and_the_next_run_goes_on(
    world: World, failed: str, segments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "AT_ONCE", 3)
    world.wait(A_DAY)
    taken = []
    while list(world.rt.jobs.due(world.time)):
        taken.append(world.sweep().objects_taken_back)
        world.wait(1)
    assert taken[:3] == [3, 3, 1]
    assert sum(taken) == 7
    assert world.videos() == {}


def test_a_run_without_time_leaves_the_rest_to_the_next(world: World, failed: str, segments: list[str]) -> None:
    world.wait(A_DAY)
    left = iter([60.0] * 4)
    Sweep(world.closing, lambda: next(left, 0.0)).run()
    assert 0 < len(world.videos()) < 7
    world.wait(1)
    world.sweep()
    assert world.videos() == {}


# -- buckets and trouble ----------------------------------------------------------------------------------------------


def test_in_a_bucket_with_versions_it_is_hidden(world: World, cancelled: str) -> None:
    versioned = {"Status": "Enabled"}
    world.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=versioned)
    world.wait(SOON)
    assert world.sweep().objects_taken_back == 1
    assert world.videos() == {}
    assert len(world.s3.list_object_versions(Bucket=BUCKET)["DeleteMarkers"]) == 1
    world.wait(A_DAY)
    assert world.sweep().objects_taken_back == 0


def test_what_s3_does_not_delete_is_tried_again(world: World, cancelled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = {"Errors": [{"Key": "k", "Code": "InternalError"}]}
    with monkeypatch.context() as broken:
        broken.setattr(world.s3, "delete_objects", _answer(refusal))
        world.wait(SOON)
        swept = world.sweep()
    assert (swept.failed, swept.objects_taken_back) == ([cancelled], 0)
    world.wait(300)
    assert world.sweep().objects_taken_back == 1


def _answer(reply: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    return lambda **_: reply
