"""The users of the stack while it fails. They repeat a submission until it is accepted, click twice, cancel and retry.

They also cause faults from outside: executions are stopped or started a second time, events are delivered again and
late.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from botocore.exceptions import BotoCoreError, ClientError

from local.chaos.draws import Ledger
from local.chaos.rows import Row, Rows
from local.chaos.troubles import OUTSIDE
from local.chaos.work import Plan
from local.stack import Stack

INSISTENCE = 300.0  # seconds for which a client repeats its submission
AWAY = (requests.RequestException, ClientError, BotoCoreError)  # no answer at the moment


class NotAccepted(Exception):
    """The stack accepted a user's job in none of the attempts."""


class User:
    """The user of one job, from the submission until the job has ended, or until `patience` seconds have passed."""

    def __init__(self, stack: Stack, rows: Rows, plan: Plan, ledger: Ledger, patience: float) -> None:
        self.stack, self.rows, self.plan, self.ledger = stack, rows, plan, ledger
        self.patience = patience
        self.retries = 0  # all clicks, also repeated ones
        self.accepted_at = 0.0

    def live(self) -> None:
        """Raises NotAccepted."""
        time.sleep(self.plan.starts_after)
        doors = {
            "api": self._submit,
            "clicks": self._submit_twice,
            "rule": self._fire,
            "schedule": self._fire_schedule,
            "batch": self._await_batch,
        }
        doors[self.plan.door]()
        self.accepted_at = time.monotonic()
        for after, act in self._troubles():
            self._until(lambda row: row.terminal, self.accepted_at + after - time.monotonic())
            act()
        ended = self._until(lambda row: row.terminal, self.patience)
        if ended and ended.status != "SUCCEEDED" and self.plan.retries:
            self._retry(ended.generation)

    # -- ways to submit -----------------------------------------------------------------------------------------

    def _submit(self) -> None:
        key = {"Idempotency-Key": f"chaos {self.plan.mark}"}
        self._insist(lambda: self.stack.call("POST", "/jobs", body=self.plan.body, headers=key), (202,))

    def _submit_twice(self) -> None:
        self._note("submission repeated")
        self._at_once(self._submit, self._submit)

    def _await_batch(self) -> None:
        """Wait for the job of a line in the seed's batch, which another user posts."""
        if self._until(lambda _: True, INSISTENCE) is None:
            raise NotAccepted(self.plan.mark)

    def _fire(self) -> None:
        """A rule fires, with an input that names the firing."""
        self._deliver({**self.plan.body, "firing": f"chaos {self.plan.mark}"})

    def _fire_schedule(self) -> None:
        """A schedule fires, in the way of EventBridge Scheduler, because the emulator fills in no scheduled time."""
        name = f"chaos-{self.plan.mark}"
        body = {"expression": "rate(30 days)", "start": "2199-01-01T00:00:00Z", "job": self.plan.body}
        self._insist(lambda: self.stack.call("PUT", f"/schedules/{name}", body=body), (200, 201))
        give_up = time.monotonic() + INSISTENCE
        while time.monotonic() < give_up:
            try:
                kept = self.stack.client("scheduler").get_schedule(GroupName=self.stack.name, Name=name)
            except AWAY:
                time.sleep(0.5)
                continue
            text = kept["Target"]["Input"].replace("<aws.scheduler.scheduled-time>", "2026-11-21T02:00:00Z")
            self._deliver(json.loads(text))
            return
        raise NotAccepted(self.plan.mark)

    def _deliver(self, payload: dict[str, Any]) -> None:
        """Deliver the event at least twice, and until its job exists."""
        event = json.dumps(payload)
        give_up, deliveries = time.monotonic() + INSISTENCE, 0
        while deliveries < 2 or not self.rows.of(self.plan.mark):
            if time.monotonic() > give_up or self.rows.ended:
                raise NotAccepted(self.plan.mark)
            try:
                self.stack.client("lambda").invoke(
                    FunctionName=f"{self.stack.name}-schedule", InvocationType="Event", Payload=event
                )
                deliveries += 1
            except AWAY:
                time.sleep(1)
            if deliveries > 1:
                self._note(f"{self.plan.door}'s event delivered again")
                self._until(lambda _: True, 5)

    # -- while the job runs -------------------------------------------------------------------------------------

    def _troubles(self) -> list[tuple[float, Callable[[], None]]]:
        """(seconds after the submission, what to do then), in the order of time."""
        plan = self.plan
        wanted = [
            (plan.cancels_after, self._cancel),
            (plan.stops_after, self._stop),
            (plan.starts_again_after, self._start_again),
        ]
        return sorted(((after, act) for after, act in wanted if after is not None), key=lambda pair: pair[0])

    def _cancel(self) -> None:
        row = self._until(lambda _: True, 10)
        if row:
            self._note("cancel clicked twice")
            self._click(f"/jobs/{row.job_id}/cancel", (200, 409), lambda: None)

    def _retry(self, generation: int) -> None:
        row = self.rows.of(self.plan.mark)
        if row is None:
            return
        self._note("retry clicked twice")
        self._click(f"/jobs/{row.job_id}/retry", (202, 409), self._count_retry)
        self._until(lambda now: now.terminal and now.generation > generation, self.patience)

    def _stop(self) -> None:
        row = self.rows.of(self.plan.mark)
        if row and not row.terminal:
            self._try("execution stopped", lambda sfn: sfn.stop_execution(executionArn=self._execution(row)))

    def _start_again(self) -> None:
        row = self.rows.of(self.plan.mark)
        if row:
            self._try(
                "StartExecution repeated",
                lambda sfn: sfn.start_execution(
                    stateMachineArn=self.stack.outputs["StateMachineArn"],
                    name=f"{row.job_id}-{row.generation}",
                    input=json.dumps({"job_id": row.job_id, "generation": row.generation}),
                ),
            )

    # -- tools --------------------------------------------------------------------------------------------------

    def _click(self, path: str, answers: tuple[int, ...], before: Callable[[], None]) -> None:
        """Send the request twice at the same time."""

        def call() -> requests.Response:
            before()
            return self.stack.call("POST", path)

        self._at_once(lambda: self._insist(call, answers), lambda: self._insist(call, answers))

    def _count_retry(self) -> None:
        self.retries += 1

    def _execution(self, row: Row) -> str:
        arn = self.stack.outputs["StateMachineArn"].replace(":stateMachine:", ":execution:")
        return f"{arn}:{row.job_id}-{row.generation}"

    def _try(self, what: str, act: Callable[[Any], Any]) -> None:
        """Do it once. It is no error if it is not possible any more, or was done before."""
        try:
            act(self.stack.client("stepfunctions"))
        except ClientError as refused:
            if refused.response["Error"]["Code"] != "ExecutionAlreadyExists":
                return
        except BotoCoreError:
            return
        self._note(what)

    def _insist(self, call: Callable[[], requests.Response], answers: tuple[int, ...]) -> None:
        """Repeat the call until the API answers with one of these statuses. Raises NotAccepted."""
        give_up = time.monotonic() + INSISTENCE
        while time.monotonic() < give_up and not self.rows.ended:
            try:
                status = call().status_code
            except AWAY:
                status = 0
            if status in answers:
                return
            if 400 <= status < 500 and status != 429:
                raise NotAccepted(f"{self.plan.mark}: the API answered {status}")
            time.sleep(0.5)
        raise NotAccepted(self.plan.mark)

    def _until(self, holds: Callable[[Row], bool], seconds: float) -> Row | None:
        """The job's row as soon as `holds` is true for it; None after so many seconds."""
        give_up = time.monotonic() + seconds
        while True:
            row = self.rows.of(self.plan.mark)
            if row and holds(row):
                return row
            if time.monotonic() >= give_up or self.rows.ended:
                return None
            time.sleep(0.2)

    def _at_once(self, *acts: Callable[[], None]) -> None:
        with ThreadPoolExecutor(len(acts)) as both:
            for done in [both.submit(act) for act in acts]:
                done.result()

    def _note(self, what: str) -> None:
        self.ledger.add(OUTSIDE, what, str(self.plan.seed))


class Echo:
    """Delivers "execution ended" events to the sweep again: some twice, some late."""

    def __init__(self, stack: Stack, queue_url: str, seed: int, ledger: Ledger) -> None:
        self.stack, self.queue_url, self.ledger = stack, queue_url, ledger
        self.dice = random.Random(seed)
        self.ended = threading.Event()

    def run(self) -> None:
        late: list[tuple[float, str]] = []
        while not self.ended.wait(0.5):
            try:
                for event in self._heard():
                    if self.dice.random() < 0.5:
                        late += [(time.monotonic() + self.dice.uniform(0, 15), event)] * self.dice.choice([1, 1, 2])
                for item in [item for item in late if item[0] <= time.monotonic()]:
                    self.stack.client("lambda").invoke(
                        FunctionName=f"{self.stack.name}-sweep", InvocationType="Event", Payload=item[1]
                    )
                    late.remove(item)
                    self.ledger.add(OUTSIDE, "execution-ended event delivered again, late")
            except AWAY:
                continue

    def _heard(self) -> list[str]:
        sqs = self.stack.client("sqs")
        messages = sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return [message["Body"] for message in messages]
