"""How many connections may ask the source at once: halved when it says "slow down", raised again as it bears it."""

from __future__ import annotations

import threading
import time

RETRY_AFTER_MAX = 60.0  # seconds; a longer wish is the caller's to fulfil
_SAME_STORM = 1.0  # seconds; refusals that arrive together are one


class ConnectionLimit:
    def __init__(self, connections: int) -> None:
        self.limit = self._most = max(1, connections)
        self._active = 0
        self._good = 0
        self._halved_at = float("-inf")
        self._open_at = 0.0
        self._changed = threading.Condition()

    def enter(self, until: float) -> bool:
        """Wait for a place; False when the monotonic clock reached `until` first."""
        with self._changed:
            while True:
                now = time.monotonic()
                if now >= until:
                    return False
                if self._active < self.limit and now >= self._open_at:
                    self._active += 1
                    return True
                wake = until if self._active >= self.limit else min(until, self._open_at)
                self._changed.wait(max(0.001, wake - now))

    def leave(self, *, good: bool) -> None:
        """Give the place back; after as many good answers as there are places, one more is opened."""
        with self._changed:
            self._active -= 1
            self._good = self._good + 1 if good else 0
            if self._good >= self.limit < self._most:
                self.limit, self._good = self.limit + 1, 0
            self._changed.notify()

    def slow_down(self, wait: float) -> None:
        """The source refused: half the places, and none before the wait is over."""
        with self._changed:
            now = time.monotonic()
            if now - self._halved_at > _SAME_STORM:
                self.limit, self._halved_at = max(1, self.limit // 2), now
            self._good = 0
            self._open_at = max(self._open_at, now + min(wait, RETRY_AFTER_MAX))
            self._changed.notify_all()

    def open_up(self) -> None:
        """Wake everybody who waits; they look at their deadlines again."""
        with self._changed:
            self._open_at = 0.0
            self._changed.notify_all()
