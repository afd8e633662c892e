"""The ends that trigger and poll decide on. They store how the job is to end; the function finish ends it."""

from __future__ import annotations

from typing import Any

from clipferry.jobs.job import Job
from clipferry.jobs.problems import Problem
from clipferry.jobs.statuses import JobStatus
from clipferry.steps.context import Runtime
from clipferry.steps.step_result import StepResult


def fail(rt: Runtime, job: Job, problem: Problem, **changes: Any) -> StepResult:
    """End the job as FAILED, or as PARTIAL when some of its files are stored. Raises Superseded."""
    return _end(rt, job, JobStatus.FAILED, problem, **changes)


def time_out(rt: Runtime, job: Job, missing: str) -> StepResult:
    """End the job as TIMED_OUT; `missing` says what had not happened by the deadline. Raises Superseded."""
    problem = Problem("DEADLINE_PASSED", f"{missing} within {job.deadline_seconds} seconds")
    return _end(rt, job, JobStatus.TIMED_OUT, problem)


def _end(rt: Runtime, job: Job, verdict: JobStatus, problem: Problem, **changes: Any) -> StepResult:
    rt.jobs.change(job, rt.now(), verdict=verdict, error=problem, next_poll_at=None, **changes)
    return StepResult(job, job.generation, "FINISH")
