"""What this vendor's tasks of this size have taken so far: read for the cadence, and added to once a finished task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clipferry.cadence import Durations, size_class
from clipferry.jobs import Job

if TYPE_CHECKING:
    from clipferry.steps.runtime import Runtime

REMEMBERED = 60.0  # seconds for which a process goes on with what it read


def learned(rt: Runtime, job: Job) -> Durations | None:
    """Of the job's class; None for adopted work, whose beginning nobody knows."""
    if job.adopt is not None:
        return None
    name, now = size_class(job.vendor, job.hint), rt.epoch()
    read_at, known = rt.remembered.get(name, (-REMEMBERED, Durations()))
    if not 0 <= now - read_at < REMEMBERED:
        known = rt.lessons.read(name)
        rt.remembered[name] = now, known
    return known


def learn(rt: Runtime, job: Job, elapsed: float, last_look: float | None) -> None:
    """From a task that this look found finished. Not from one that was adopted, or that an earlier life started."""
    if job.adopt is None and job.triggered_lately:
        rt.lessons.learn(size_class(job.vendor, job.hint), elapsed, last_look or 0.0)
