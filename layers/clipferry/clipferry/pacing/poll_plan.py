"""Decides when to look at the vendor's task next. Pure: no clock, no I/O, no AWS; the caller passes the randomness.

A look costs a vendor call, an invocation and state transitions. A missing look costs lag: the seconds for which a
finished video is not noticed. Given the distribution of such tasks' durations (`durations.py`), a small dynamic
programme finds the best times: for each time at which the task still runs, the next look that makes the sum of the
costs of looks and lag least.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from clipferry.pacing.durations import Durations, Law, law, size_class

__all__ = ["Durations", "View", "error_wait", "next_wait", "size_class", "stays"]

FLOOR = 2.0  # seconds; no two looks of one job are closer
CAP = 300.0  # seconds; no wait between two looks is longer
LAG_PER_LOOK = 1.8  # one look costs as much as so many seconds of lag, for a task of REFERENCE seconds
REFERENCE = 45.0  # seconds; for longer tasks the cost of a look grows with the square root of the duration
AGE_FACTOR = 4.0  # a task older than so many times the usual duration: its age replaces the usual duration
JITTER = 0.05  # the share of a wait by which it varies, so that jobs which started together do not stay together
TRUSTED = 8.0  # the weight of past tasks from which on the law may contradict the vendor's hint

ERROR_BASE = 4.0  # seconds after the first failed look; doubled after each further one
ERROR_CAP = 300.0  # seconds
POLL_ERROR_BUDGET = 10  # failed looks in a row that fail a job
RETRY_AFTER_MAX = 86_400.0  # seconds; a longer Retry-After is cut to one day

#: Seconds. A wait as long as this at 512 MB costs about as much as two state transitions and an invocation.
LONGEST_WAIT_IN_CALL = 10
LOOKS_IN_CALL = 3  # the most looks in one poll call
#: Seconds that a step must have left to begin another call: the longest call, and the writes after it.
TIME_FOR_A_CALL = 65.0

_POINTS = 160  # how many times the programme chooses from
_UNRELIABLE = 0.005  # the share of its chance that a finish keeps which is far from the reported progress
_RISK = 0.02  # the share of tasks that may finish more than CAP before the first look


@dataclass(frozen=True)
class View:
    """What is known right after a look (or right after the trigger), to decide the next wait. Times are seconds."""

    elapsed: float  # since the trigger
    looks: int = 0  # so far in this wait
    hint: float = 0.0  # since the trigger: before this the task cannot be finished; 0: no hint
    progress: int | None = None  # percent, from the latest look
    last_progress: tuple[float, int] | None = None  # (elapsed, percent) of an earlier look
    retry_after: float | None = None  # the vendor's Retry-After
    errors: int = 0  # failed looks in a row
    throttled: bool = False  # the last call met the vendor's rate limit
    learned: Durations | None = None  # of this vendor and size class
    deadline_left: float = math.inf
    lag_per_look: float = LAG_PER_LOOK  # the cost of a look: the higher, the fewer looks


def next_wait(view: View, rng: random.Random) -> int:
    """Whole seconds (at least 1) until the next look. The last look is at the deadline, never after it."""
    if view.errors or view.throttled:
        wait = error_wait(view.errors, view.retry_after, rng)
    else:
        wait = max(_planned(view, rng), math.ceil(_word(view.retry_after)))
    return max(1, min(wait, math.ceil(view.deadline_left)) if view.deadline_left < wait else wait)


def error_wait(errors: int, retry_after: float | None, rng: random.Random) -> int:
    """Back-off in whole seconds after `errors` failed calls in a row, or the vendor's Retry-After if that is longer."""
    wait = min(ERROR_CAP, ERROR_BASE * 2.0 ** min(max(errors - 1, 0), 20)) * rng.uniform(0.75, 1.0)
    return max(1, math.ceil(max(wait, _word(retry_after))))


def stays(wait: int, looks: int, time_left: float) -> bool:
    """Whether to wait and look again inside the same poll call, after its `looks` so far.

    `time_left`: seconds until the call must end; the look after the wait needs TIME_FOR_A_CALL of them.
    """
    return looks < LOOKS_IN_CALL and wait <= LONGEST_WAIT_IN_CALL and wait + TIME_FOR_A_CALL < time_left


def _word(retry_after: float | None) -> float:
    return min(retry_after, RETRY_AFTER_MAX) if retry_after and retry_after > 0 else 0.0


def _planned(view: View, rng: random.Random) -> int:
    elapsed, learned = max(view.elapsed, 0.0), view.learned or Durations()
    plan = _plan(learned, view.hint, view.lag_per_look)
    finish = _finish(view)
    if finish is not None:
        plan = _plan_from(elapsed, finish, law(learned, view.hint), plan.price)
    first = view.looks == 0 and elapsed < plan.latest_first
    limit = plan.latest_first - elapsed if first else CAP
    wait = plan.after(elapsed, limit) - elapsed
    wait += JITTER * rng.uniform(-1.0, 1.0) * min(wait, CAP)
    wait = max(min(wait, limit), FLOOR, min(0.01 * elapsed, CAP))
    if first and learned.weight < TRUSTED:
        wait = max(wait, view.hint - elapsed)
    return math.floor(wait + rng.random()) if wait < CAP else math.floor(wait)


@dataclass(frozen=True)
class Price:
    """The cost of a look in seconds of lag: higher for long tasks, and for tasks that take unusually long."""

    lag_per_look: float
    scale: float  # seconds; the usual duration

    def at(self, age: float) -> float:
        """For a task unfinished at `age` seconds."""
        return self.lag_per_look * math.sqrt(max(self.scale, age / AGE_FACTOR) / REFERENCE)


