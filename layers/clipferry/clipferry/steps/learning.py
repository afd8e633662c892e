"""How long earlier tasks of this vendor and size took: read to plan the next look, and extended by each task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clipferry.jobs.job import Job
from clipferry.pacing.poll_plan import Durations, size_class

if TYPE_CHECKING:
    from clipferry.steps.context import Runtime


def learned(rt: Runtime, job: Job) -> Durations | None:
    """The durations of the job's size class; None for adopted work, because its start is not known.

    Read each time a wait is planned: half a read unit of DynamoDB, whatever number of other jobs runs.
    """
    return None if job.adopt is not None else rt.learned.read(size_class(job.vendor, job.hint))


def learn(rt: Runtime, job: Job, elapsed: float, last_look: float | None) -> None:
    """Add the duration of a task that this look found finished, unless it was adopted or started before a retry."""
    if job.adopt is None and job.triggered_lately:
        rt.learned.learn(size_class(job.vendor, job.hint), elapsed, last_look or 0.0)
