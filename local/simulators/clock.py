"""The simulators' two clocks: how late it is on the wire, and how far the vendor's work has come."""

from __future__ import annotations

import time


class Clock:
    """`wall()` is what the vendor's servers would show; `now()` is the time in which its jobs are worked.

    Timestamps, signature windows and URL expiry are `wall()` times, because clients compare them with their own
    clock. Recording, uploading, transcoding and rate limits take `now()` time, which runs 1/scale times as fast.
    """

    def __init__(self, scale: float = 1.0) -> None:
        if scale <= 0:
            raise ValueError(f"time scale must be above 0, not {scale}")
        self.scale = scale
        self.skew = 0.0  # seconds by which the vendor's clock is ahead of this machine's
        self._started = time.time()
        self._zero = time.monotonic()
        self._jumped = 0.0

    def wall(self) -> float:
        """Epoch seconds by the vendor's clock."""
        return time.time() + self.skew

    def now(self) -> float:
        """Epoch-like seconds of the vendor's work."""
        return self._started + (time.monotonic() - self._zero) / self.scale + self._jumped

    def advance(self, seconds: float) -> None:
        """Let the vendor work for so many of its seconds at once; tests use it in place of sleeping."""
        self._jumped += seconds
