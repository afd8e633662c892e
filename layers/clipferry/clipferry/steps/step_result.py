"""What trigger and poll return to the state machine: ids, counters and seconds; never a URL or a credential."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clipferry.jobs.job import Job
from clipferry.jobs.problems import ACCOUNT_CODES
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.steps.context import Runtime
from clipferry.steps.slots import give_back
from clipferry.store.job_records import Superseded

TRIES = 3  # how often one call does its step, when other calls change the row meanwhile
HAND_OVER_AT = 10_000  # events in the execution's history; one Map adds up to 8,000; AWS allows 25,000


@dataclass(frozen=True)
class Run:
    """What the state machine knows of an execution: the number of events in its history, the seconds that it has
    waited, and the files whose calls in the latest Map of downloads all crashed or timed out."""

    events: int = 0
    waited: int = 0
    broken: Sequence[str] = ()

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Run:
        """From the payload that the state machine gives a function."""
        return cls(payload.get("events", 0), payload.get("waited", 0), payload.get("broken", ()))

    @property
    def full(self) -> bool:
        """Whether the history is so long that another execution should continue."""
        return self.events >= HAND_OVER_AT


BEGUN = Run()


@dataclass(frozen=True)
class StepResult:
    """`next`: TRIGGER, WAIT, DOWNLOAD, FINISH, HANDOVER or STOP (this generation has been superseded)."""

    job: Job
    generation: int
    next: str
    wait_seconds: int = 0
    ready: Sequence[str] = ()  # file ids to download
    then: str = "WAIT"  # after the downloads

    @property
    def account_refused(self) -> bool:
        """Whether the job waits for its account, or ends because of it."""
        ends = self.next == "FINISH" and self.job.error is not None and self.job.error.code in ACCOUNT_CODES
        return ends or self.job.waits_for == "account"

    def as_state(self) -> dict[str, Any]:
        return {
            "job_id": self.job.job_id,
            "generation": self.generation,
            "next": self.next,
            "wait_seconds": self.wait_seconds,
            "ready": list(self.ready),
            "then": self.then,
        }


def is_current(job: Job, generation: int) -> bool:
    """Whether a step that was called for this generation may change the job."""
    return job.generation == generation and not job.status.terminal


def hand_over(rt: Runtime, job: Job) -> StepResult:
    """Leave the job to a new execution, the next generation. Stored files and stored parts are not copied again."""
    generation = job.generation
    for file in job.files:
        if file.status is FileStatus.COPYING:
            rt.jobs.change_file(job, file, FileStatus.READY)
    status = JobStatus.WAITING if job.status is JobStatus.DOWNLOADING else job.status
    rt.jobs.change(job, rt.now(), status, **job.next_generation_changes())
    return StepResult(job, generation, "HANDOVER")


def on_current_row(rt: Runtime, job_id: str, generation: int, step: Callable[[Job], StepResult]) -> StepResult:
    """Load the job and do a step of this generation. When another call changed the row meanwhile, load and do it again.

    Raises NotFound; Superseded when the row changed at each of TRIES attempts, so that the machine repeats the step.
    """
    for tries_left in reversed(range(TRIES)):
        job = rt.jobs.load(job_id)
        if not is_current(job, generation):
            return StepResult(job, generation, "STOP")
        if job.verdict:
            return StepResult(job, generation, "FINISH")
        try:
            return step(job)
        except Superseded:
            _give_back_late(rt, job)
            if not tries_left:
                raise
    raise AssertionError


def _give_back_late(rt: Runtime, job: Job) -> None:
    """Release a slot that this call took after the job had ended or was retried, because no row names it."""
    fresh = rt.jobs.load(job.job_id, with_files=False)
    if fresh.status.terminal or fresh.holder != job.holder:
        give_back(rt, job)
