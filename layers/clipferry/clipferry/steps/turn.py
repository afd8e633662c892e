"""What trigger and poll tell the state machine. Ids, counters and seconds; never a URL, never a credential."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clipferry.jobs import Job
from clipferry.steps.runtime import Runtime
from clipferry.store import Superseded


@dataclass(frozen=True)
class Turn:
    """`next`: TRIGGER, WAIT, DOWNLOAD, FINISH, HANDOVER or STOP (this generation has been superseded)."""

    job: Job
    generation: int
    next: str
    wait_seconds: int = 0
    ready: Sequence[str] = ()  # file ids to download
    then: str = "WAIT"  # after the downloads

    def as_state(self) -> dict[str, Any]:
        return {
            "job_id": self.job.job_id, "generation": self.generation, "next": self.next,
            "wait_seconds": self.wait_seconds, "ready": list(self.ready), "then": self.then,
        }  # fmt: skip


def current(job: Job, generation: int) -> bool:
    """Whether a step called for this generation still has a say."""
    return job.generation == generation and not job.status.terminal


def overtaken(rt: Runtime, job_id: str, generation: int, error: Superseded) -> Turn:
    """After a write met its condition: stop if the job has moved on, else be called again."""
    job = rt.jobs.load(job_id)
    if current(job, generation):
        raise error
    return Turn(job, generation, "STOP")
