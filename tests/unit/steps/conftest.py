"""The small world as a fixture, and a job in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clipferry.intake.manifest import division

from tests.unit.steps import world as worlds
from tests.unit.steps.batching import Batching


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[worlds.World]:
    with worlds.world(monkeypatch) as found:
        yield found


@pytest.fixture
def waiting(world: worlds.World) -> str:
    """A job whose trigger has worked."""
    job_id = world.submit()
    world.trigger(job_id)
    world.wait(5)
    return job_id


@pytest.fixture
def batching(world: worlds.World, monkeypatch: pytest.MonkeyPatch) -> Batching:
    """Batches in the small world, five lines a chunk."""
    monkeypatch.setattr(division, "CHUNK_LINES", 5)
    return Batching(world)
