"""What the formulas of pacing give, number by number: whoever changes one of them sees here what else changes.

The other tests of this folder say how looks and laws behave. These figures were computed by the code when those held.
After a deliberate change `python -m tests.unit.pacing.test_pinned_figures` prints them anew.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from clipferry.pacing.durations import Durations, law
from clipferry.pacing.poll_plan import Price, View, next_wait, solve

FIGURES = Path(__file__).with_name("pinned_figures.json")


def taught(*tasks: float | tuple[float, float]) -> Durations:
    """Learned from tasks: seconds each, or (seconds of the look that found it done, of the look before)."""
    learned = Durations()
    for task in tasks:
        learned = learned.add(task[0], after=task[1]) if isinstance(task, tuple) else learned.add(task)
    return learned


LEARNED = {
    "nothing": Durations(),
    "one": taught(60.0),
    "steady": taught(*[100.0 + 3 * (i % 7) for i in range(30)]),
    "two clusters": taught(*[(40.0 + i % 5) if i % 2 else (900.0 + 20 * (i % 3)) for i in range(40)]),
    "three clusters": taught(*[[30.0, 300.0, 3000.0][i % 3] * (1 + 0.02 * (i % 5)) for i in range(45)]),
    "looked late": taught(*[(120.0 + i, 60.0) for i in range(12)], (5.0, 0.0), (400.0, 20.0)),
    "slower": taught(*[100.0] * 20, *[2000.0] * 8),
    "sooner": taught(*[1000.0] * 20, *[(50.0, 0.0)] * 8),
}
MOMENTS = (0.5, 5, 20, 50, 100, 150, 300, 1000, 4000, 100_000)
VIEWS = {
    "new": View(0.0),
    "hinted": View(1.0, hint=200.0),
    "looked at": View(30.0, looks=1, hint=200.0),
    "in the middle": View(100.0, looks=2),
    "reported once": View(60.0, looks=1, progress=30),
    "reported late": View(9000.0, looks=9, progress=99),
    "reported twice": View(90.0, looks=3, progress=60, last_progress=(45.0, 20)),
    "standing still": View(90.0, looks=3, progress=60, last_progress=(45.0, 60)),
    "old": View(5000.0, looks=20),
    "ancient": View(400_000.0, looks=200),
    "told when": View(30.0, looks=1, retry_after=77.5),
    "thrifty": View(30.0, looks=1, lag_per_look=20.0),
    "failed": View(30.0, looks=1, errors=3),
    "failed and told when": View(30.0, looks=1, errors=1, retry_after=60.0),
    "near its deadline": View(30.0, looks=1, deadline_left=3.2),
}


def law_of(learned: Durations, hint: float) -> dict[str, Any]:
    found = law(learned, hint)
    return {
        "finished by": [found.cdf(moment) for moment in MOMENTS],
        "quantiles": [found.quantile(p) for p in (0.002, 0.02, 0.5, 0.9995)],
        "scale": found.scale,
        "parts": [list(part) for part in found.parts],
    }


def waits_of(learned: Durations) -> dict[str, list[int]]:
    rng = random.Random(7)
    return {
        name: [next_wait(View(**{**vars(view), "learned": learned}), rng) for _ in range(3)]
        for name, view in VIEWS.items()
    }


def programme() -> dict[str, Any]:
    times = [0.0, *(5 * 1.3**number for number in range(20))]
    done = [0.0, *(0.999 * (number + 1) / 20 for number in range(20))]
    plan = solve(times, done, Price(1.8, 60.0), 40.0)
    return {
        "spent": list(plan.spent),
        "costs": list(plan.costs),
        "next": [plan.after(elapsed, 300.0) for elapsed in (0, 3, 20, 77.7, 300, 700, 900)],
    }


def figures() -> dict[str, Any]:
    return {
        "learned": {name: learned.as_dict() for name, learned in LEARNED.items()},
        "laws": {name: law_of(learned, 0.0) for name, learned in LEARNED.items()},
        "hinted laws": {name: law_of(learned, 200.0) for name, learned in LEARNED.items()},
        "waits": {name: waits_of(learned) for name, learned in LEARNED.items()},
        "programme": programme(),
    }


PINNED = json.loads(FIGURES.read_text())


def near(pinned: Any) -> Any:
    """The same, compared to six digits: other machines round otherwise."""
    match pinned:
        case float():
            return pytest.approx(pinned, rel=1e-6, abs=1e-9)
        case list():
            return [near(item) for item in pinned]
        case dict():
            return {name: near(item) for name, item in pinned.items()}
    return pinned


@pytest.mark.parametrize("name", LEARNED)
def test_what_is_learned_of_these_tasks(name: str) -> None:
    assert LEARNED[name].as_dict() == near(PINNED["learned"][name])


@pytest.mark.parametrize("name", LEARNED)
def test_how_long_the_next_task_may_take_after_these(name: str) -> None:
    assert law_of(LEARNED[name], 0.0) == near(PINNED["laws"][name])
    assert law_of(LEARNED[name], 200.0) == near(PINNED["hinted laws"][name])


@pytest.mark.parametrize("name", LEARNED)
def test_when_the_next_look_is_after_these_tasks(name: str) -> None:
    assert waits_of(LEARNED[name]) == PINNED["waits"][name]


def test_what_the_programme_chooses() -> None:
    assert programme() == near(PINNED["programme"])


if __name__ == "__main__":
    print(json.dumps(figures(), indent=1))
