"""When to look at the vendor next. Pure: no clock, no I/O, no AWS; randomness is passed in.

A look costs a vendor call, two state transitions and an invocation; not looking costs lag: the seconds a finished
video lies unnoticed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FLOOR = 2  # seconds; no two looks of one job are closer
CAP = 300  # seconds; no wait between two looks is longer
ERROR_BASE = 4  # seconds after the first failed look, doubling
ERROR_CAP = 300  # seconds
POLL_ERROR_BUDGET = 10  # failed looks in a row before the job gives up


@dataclass(frozen=True)
class Durations:
    """How long past tasks of one class took: a small mergeable sketch."""

    weights: Mapping[int, float] = field(default_factory=dict)
    count: int = 0

    def add(self, seconds: float, *, after: float = 0.0) -> Durations:
        """With one more task, seen finished at `seconds` after its trigger and unfinished at `after`."""
        bin_ = round(math.log(max(seconds, 1.0)) * 10)
        return Durations({**self.weights, bin_: self.weights.get(bin_, 0.0) + 1.0}, self.count + 1)

    def as_dict(self) -> dict[str, Any]:
        return {"count": self.count, "weights": {str(k): v for k, v in self.weights.items()}}

    @classmethod
    def parse(cls, value: Mapping[str, Any] | None) -> Durations:
        value = value or {}
        weights = {int(k): float(v) for k, v in (value.get("weights") or {}).items()}
        return cls(weights, int(value.get("count") or 0))


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


def next_wait(view: View, rng: random.Random) -> int:
    """Whole seconds (at least 1) until the next look."""
    if view.errors or view.throttled:
        wait: float = error_wait(max(view.errors, 1), view.retry_after, rng)
    elif view.elapsed < view.hint:
        wait = view.hint - view.elapsed
    else:
        wait = min(CAP, max(FLOOR, 0.25 * view.elapsed)) * rng.uniform(0.9, 1.1)
    wait = max(wait, view.retry_after or 0.0)
    return max(1, math.ceil(min(wait, view.deadline_left)))


def error_wait(errors: int, retry_after: float | None, rng: random.Random) -> int:
    """Back-off in whole seconds after `errors` failed calls in a row; the vendor's longer word wins."""
    wait = min(ERROR_CAP, ERROR_BASE * 2.0 ** min(max(errors, 1) - 1, 20)) * rng.uniform(0.75, 1.0)
    return max(1, math.ceil(max(wait, retry_after or 0.0)))


def size_class(vendor: str, size: float = 0.0) -> str:
    """The class durations are learned for: the vendor and the power of two below `size` (hint seconds, or bytes)."""
    return f"{vendor}#{int(math.log2(size))}" if size >= 1 else f"{vendor}#any"
