"""The simulation of the whole bundle: every run holds what must hold, and the same seed is the same run."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.simulation.environment import Environment
from tests.simulation.run import play
from tests.simulation.world import simulation

SLICE = 30.0  # real seconds of runs
FIRST = 1_000_000  # seed


@pytest.fixture(scope="module")
def env() -> Iterator[Environment]:
    with simulation() as found:
        yield found


def test_the_same_seed_gives_the_same_run_to_the_byte_of_its_trace(env: Environment) -> None:
    first, second, other = play(env, 4), play(env, 4), play(env, 5)
    assert first.trace == second.trace
    assert first.digest == second.digest != other.digest


def test_a_slice_of_runs_holds_every_invariant(env: Environment) -> None:
    ends, seed = time.monotonic() + SLICE, FIRST
    while time.monotonic() < ends:
        outcome = play(env, seed)
        assert outcome.failure is None, f"seed {seed}: {outcome.failure}"
        seed += 1
    assert seed > FIRST
