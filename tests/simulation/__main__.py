"""`make simulate`: runs by seed for as long as asked, then the planted faults; its report goes into the docs.

A run that fails is made small and told, and the exit status is 1. `--seed N` plays one run and tells its trace.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.planted import PLANTED, planted
from tests.simulation.report import write
from tests.simulation.run import JOBS, Outcome, play
from tests.simulation.shrink import shrunk, told
from tests.simulation.world import simulation

PLANTED_SEED = 50_000  # the planted faults are looked for from here on, so that the number of runs is always the same


@dataclass
class Totals:
    """Of many runs."""

    runs: int = 0
    jobs: int = 0
    seconds: float = 0.0  # real
    virtual: float = 0.0
    effects: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    met: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    found: dict[str, int | None] = field(default_factory=dict)  # planted faults, by the runs it took

    def add(self, outcome: Outcome) -> None:
        self.runs, self.jobs, self.virtual = self.runs + 1, self.jobs + outcome.jobs, self.virtual + outcome.seconds
        self.effects += outcome.effects
        self.kinds += outcome.kinds
        self.met += outcome.met
        self.ends += outcome.ends


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0, help="of runs, before the planted faults")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--at-once", type=int, default=2, help="processes")
    parser.add_argument("--seed", type=int, help="play this one, and show it")
    parser.add_argument("--no-planted", action="store_true", help="leave the planted faults out")
    parser.add_argument("--no-report", action="store_true", help="print it, write nothing")
    options = parser.parse_args()
    if options.seed is not None:
        return _show(options.seed)
    totals, began = Totals(), time.monotonic()
    with multiprocessing.Pool(options.at_once) as pool:
        lanes = [(options.first + n, options.at_once, options.seconds) for n in range(options.at_once)]
        for outcome, story in _merged(pool, lanes):
            totals.add(outcome)
            if story:
                totals.failures.append(story)
                print(story, flush=True)
            if totals.runs % 500 == 0:
                print(f"{totals.runs} runs, {totals.jobs} jobs, {len(totals.failures)} failures", flush=True)
        totals.seconds = time.monotonic() - began
        if not options.no_planted:
            for name, runs in pool.imap(_look_for, range(len(PLANTED))):
                totals.found[name] = runs
                print(f"{name}: {'not found' if runs is None else f'found in run {runs}'}", flush=True)
    print(write(totals, to_page=not options.no_report))
    return 1 if totals.failures or None in totals.found.values() else 0


def _show(seed: int) -> int:
    with simulation() as env:
        outcome = play(env, seed)
        print("\n".join(outcome.trace))
        if outcome.failure:
            print(told(*shrunk(env, outcome, JOBS)))
        print(f"seed {seed}: {outcome.failure or 'all held'}; {outcome.digest}")
    return 1 if outcome.failure else 0


def _merged(pool: Any, lanes: Sequence[tuple[int, int, float]]) -> Iterator[tuple[Outcome, str | None]]:
    """Batches of runs of every lane, until the time is over."""
    ends, step = time.monotonic() + lanes[0][2], 10
    firsts = [first for first, _, _ in lanes]
    while time.monotonic() < ends:
        for some in pool.map(_batch, [(first, lanes[0][1], step) for first in firsts]):
            yield from some
        firsts = [first + lanes[0][1] * step for first in firsts]


def _batch(of: tuple[int, int, int]) -> list[tuple[Outcome, str | None]]:
    first, stride, many = of
    done: list[tuple[Outcome, str | None]] = []
    with simulation() as env:
        for seed in range(first, first + stride * many, stride):
            outcome = play(env, seed)
            story = told(*shrunk(env, outcome, JOBS)) if outcome.failure else None
            outcome.trace, outcome.taken = [], []
            done.append((outcome, story))
    return done


def _look_for(number: int) -> tuple[str, int | None]:
    fault = PLANTED[number]
    with simulation() as env, planted(fault):
        for runs in range(1, fault.wanted + 1):
            if play(env, PLANTED_SEED + runs).failure:
                return fault.name, runs
    return fault.name, None


if __name__ == "__main__":
    sys.exit(main())
