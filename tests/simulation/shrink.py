"""A failing run made small: which jobs, and which of the unusual things that happened, are needed for it to fail.

What is left is a `Story`. It is printed as who did what in which order, and can be kept as a test in one line:

    assert replay(env, Story(12, ("j3",), ("j3 Trigger 1 invoked: invoked twice",))).failure is None
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.simulation.environment import Environment
from tests.simulation.run import Outcome, play

RUNS = 200  # that a story may cost
LINES = 80  # of a trace that are shown


@dataclass(frozen=True)
class Story:
    """A run of few jobs in which nothing unusual happens but this."""

    seed: int
    names: tuple[str, ...]
    happens: tuple[str, ...]


def replay(env: Environment, story: Story) -> Outcome:
    return play(env, story.seed, only=frozenset(story.happens), names=frozenset(story.names))


def shrunk(env: Environment, failed: Outcome, jobs: int, runs: int = RUNS) -> tuple[Story, Outcome]:
    """The smallest story found within so many runs that fails in the same way, and what it comes to."""
    told = _kind_of(failed.failure)
    best = [Story(failed.seed, tuple(f"j{number}" for number in range(jobs)), tuple(failed.taken)), failed]
    left = runs

    def fails(story: Story) -> bool:
        nonlocal left
        if left <= 0:
            return False
        left -= 1
        outcome = replay(env, story)
        if _kind_of(outcome.failure) != told:
            return False
        happened = tuple(label for label in story.happens if label in outcome.taken)
        best[:] = [Story(story.seed, story.names, happened), outcome]
        return True

    blamed = tuple(dict.fromkeys(re.findall(r"\bj\d+\b", failed.failure or "")))
    story: Story = best[0]
    if not (blamed and fails(Story(story.seed, blamed, story.happens))):
        _smaller(story.names, lambda names: fails(Story(story.seed, tuple(names), best[0].happens)))
    names = best[0].names
    _smaller(best[0].happens, lambda labels: fails(Story(story.seed, names, tuple(labels))))
    return best[0], best[1]


def _smaller(items: Sequence[str], fails: Callable[[Sequence[str]], bool]) -> None:
    """Leave out ever smaller pieces, as long as it still fails (Zeller and Hildebrandt, "Simplifying and Isolating
    Failure-Inducing Input", 2002)."""
    piece = max(1, len(items) // 2)
    while items:
        at = 0
        while at < len(items):
            rest = [*items[:at], *items[at + piece :]]
            if fails(rest):
                items = rest
            else:
                at += piece
        if piece == 1:
            return
        piece //= 2


def told(story: Story, outcome: Outcome) -> str:
    """In words: what failed, what had to happen for it, and the end of the trace."""
    lines = [f"{outcome.failure}", f"seed {story.seed}, jobs {', '.join(story.names)}; what had to happen:"]
    lines += [f"  {label}" for label in story.happens] or ["  nothing unusual"]
    shown = outcome.trace[-LINES:]
    lines += ["the run:", *(["  …"] if len(shown) < len(outcome.trace) else []), *(f"  {line}" for line in shown)]
    return "\n".join([*lines, f"as a test: {story!r}"])


def _kind_of(failure: str | None) -> str | None:
    """The failure without its names and numbers."""
    return failure and re.sub(r"[0-9A-HJKMNP-TV-Z]{26}|\bj\d+\S*|\d+", "", failure)[:60]
