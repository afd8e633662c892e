"""Waits for what another process does. Patience grows with the load of the machine: a busy machine is no failure."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def slowness() -> float:
    """How much longer work takes than on an idle machine: processes that want a core, by core; 1 at the least.

    By the load average of the last minute (getloadavg(3)).
    """
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Patience:
    """Runs out after so many seconds of an idle machine. A second of a machine with a slowness of 3 uses up a third."""

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
    """The first true value of `holds`, asked every so many seconds. Raises TimeoutError when the patience is over."""
    patience = Patience(seconds)
    while not (value := holds()):
        if patience.over:
            raise TimeoutError(f"{what} did not come within {seconds} s of an idle machine")
        time.sleep(every)
    return value
