"""Runs by seed: what became of each, and what it came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.simulation.environment import Environment
from tests.simulation.users import Users
from tests.simulation.vendors import VENDORS
from tests.simulation.world import World

JOBS = 8  # of one run


@dataclass
class Outcome:
    """Of one run. `failure`: what was violated, or raised; None: all held."""

    seed: int
    failure: str | None
    digest: str
    trace: list[str] = field(repr=False)
    taken: list[str] = field(repr=False)  # labels of what happened against what is usual
    jobs: int = 0
    seconds: float = 0.0  # virtual
    effects: Counter[str] = field(default_factory=Counter, repr=False)
    kinds: Counter[str] = field(default_factory=Counter, repr=False)
    met: Counter[tuple[str, str, str, str]] = field(default_factory=Counter, repr=False)
    ends: Counter[str] = field(default_factory=Counter, repr=False)


def play(
    env: Environment,
    seed: int,
    *,
    jobs: int = JOBS,
    vendors: tuple[str, ...] = VENDORS,
    only: frozenset[str] | None = None,
    names: frozenset[str] | None = None,
) -> Outcome:
    """One run. `only`: nothing unusual happens but what these labels say; `names`: the jobs that are submitted."""
    world = World(env, seed, only)
    env.world = world
    Users(world, jobs, vendors, names)
    failure = None
    try:
        world.run()
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    finally:
        world.kernel.close()
    return Outcome(
        seed,
        failure,
        world.digest(),
        world.trace,
        list(world.draws.taken),
        len(world.job_rows()),
        world.kernel.now - world.began,
        world.effects,
        world.draws.kinds,
        world.met,
        Counter(row["status"]["S"] for row in world.job_rows().values()),
    )
