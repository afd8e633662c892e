"""Waits for another process. The wait is longer on a busy machine, so that a high load is not taken for a failure."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def slowness() -> float:
    """How much longer work takes than on an idle machine: runnable processes for each core, at least 1.

    It is the load average of the last minute (getloadavg(3)).
    """
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Patience:
    """Ends after so many seconds on an idle machine. With a slowness of 3, a second counts as a third of a second."""

    def __init__(
        self,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        slowness: Callable[[], float] = slowness,
    ) -> None:
        self.seconds = seconds
        self._clock, self._slowness = clock, slowness
        self._seen, self._used = clock(), 0.0

    @property
    def over(self) -> bool:
        now = self._clock()
        self._used += (now - self._seen) / self._slowness()
        self._seen = now
        return self._used > self.seconds


def until(holds: Callable[[], Value], seconds: float, *, every: float = 0.2, what: str = "it") -> Value:
    """Call `holds` every so many seconds; its first true value. Raises TimeoutError when the patience is over."""
    patience = Patience(seconds)
    while not (value := holds()):
        if patience.over:
            raise TimeoutError(f"{what} did not come within {seconds} s of an idle machine")
        time.sleep(every)
    return value
