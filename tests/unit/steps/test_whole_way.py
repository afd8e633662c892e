"""A job from its submission to its end, undisturbed: what it costs and what it leaves."""

from __future__ import annotations

from clipferry.jobs.statuses import JobStatus
from clipferry.store.rows import Item

from tests.unit.steps.world import World


def test_a_job_is_triggered_once_copied_and_announced_once(world: World) -> None:
    job_id = world.submit()
    world.settle()
    world.assert_honest(job_id, JobStatus.SUCCEEDED, stored=1)
    assert len(world.stage.tasks) == len(world.copying.copied) == len(world.edge.sent) == 1
    assert world.stage.calls == {"trigger": 1, "poll": 1, "locate": 1}


def test_the_manifest_says_what_the_api_says_and_no_query_of_a_url(world: World) -> None:
    job_id = world.submit(labels={"site": "gate"})
    world.settle()
    manifest, shown = world.manifest(job_id), world.job(job_id).public()
    assert manifest | {"updated_at": ""} == shown | {"updated_at": ""}
    assert manifest["request"] == {"url": "https://media.example/clip.mp4"}


def test_a_job_is_one_partition(world: World) -> None:
    """Its row, its files and its tags: one query reads them all."""
    world.stage.files = 3
    job_id = world.submit(labels={"site": "gate"})
    world.trigger(job_id)
    world.poll(job_id)
    keys = [row.sk for row in Item.query(f"JOB#{job_id}")]
    assert keys == ["FILE#f001", "FILE#f002", "FILE#f003", "JOB", "TAG#label#site=gate"]
