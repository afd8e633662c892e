"""When the next look is made: hints, learned durations, progress, age, errors, deadlines."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import pairwise

import pytest
from clipferry.pacing import poll_plan
from clipferry.pacing.poll_plan import CAP, FLOOR, Durations, View, error_wait, next_wait, stays
from hypothesis import given
from hypothesis import strategies as st


def taught(median: float, sigma: float, tasks: int = 50, seed: int = 1) -> Durations:
    rng, learned = random.Random(seed), Durations()
    for _ in range(tasks):
        learned = learned.add(rng.lognormvariate(math.log(median), sigma))
    return learned


def waits(view: View, until: float, seed: int = 1) -> list[int]:
    """The waits of a job that is never found ready, up to `until` seconds after its trigger."""
    rng, made = random.Random(seed), []
    while view.elapsed < until:
        made.append(next_wait(view, rng))
        view = replace(view, elapsed=view.elapsed + made[-1], looks=view.looks + 1)
    return made


def test_the_first_look_waits_for_the_hint_while_nothing_is_learned() -> None:
    for seed in range(50):
        assert next_wait(View(0, hint=90), random.Random(seed)) >= 90


def test_what_was_learned_overrules_a_hint_that_is_too_late() -> None:
    assert next_wait(View(0, hint=90, learned=taught(30, 0.1)), random.Random(1)) < 60


def test_a_task_of_which_nothing_is_known_is_looked_at_soon_and_then_less_often() -> None:
    made = waits(View(0), until=7200)
    assert made[0] <= 30
    assert made[-1] == pytest.approx(CAP, rel=0.1)
    assert len(made) < 70


def test_looks_gather_where_tasks_were_found_to_finish() -> None:
    learned = taught(600, 0.05)
    made = waits(View(0, learned=learned), until=900)
    assert 450 < made[0] < 600
    assert sum(1 for wait in made[1:4] if wait < 60) == 3


def test_no_look_is_wasted_between_two_clusters() -> None:
    rng, learned = random.Random(3), Durations()
    for i in range(60):
        learned = learned.add(rng.lognormvariate(math.log(30 if i % 2 else 3000), 0.15))
    moments, now = [], 0
    for wait in waits(View(0, learned=learned), until=4000):
        now += wait
        moments.append(now)
    early = [m for m in moments if m < 60]
    between = [b - a for a, b in pairwise(moments) if a > 100 and b < 1800]
    assert early
    assert all(gap > 200 for gap in between)  # the cap's own pace, no more


@given(
    elapsed=st.floats(0, 1e7),
    looks=st.integers(0, 1000),
    hint=st.floats(0, 1e5),
    tasks=st.integers(0, 60),
    median=st.floats(1, 1e6),
    sigma=st.floats(0.01, 2),
    progress=st.none() | st.integers(-5, 120),
    last=st.none() | st.tuples(st.floats(0, 1e7), st.integers(0, 100)),
    seed=st.integers(0, 9),
)
def test_every_wait_is_a_whole_number_of_seconds_between_floor_and_cap(
    elapsed: float,
    looks: int,
    hint: float,
    tasks: int,
    median: float,
    sigma: float,
    progress: int | None,
    last: tuple[float, int] | None,
    seed: int,
) -> None:
    learned = taught(median, sigma, tasks)
    view = View(elapsed, looks + 1, hint, progress, last, learned=learned)
    wait = next_wait(view, random.Random(seed))
    assert isinstance(wait, int)
    assert FLOOR <= wait <= CAP


def test_a_task_older_than_any_heard_of_is_neither_spun_on_nor_forgotten() -> None:
    made = waits(View(0, learned=taught(5, 0.1)), until=86_400)
    assert max(made) <= CAP
    assert len(made) < 86_400 / CAP + 60
    assert made[-1] > 0.9 * CAP


def test_many_jobs_started_together_drift_apart() -> None:
    learned = taught(600, 0.2)
    first = {next_wait(View(0, learned=learned), random.Random(seed)) for seed in range(100)}
    assert len(first) >= 25


def test_reported_progress_brings_the_look_to_the_extrapolated_finish() -> None:
    """20 % at 100 s and 40 % at 200 s: at this rate it ends at 500 s, whatever others took."""
    view = View(200, 3, progress=40, last_progress=(100, 20), learned=taught(260, 0.5))
    without = next_wait(replace(view, progress=None), random.Random(1))
    reported = next_wait(view, random.Random(1))
    assert without < 60
    assert 150 < reported <= 300


def test_a_report_of_almost_done_brings_the_look_near() -> None:
    view = View(600, 2, progress=95, last_progress=(300, 45), learned=taught(1800, 0.5))
    assert next_wait(view, random.Random(1)) < 60
    assert next_wait(replace(view, progress=None), random.Random(1)) > 120


def test_progress_that_stands_still_is_not_spun_on() -> None:
    rng, view, made = random.Random(1), View(60, 2, progress=99, last_progress=(50, 99), learned=taught(60, 0.3)), 0
    while view.elapsed < 3600:
        wait = next_wait(view, rng)
        made += 1
        view = replace(view, elapsed=view.elapsed + wait, looks=view.looks + 1, last_progress=(view.elapsed, 99))
    assert made < 50


def test_a_stuck_report_is_not_spun_on_even_by_a_caller_that_keeps_no_earlier_one() -> None:
    made = waits(View(60, 2, progress=99, learned=taught(60, 0.3)), until=3600)
    assert len(made) < 80
    assert made[-1] > 30


def test_the_vendors_retry_after_wins_when_it_is_longer() -> None:
    assert next_wait(View(50, 2, retry_after=120.5, learned=taught(45, 0.4)), random.Random(1)) == 121
    assert next_wait(View(50, 2, retry_after=0.1, learned=taught(45, 0.4)), random.Random(1)) < 60


@pytest.mark.parametrize("word", [-5.0, 0.0, math.inf, math.nan, 1e12])
def test_a_senseless_retry_after_neither_breaks_nor_strands_the_job(word: float) -> None:
    assert 1 <= next_wait(View(50, 2, retry_after=word), random.Random(1)) <= poll_plan.RETRY_AFTER_MAX
    assert 1 <= error_wait(2, word, random.Random(1)) <= poll_plan.RETRY_AFTER_MAX


def test_the_last_look_is_made_at_the_deadline() -> None:
    learned = taught(3600, 0.2)
    assert next_wait(View(0, learned=learned, deadline_left=100.4), random.Random(1)) == 101
    assert next_wait(View(9000, 5, errors=9, retry_after=900, deadline_left=7), random.Random(1)) == 7
    assert next_wait(View(9000, 5, deadline_left=-3), random.Random(1)) == 1


def test_failed_looks_back_off_by_doubling_up_to_the_cap() -> None:
    rng = random.Random(1)
    typical = [error_wait(errors, None, rng) for errors in range(1, 12)]
    assert 3 <= typical[0] <= 4
    assert 12 <= typical[2] <= 16
    assert all(225 <= wait <= 300 for wait in typical[7:])
    assert error_wait(10**6, None, rng) <= 300
    assert error_wait(1, 77.2, rng) == 78


def test_a_throttled_call_backs_off_without_counting_as_an_error() -> None:
    wait = next_wait(View(500, 5, throttled=True, learned=taught(45, 0.4)), random.Random(1))
    assert 3 <= wait <= 4
    assert next_wait(View(500, 5, throttled=True, retry_after=60), random.Random(1)) == 60


def test_only_short_waits_are_sat_out_inside_one_call() -> None:
    assert stays(5, 1, time_left=100)
    assert not stays(11, 1, time_left=100)
    assert not stays(5, 3, time_left=100)
    assert not stays(5, 1, time_left=60), "a call may take 60 seconds by itself"


@given(prices=st.sampled_from([0.5, 2.0, 8.0]), median=st.floats(5, 5000), sigma=st.floats(0.1, 1))
def test_the_programme_finds_what_trying_every_schedule_finds(prices: float, median: float, sigma: float) -> None:
    """The pruned search against the plain recursion over all later moments."""
    learned = taught(median, sigma, 10)
    belief = poll_plan.law(learned)
    times = [0.0, *(belief.quantile(0.001) * 1.25**i for i in range(24))]
    done = [belief.cdf(t) for t in times]
    price = poll_plan.Price(prices, belief.scale)
    plan = poll_plan.solve(times, done, price, times[-1])
    costs = [0.0] * 24 + [3 * (1 - done[-1])]
    for i in range(23, -1, -1):
        options = []
        for j in range(i + 1, 25):
            if j > i + 1 and times[j] - times[i] > CAP and i:
                break
            lag = sum((done[k + 1] - done[k]) * (times[j] - (times[k] + times[k + 1]) / 2) for k in range(i, j))
            options.append(lag / price.at(times[i]) + costs[j])
        costs[i] = 1 - done[i] + min(options)
    assert plan.costs[:25] == pytest.approx(costs, rel=1e-6, abs=1e-9)
