"""What the simulation is for: a fault in the code is found, and told as a short story that can be played again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation.environment import Environment
from tests.simulation.planted import PLANTED, Planted, planted
from tests.simulation.run import play
from tests.simulation.shrink import Story, replay, shrunk, told
from tests.simulation.world import simulation

SUBMITTED_AGAIN = Story(50003, ("j6",), ("j6: submitted twice", "j6 Api 2/1 PutItem delay: very slow"))
UNCONDITIONAL = next(fault for fault in PLANTED if fault.name == "a new job is written without a condition")


@pytest.fixture(scope="module")
def env() -> Iterator[Environment]:
    with simulation() as found:
        yield found


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.name)
def test_each_planted_fault_still_fits_the_code(fault: Planted) -> None:
    with planted(fault):
        pass


def test_a_planted_fault_fails_the_story_that_it_was_found_by_and_the_code_as_it_is_does_not(env: Environment) -> None:
    with planted(UNCONDITIONAL):
        assert replay(env, SUBMITTED_AGAIN).failure == "Violated: j6 moved from WAITING to QUEUED"
    assert replay(env, SUBMITTED_AGAIN).failure is None


def test_a_failing_run_is_made_small(env: Environment) -> None:
    with planted(UNCONDITIONAL):
        failed = play(env, SUBMITTED_AGAIN.seed)
        story, outcome = shrunk(env, failed, 8)
    assert story == SUBMITTED_AGAIN
    assert len(failed.taken) > 20 * len(story.happens)
    assert "j6 Api 2/1 PutItem delay: very slow" in told(story, outcome)
