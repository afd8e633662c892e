"""Waits between two calls of a copy, in seconds: for S3, and for a source that changed or was not found."""

from __future__ import annotations

import random

_THROTTLED = 30.0
_CHANGED_FIRST = 2.0
_NOT_THERE_FIRST, _NOT_THERE_MOST = 5.0, 60.0


def throttle_wait() -> float:
    """The wait after S3 throttled. It is random, so that copies do not start again at the same time."""
    return _THROTTLED * random.uniform(0.75, 1.25)


def not_there_wait(waited: float) -> float:
    """The wait before the next request to a source that is reported ready and was not found for `waited` seconds."""
    return max(_NOT_THERE_FIRST, min(_NOT_THERE_MOST, waited))


def change_wait(starts: int) -> float:
    """The wait before start `starts` + 1 of a source that changed: the vendor may still be writing the file."""
    return float(_CHANGED_FIRST * 2 ** (starts - 1))
