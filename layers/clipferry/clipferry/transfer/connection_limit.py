"""How many ranges may be read at once: fewer when the source throttles or is too slow, more when it is fast enough.

A range is late when it cannot arrive before the end of the call at its present speed. If all connections share one
bandwidth, half of the late ranges arrive in time when the other half waits. If each connection has its own bandwidth,
all late ranges are lost in any case. So half of the late ranges are paused. A paused range keeps the bytes that have
arrived, and continues from there when it may read again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

RETRY_AFTER_MAX = 60.0  # seconds; for a longer wait the call ends, and the caller waits
_SAME_STORM = 1.0  # seconds; refusals within this time count as one
_LOOKS = 16  # the speeds are checked each time 1/16 of the remaining time has passed
_MARGIN = 0.95  # the share of the remaining time in which a range has to arrive


@dataclass(eq=False)
class Reading:
    """One range of a source that is being read or waits. Only the thread that reads it writes `received`."""

    position: tuple[str, int]  # ranges are read in this order
    length: int  # bytes
    behind: int = 0  # bytes that must arrive after it in the same call; otherwise it is useless
    received: int = 0
    begun: float = 0.0  # when it first got a place, on the monotonic clock
    active: bool = False
    paused: bool = False  # it is to give its place up
    seen: int = 0  # `received` when its present speed began to be measured …
    since: float = 0.0  # … and when that was

    def late(self, now: float, left: float) -> bool:
        """Whether it and the bytes that follow cannot arrive in `left` seconds at its present speed."""
        arrives = (self.received - self.seen) * left * _MARGIN
        return self.length - self.received + self.behind > arrives / max(now - self.since, 0.001)


class ConnectionLimit:
    """Limits the ranges that are read at once. Safe to use from many threads."""

    def __init__(self, most: int, first: int | None = None) -> None:
        """`most` connections at once, `first` of them at the start (None: all)."""
        self._most = max(1, most)
        self.limit = self._first = self._most if first is None else max(1, min(first, self._most))
        self._proven: int | None = None  # how many were read at once when one arrived; None: no range arrived
        self._readings: set[Reading] = set()  # active or waiting
        self._good = 0  # complete ranges since the limit changed
        self._refused_at = float("-inf")
        self._open_at = 0.0
        self._ends_at = float("inf")
        self._looked_at = time.monotonic()
        self._closed = False
        self._changed = threading.Condition()

    # -- readings -----------------------------------------------------------------------------------------------------

    def enter(self, reading: Reading, until: float) -> bool:
        """Wait for a place; False when the monotonic clock reached `until` first, or after `close`."""
        with self._changed:
            self._readings.add(reading)
            while True:
                now = time.monotonic()
                if self._closed or now >= until:
                    self._forget(reading)
                    return False
                if now >= self._open_at and self._is_next(reading):
                    self._admit(reading, now)
                    return True
                wake = min(until, self._open_at) if self._open_at > now else until
                self._changed.wait(max(0.001, wake - now))

    def leave(self, reading: Reading, *, good: bool) -> None:
        """Give the place back. `good`: the range has arrived completely, which may raise the limit by one."""
        with self._changed:
            if good:
                self._proven = max(self._proven or 0, self._active)
                self._good += 1
                if self.limit < self._most and (self._good >= self.limit or self._quick(reading)):
                    self.limit, self._good = self.limit + 1, 0
            elif not reading.paused:
                self._good = 0
            self._forget(reading)
            self._changed.notify_all()

    def _admit(self, reading: Reading, now: float) -> None:
        reading.active, reading.paused = True, False
        reading.begun = reading.begun or now
        reading.seen, reading.since = reading.received, now
        self._proven = self._proven or 0
        self._changed.notify_all()  # the next in line may get a place too

    def _quick(self, reading: Reading) -> bool:
        """Whether the time suffices to read twice as many ranges at half the speed."""
        now = time.monotonic()
        never_refused = self._refused_at == float("-inf")
        return never_refused and 2 * (now - reading.begun) <= self._ends_at - now

    @property
    def _active(self) -> int:
        return sum(reading.active for reading in self._readings)

    def _is_next(self, reading: Reading) -> bool:
        if self._active >= self.limit:
            return False
        return all(other.active or reading.position <= other.position for other in self._readings)

    def _forget(self, reading: Reading) -> None:
        self._readings.discard(reading)
        reading.active = False

    # -- what changes the limit ---------------------------------------------------------------------------------------

    def slow_down(self, wait: float) -> None:
        """The source throttles: halve the limit, and start no range before the wait is over."""
        with self._changed:
            now = time.monotonic()
            if now - self._refused_at > _SAME_STORM:
                self.limit, self._refused_at = max(1, self.limit // 2), now
            self._fewer()
            self._open_at = max(self._open_at, now + min(wait, RETRY_AFTER_MAX))
            self._changed.notify_all()

    def review(self, left: float) -> None:
        """Pause half of the late ranges. May be called often; it checks the speeds only after some time has passed.

        `left`: seconds in which a range must arrive to be useful.
        """
        now = time.monotonic()
        if left <= 0 or now - self._looked_at < left / _LOOKS:
            return
        with self._changed:
            span, self._looked_at, self._ends_at = (now - self._looked_at) / 2, now, now + left
            measured = [reading for reading in self._readings if reading.active and now - reading.since >= span]
            late = [reading for reading in measured if reading.late(now, left)]
            self._pause(sorted(late, key=lambda reading: reading.position))
            for reading in measured:
                reading.seen, reading.since = reading.received, now

    def _pause(self, late: Sequence[Reading]) -> None:
        active = self._active
        kept = max(len(late) // 2, 1 if len(late) == active else 0)
        for reading in late[kept:]:
            reading.paused = True
        if late[kept:]:
            self.limit = active - len(late[kept:])
            self._fewer()

    def _fewer(self) -> None:
        """Lower the limit, and forget how many connections worked before."""
        self._good = 0
        if self._proven:
            self._proven = min(self._proven, self.limit)

    # -- for the next call --------------------------------------------------------------------------------------------

    @property
    def next_first(self) -> int:
        """How many connections the next call should start with: as many as brought ranges; fewer when none arrived."""
        if self._proven is None:
            return self._first
        return max(self._proven, self.limit) if self._proven else max(1, self.limit // 2)

    def close(self) -> None:
        """Let no further range start, and wake the threads that wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
