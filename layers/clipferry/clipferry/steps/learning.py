"""What this vendor's tasks of this size have taken so far: read for the cadence, and added to once a finished task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clipferry.jobs import Job
from clipferry.pacing.poll_plan import Durations, size_class

if TYPE_CHECKING:
    from clipferry.steps.context import Runtime


def learned(rt: Runtime, job: Job) -> Durations | None:
    """Of the job's class; None for adopted work, whose beginning nobody knows.

    Read whenever a wait is planned: half a read unit, and a job costs the same however many others run.
    """
    return None if job.adopt is not None else rt.learned.read(size_class(job.vendor, job.hint))


def learn(rt: Runtime, job: Job, elapsed: float, last_look: float | None) -> None:
    """From a task that this look found finished. Not from one that was adopted, or that an earlier life started."""
    if job.adopt is None and job.triggered_lately:
        rt.learned.learn(size_class(job.vendor, job.hint), elapsed, last_look or 0.0)
