"""The simulators' two clocks: the time that the vendor's servers show, and the time of the vendor's work."""

from __future__ import annotations

import time


class Clock:
    """`wall()` is the time that the vendor's servers show; `now()` is the time in which its work runs.

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
        """Epoch seconds of the vendor's clock."""
        return time.time() + self.skew

    def now(self) -> float:
        """Seconds of the time in which the vendor's work runs."""
        return self._started + (time.monotonic() - self._zero) / self.scale + self._jumped

    def advance(self, seconds: float) -> None:
        """Move the vendor's work so many of its seconds ahead; tests use this instead of sleeping."""
        self._jumped += seconds
