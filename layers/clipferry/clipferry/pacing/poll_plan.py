"""When to look at the vendor next. Pure: no clock, no I/O, no AWS; randomness is passed in.

A look costs a vendor call, an invocation and state transitions; not looking costs lag, the seconds a finished video
lies unnoticed. With a law of how long such tasks take (`durations.py`), the best moments to look are a small dynamic
programme: from each moment, the next look that makes looks plus priced lag least, given that the task still runs.
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
LAG_PER_LOOK = 1.8  # seconds of lag that one look is worth for a task of REFERENCE seconds …
REFERENCE = 45.0  # … and more for longer tasks, as the square root
OLD = 4.0  # times the usual duration, from where on a task's own age is what lag is measured against
JITTER = 0.05  # share of a wait by which it moves either way, so that jobs started together drift apart
TRUSTED = 8.0  # tasks learned from before the law may overrule the vendor's hint

ERROR_BASE = 4.0  # seconds after the first failed look, doubling
ERROR_CAP = 300.0  # seconds
POLL_ERROR_BUDGET = 10  # failed looks in a row before a job gives up
RETRY_AFTER_MAX = 86_400.0  # seconds; a server that asks for more than a day is not believed

STAY = 10  # seconds at 256 MB cost about what one turn of the machine does: two transitions and an invocation
STAY_LOOKS = 3  # looks in one poll call at most
CALL_ROOM = 65.0  # seconds that a step must have left to begin one more call: a call's longest, and the writes after it

_POINTS = 160  # moments the programme chooses from
_UNRELIABLE = 0.005  # what a finish far from the reported one keeps of its chance
_RISK = 0.02  # share of tasks that may be finished more than CAP before the first look


@dataclass(frozen=True)
class View:
    """What is known when deciding, right after a look (or right after the trigger). Times are seconds."""

    elapsed: float  # since the trigger
    looks: int = 0  # so far in this wait
    hint: float = 0.0  # since the trigger: the vendor's "not worth looking before"; 0 none
    progress: int | None = None  # percent, as the look just made reported it
    last_progress: tuple[float, int] | None = None  # (elapsed, percent) of an earlier look
    retry_after: float | None = None  # the vendor's own word
    errors: int = 0  # failed looks in a row
    throttled: bool = False  # the last call met the vendor's rate limit
    learned: Durations | None = None  # of this vendor and size class
    deadline_left: float = math.inf
    lag_per_look: float = LAG_PER_LOOK  # thrift: the higher, the fewer looks


def next_wait(view: View, rng: random.Random) -> int:
    """Whole seconds (at least 1) until the next look; the last look is made at the deadline, never after."""
    if view.errors or view.throttled:
        wait = error_wait(view.errors, view.retry_after, rng)
    else:
        wait = max(_planned(view, rng), math.ceil(_word(view.retry_after)))
    return max(1, min(wait, math.ceil(view.deadline_left)) if view.deadline_left < wait else wait)


def error_wait(errors: int, retry_after: float | None, rng: random.Random) -> int:
    """Back-off in whole seconds after `errors` failed calls in a row; the vendor's own word wins when it is longer."""
    wait = min(ERROR_CAP, ERROR_BASE * 2.0 ** min(max(errors - 1, 0), 20)) * rng.uniform(0.75, 1.0)
    return max(1, math.ceil(max(wait, _word(retry_after))))


def stays(wait: int, looks: int, time_left: float) -> bool:
    """Whether to wait and look again inside the same poll call, after its `looks` so far.

    `time_left` is the call's own, in seconds; the look after the wait needs some of it.
    """
    return looks < STAY_LOOKS and wait <= STAY and wait + CALL_ROOM < time_left


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
    """What a look is worth in seconds of lag: more for long tasks, and for those that grow old."""

    lag_per_look: float
    scale: float  # seconds; the usual duration

    def at(self, age: float) -> float:
        """For a task unfinished at `age` seconds."""
        return self.lag_per_look * math.sqrt(max(self.scale, age / OLD) / REFERENCE)


@dataclass(frozen=True)
class LookPlan:
    """The best next look from every moment of a law. The tuples are parallel."""

    times: tuple[float, ...]  # seconds since the trigger, ascending
    done: tuple[float, ...]  # share of tasks finished by then
    spent: tuple[float, ...]  # seconds those tasks took, weighted with their shares
    costs: tuple[float, ...]  # looks and priced lag to come, times the share still running
    price: Price
    latest_first: float  # seconds since the trigger; no first look is later

    def after(self, elapsed: float, limit: float) -> float:
        """The moment of the next look, within `limit` seconds, for a task unfinished at `elapsed`."""
        start = bisect_right(self.times, elapsed)
        if start >= len(self.times) - 1:  # older than any task heard of: ever more patient
            return elapsed + min(limit, 0.2 * elapsed)
        before = start - 1
        part = (elapsed - self.times[before]) / (self.times[start] - self.times[before])
        done = self.done[before] + (self.done[start] - self.done[before]) * part
        spent = self.spent[before] + (self.spent[start] - self.spent[before]) * part
        moments = (self.times, self.done, self.spent, self.costs)
        _, j = _best(*moments, self.price.at(elapsed), done, spent, start, len(self.times) - 1, elapsed + limit)
        return min(self.times[j], elapsed + limit)


def solve(times: Sequence[float], done: Sequence[float], price: Price, latest_first: float) -> LookPlan:
    """The programme, from the last moment backwards; `times[0]` is when the first wait begins.

    What a later look adds in lag, times its price, falls as i rises, so the best j never falls as i rises: the search
    for i may end where that for i + 1 found its best.
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
    """The cheapest next look among moments start … end: (what it costs from there on, its index)."""
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
    """The plan for a task of which only its age is known. Some 3 ms to make."""
    belief = law(learned, hint)
    times = (0.0, *_spread(belief.quantile(0.002), belief.quantile(0.9995), _POINTS))
    latest_first = max(belief.quantile(_RISK) + CAP, hint)
    return solve(times, [belief.cdf(t) for t in times], Price(lag_per_look, belief.scale), latest_first)


def _finish(view: View) -> tuple[float, float] | None:
    """What reported progress says of the seconds still to go: (their median, sigma of their ln); None: nothing.

    Two reports give a rate. One alone gives a bound, for the vendor's work began at some time after the trigger; and
    it may have stood still for long, so that it promises nothing sooner than a twentieth of the task's age.
    A report that stands still or falls says nothing.
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
    """The plan for a task at `elapsed` whose progress was reported: the law, weighed with what the report says."""
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
    """`count` moments from low to high, each the same ratio above the one before."""
    ratio = math.log(high / low) / (count - 1)
    return [low * math.exp(ratio * i) for i in range(count)]
