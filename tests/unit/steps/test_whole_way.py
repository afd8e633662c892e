"""A job from its submission to its end, and that end whatever crashes on the way."""

from __future__ import annotations

from clipferry.jobs import JobStatus

from tests.unit.steps.world import World


def test_a_job_is_triggered_once_copied_and_announced_once(world: World) -> None:
    job_id = world.submit()
    world.settle()
    world.assert_honest(job_id, JobStatus.SUCCEEDED, stored=1)
    assert len(world.stage.tasks) == 1
    assert len(world.edge.sent) == 1
    print(world.edge.effects)