@dataclass(frozen=True)
class LookPlan:
    """The best next look from each time of a law. The tuples are parallel."""

    times: tuple[float, ...]  # seconds since the trigger, ascending
    done: tuple[float, ...]  # share of tasks finished by then
    spent: tuple[float, ...]  # seconds those tasks took, weighted with their shares
    costs: tuple[float, ...]  # cost of the looks and the lag to come, times the share of tasks that still run
    price: Price
    latest_first: float  # seconds since the trigger; no first look is later

    def after(self, elapsed: float, limit: float) -> float:
        """The time of the next look, within `limit` seconds, for a task unfinished at `elapsed`."""
        start = bisect_right(self.times, elapsed)
        if start >= len(self.times) - 1:  # older than all times of the law: the waits grow with the age
            return elapsed + min(limit, 0.2 * elapsed)
        before = start - 1
        part = (elapsed - self.times[before]) / (self.times[start] - self.times[before])
        done = self.done[before] + (self.done[start] - self.done[before]) * part
        spent = self.spent[before] + (self.spent[start] - self.spent[before]) * part
        moments = (self.times, self.done, self.spent, self.costs)
        _, j = _best(*moments, self.price.at(elapsed), done, spent, start, len(self.times) - 1, elapsed + limit)
        return min(self.times[j], elapsed + limit)


def solve(times: Sequence[float], done: Sequence[float], price: Price, latest_first: float) -> LookPlan:
    """Solve the dynamic programme from the last time backwards; `times[0]` is when the first wait begins.

    The cost of the lag that a later look j adds falls when i rises. So the best j never falls when i rises, and the
    search for i may stop at the best j of i + 1.
    """
    last = len(times) - 1
    spent = [0.0]
    for i, j in pairwise(range(last + 1)):
        spent.append(spent[i] + (done[j] - done[i]) * (times[i] + times[j]) / 2)
    costs = [0.0] * last + [3 * (1 - done[last])]
    furthest = last
    for i in range(last - 1, -1, -1):
        limit = times[i] + CAP if i else latest_first
        worth, end = price.at(times[i]), furthest if i else last
        cost, furthest = _best(times, done, spent, costs, worth, done[i], spent[i], i + 1, end, limit)
        costs[i] = cost + 1 - done[i]
    return LookPlan(tuple(times), tuple(done), tuple(spent), tuple(costs), price, latest_first)


def _best(
    times: Sequence[float],
    done: Sequence[float],
    spent: Sequence[float],
    costs: Sequence[float],
    worth: float,
    done_by: float,
    spent_by: float,
    start: int,
    end: int,
    limit: float,
) -> tuple[float, int]:
    """The cheapest next look among the times start … end: its cost from there on, and its index."""
    best, chosen = math.inf, start
    for j in range(start, end + 1):
        if times[j] > limit and j > start:
            break
        lag = times[j] * (done[j] - done_by) - (spent[j] - spent_by)
        cost = lag / worth + costs[j]
        if cost < best:
            best, chosen = cost, j
    return best, chosen


@lru_cache(maxsize=64)
def _plan(learned: Durations, hint: float, lag_per_look: float) -> LookPlan:
    """The plan for a task of which only the age is known. Takes about 3 ms."""
    belief = law(learned, hint)
    times = (0.0, *_spread(belief.quantile(0.002), belief.quantile(0.9995), _POINTS))
    latest_first = max(belief.quantile(_RISK) + CAP, hint)
    return solve(times, [belief.cdf(t) for t in times], Price(lag_per_look, belief.scale), latest_first)


def _finish(view: View) -> tuple[float, float] | None:
    """The remaining seconds by the reported progress: (their median, sigma of their ln); None: not known.

    Two reports give a rate. One report gives only a bound, because the vendor may have begun some time after the
    trigger. It may also have stopped for long, so the remaining time is at least a twentieth of the task's age.
    Progress that does not rise gives nothing.
    """
    percent = view.progress
    if percent is None or percent <= 0 or view.elapsed <= 0:
        return None
    to_go = max(100 - percent, 1)
    if view.last_progress is None:
        return view.elapsed * max(to_go / percent / 1.5, 0.05), 0.5
    since, before = view.elapsed - view.last_progress[0], percent - view.last_progress[1]
    if since <= 0 or before <= 0:
        return None
    return since * to_go / before, 0.2


def _plan_from(elapsed: float, finish: tuple[float, float], belief: Law, price: Price) -> LookPlan:
    """The plan for a task at `elapsed` whose progress was reported: the law, weighted by the estimate `finish`."""
    median, sigma = finish
    waits = (0.0, *_spread(min(FLOOR, median / 4), max(20 * median, 4 * CAP), _POINTS // 2))
    marks = [belief.cdf(elapsed + wait) for wait in waits]
    done = [0.0]
    for i, j in pairwise(range(len(waits))):
        middle = math.log((waits[i] + waits[j]) / 2 / median) / sigma
        chance = marks[j] - marks[i] + 1e-6 * (waits[j] - waits[i]) / waits[-1]
        done.append(done[i] + chance * (math.exp(-0.5 * middle**2) + _UNRELIABLE))
    total = done[-1] * 1.001
    return solve([elapsed + wait for wait in waits], [share / total for share in done], price, elapsed + CAP)


def _spread(low: float, high: float, count: int) -> list[float]:
    """`count` times from low to high; the ratio of each to the one before is constant."""
    ratio = math.log(high / low) / (count - 1)
    return [low * math.exp(ratio * i) for i in range(count)]
