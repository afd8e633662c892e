"""Waits between two calls of a copy, in seconds: for S3, and for a source that changed or is not there yet."""

from __future__ import annotations

import random

_THROTTLED = 30.0
_CHANGED_FIRST = 2.0
_NOT_THERE_FIRST, _NOT_THERE_MOST = 5.0, 60.0


def throttle_wait() -> float:
    """For how long S3 is left alone after it asked to slow down. Spread, so that copies do not come back together."""
    return _THROTTLED * random.uniform(0.75, 1.25)


def not_there_wait(waited: float) -> float:
    """Until the next look at a source that is said to be ready and was not found for `waited` seconds."""
    return max(_NOT_THERE_FIRST, min(_NOT_THERE_MOST, waited))


def change_wait(starts: int) -> float:
    """Until a source that changed for the `starts`-th time is begun with again: it may be at work on the file."""
    return float(_CHANGED_FIRST * 2 ** (starts - 1))
