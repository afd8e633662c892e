"""Cancelling the jobs of a batch, and starting a lost execution again.

It runs in the function sweep, because that function has the permissions to end jobs.

The jobs of a cancelled batch are found by consistent reads of its chunks. A chunk's row names its jobs before the first
of them is created. An index of jobs would not do: it may lag behind, and a job that it does not show yet would go on.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from math import ceil

from clipferry.aws import executions
from clipferry.batches import CALL_LIFETIME, BatchStatus
from clipferry.jobs.problems import Problem
from clipferry.steps.finish import Closing, NotNow
from clipferry.store.batch_records import Batches
from clipferry.store.job_records import NotFound

RESTART_BUDGET = 5  # executions of one batch that may be lost in a row
LOOK_AGAIN = 5  # seconds; a chunk is usually submitted within a few seconds


@dataclass
class BatchRecovery:
    closing: Closing
    batches: Batches

    def cancel_chunk(self, batch_id: str, generation: int, number: int) -> int:
        """Cancel the jobs of one chunk; the seconds after which to call again, 0 when all are ended. Raises NotFound.

        When a chunk was begun and is not done, another call may still create its jobs. So this waits until that call
        cannot run any more.
        """
        batch = self.batches.load(batch_id)
        if batch.generation != generation or batch.status is not BatchStatus.CANCELLING:
            return 0
        chunk, now = self.batches.chunk(batch_id, number), self.closing.rt.now()
        if chunk and chunk.cancelled:
            return 0
        if chunk and not chunk.done and now < chunk.begun_at + CALL_LIFETIME:
            return min(LOOK_AGAIN, ceil((chunk.begun_at + CALL_LIFETIME - now).total_seconds()))
        for job_id in chunk.job_ids if chunk else ():
            with suppress(NotFound, NotNow):  # the job was never created, or has already ended
                self.closing.cancel(job_id)
        self.batches.close(batch, number, now)
        return 0

    def revive(self, batch_id: str, generation: int | None) -> bool:
        """Start a batch's execution again when it has ended before the batch has. Raises NotFound, Superseded."""
        batch, now = self.batches.load(batch_id), self.closing.rt.now()
        if batch.status.settled or generation not in (None, batch.generation):
            return False
        state = executions.batch_status(batch)
        if state == "RUNNING":
            self.batches.postpone(batch, now)
            return False
        if state is None:
            self.batches.postpone(batch, now)
            executions.start_batch(batch)
            return True
        if batch.restarts >= RESTART_BUDGET:
            message = f"its executions ended {batch.restarts + 1} times before the batch did; the batch can be resumed"
            problem = Problem("EXECUTION_LOST", message)
            self.batches.change(batch, now, BatchStatus.FAILED, error=problem, finished_at=now)
            return False
        self.batches.change(batch, now, generation=batch.generation + 1, restarts=batch.restarts + 1)
        executions.start_batch(batch)
        return True
