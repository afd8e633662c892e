"""Batches in the steps' small world: manifests in the bucket, and executions walked as `batch.asl.json` does."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from clipferry.aws import executions
from clipferry.batches import Batch
from clipferry.jobs.statuses import JobStatus
from clipferry.steps import batch_requests
from clipferry.steps.batch import close, prepare, submit_chunk
from clipferry.steps.batch_context import BatchContext
from clipferry.steps.batch_recovery import BatchRecovery
from clipferry.store.batch_records import Batches
from clipferry.store.job_records import Jobs, Listing
from clipferry.vendors import VENDORS

from tests.unit.steps.aws import BUCKET
from tests.unit.steps.world import World

KEY = "manifests/today.jsonl"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:batch"


def line(number: int, **more: Any) -> str:
    """A good line, unlike any other number's."""
    return json.dumps({"vendor": "scripted", "request": {"url": f"https://media.example/{number}.mp4"}, **more})


class Batching:
    def __init__(self, world: World) -> None:
        self.world, self.batches = world, Batches()
        self.context = BatchContext(world.rt, self.batches, world.s3)
        self.recovery = BatchRecovery(world.closing, self.batches)
        self.time_left = 100.0

    def post(self, *lines: str | bytes, key: str = KEY, idempotency: str | None = None, **body: Any) -> str:
        text = b"\n".join(entry if isinstance(entry, bytes) else entry.encode() for entry in lines)
        self.world.s3.put_object(Bucket=BUCKET, Key=key, Body=text)
        return batch_requests.open_batch(self.context, {"manifest": {"key": key}, **body}, key=idempotency).batch_id

    def batch(self, batch_id: str) -> Batch:
        return self.batches.load(batch_id)

    def shown(self, batch_id: str) -> dict[str, Any]:
        batch, counts = self.batches.load_with_counts(batch_id)
        return batch.public(counts)

    def lines(self, batch_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.shown(batch_id)["lines"]
        return found

    # -- the machine ------------------------------------------------------------------------------------------

    def execute(self, batch_id: str, generation: int | None = None, *, stop_after: int | None = None) -> str:
        """Run an execution to its end, or until it is stopped after so many chunks; what it came to."""
        generation = generation or self.batch(batch_id).generation
        state = {"next": "PREPARE"}
        while state["next"] == "PREPARE":
            state = prepare(self.context, batch_id, generation, lambda: self.time_left)
        if state["next"] in ("SUBMIT", "CANCEL"):
            for chunk in self.chunks(batch_id)[:stop_after]:
                if state["next"] == "SUBMIT":
                    submit_chunk(self.context, batch_id, generation, chunk)
                else:
                    self.cancel_chunk(batch_id, generation, chunk["number"])
            if stop_after is not None:
                return "STOPPED"
        if state["next"] in ("SUBMIT", "CANCEL", "CLOSE"):
            state = close(self.context, batch_id, generation)
        self.ended(batch_id, generation)
        return str(state["next"])

    def cancel_chunk(self, batch_id: str, generation: int, number: int) -> None:
        while seconds := self.recovery.cancel_chunk(batch_id, generation, number):
            self.world.wait(seconds)

    def chunks(self, batch_id: str) -> list[dict[str, int]]:
        body = self.world.s3.get_object(Bucket=BUCKET, Key=self.batch(batch_id).index_key)["Body"].read()
        found: list[dict[str, int]] = json.loads(body)
        return found

    def running(self) -> list[tuple[str, int] | None]:
        found = self.world.machine.list_executions(stateMachineArn=MACHINE, statusFilter="RUNNING")
        return [executions.parse_name(execution["name"]) for execution in found["executions"]]

    def ended(self, batch_id: str, generation: int) -> None:
        """An execution is over: moto knows no other end of one that does not run."""
        with self.world._aws_itself():
            self.world.machine.stop_execution(
                executionArn=f"{MACHINE.replace(':stateMachine:', ':execution:')}:{batch_id}-{generation}"
            )

    # -- what is there ----------------------------------------------------------------------------------------

    def jobs(self, batch_id: str) -> list[Any]:
        store, found, before = Jobs(("scripted", *VENDORS)), [], None
        while True:
            page, before = store.list(Listing(tag=f"batch#{batch_id}"), 100, before)
            found += page
            if before is None:
                return found

    def statuses(self, batch_id: str) -> dict[JobStatus, int]:
        return dict(Counter(job.status for job in self.jobs(batch_id)))

    def report(self, batch_id: str) -> list[dict[str, Any]]:
        key = self.batch(batch_id).report
        assert key is not None
        body = self.world.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()
        return [json.loads(entry) for entry in body.splitlines()]
