"""A batch during the faults: its lines are jobs of the campaign, some are invalid, and its execution is stopped."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests
from botocore.exceptions import BotoCoreError, ClientError

from local.chaos.draws import Ledger
from local.chaos.rows import Rows
from local.chaos.troubles import OUTSIDE
from local.chaos.work import Plan
from local.stack import Stack

PATIENCE = 200.0  # seconds for one batch
AWAY = (requests.RequestException, ClientError, BotoCoreError)
SETTLED = ("SUBMITTED", "FAILED", "CANCELLED")

#: Lines that are not a valid job.
POISON = (
    "{broken",
    '{"vendor": "nobody", "request": {}}',
    '{"vendor": "polyv", "request": {"vids": []}}',
    '{"vendor": "polyv", "request": {"vids": ["a"]}, "labels": {"a=b": "c", "a": "b=c"}}',
    '{"vendor": "polyv", "request": ' + '{"a": ' * 500 + "1" + "}" * 500 + "}",
    '["not", "a", "body"]',
    '{"vendor": "polyv", "request": {"vids": ["nul\\u0000"]}}',
)


@dataclass
class BatchUser:
    """The batch of one seed, from its upload to its end. It is resumed each time it has failed."""

    stack: Stack
    rows: Rows
    plans: Sequence[Plan]
    ledger: Ledger
    batch_id: str = ""
    lines: list[str] = field(default_factory=list)
    poison: list[int] = field(default_factory=list)  # numbers of the lines that must be in the report
    last: dict[str, Any] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        return self.plans[0].seed

    def live(self) -> None:
        dice = random.Random(f"batch {self.seed}")
        self.lines = [json.dumps(plan.body) for plan in self.plans]
        for line in dice.sample(POISON, 3):
            self.lines.insert(dice.randint(0, len(self.lines)), line)
        self.poison = [number for number, line in enumerate(self.lines, 1) if line in POISON]
        self._post()
        stop_at = time.monotonic() + dice.uniform(0, 3)
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up and not self.rows.ended:
            if time.monotonic() > stop_at:
                self._stop()
                stop_at = float("inf")
            self.last = self._get(f"/batches/{self.batch_id}") or self.last
            if self.last.get("status") == "SUBMITTED":
                return
            if self.last.get("status") == "FAILED" and self._call("POST", f"/batches/{self.batch_id}/resume"):
                self.ledger.add(OUTSIDE, "batch resumed", str(self.seed))
            time.sleep(0.5)

    def _post(self) -> None:
        """Upload the manifest and post it as a batch, until both succeed. One manifest is one batch."""
        text, manifest = "\n".join(self.lines) + "\n", ""
        while not self.batch_id and not self.rows.ended:
            if not manifest:
                link = self._call("POST", "/batches/uploads", body={"format": "jsonl"})
                manifest = link["manifest"] if link and self._put(link["url"], text) else ""
            if manifest:
                made = self._call("POST", "/batches", body={"manifest": manifest})
                self.batch_id = made["batch_id"] if made else ""
            if not self.batch_id:
                time.sleep(0.5)

    @staticmethod
    def _put(url: str, text: str) -> bool:
        try:
            with requests.Session() as session:
                session.trust_env = False
                return session.put(url, data=text.encode(), timeout=30).ok
        except requests.RequestException:
            return False

    def _stop(self) -> None:
        """Stop the batch's execution from outside, in its current generation."""
        sfn = self.stack.client("stepfunctions")
        machine = self.stack.outputs["StateMachineArn"].rpartition(":")[0] + f":{self.stack.name}-batch"
        arn = f"{machine.replace(':stateMachine:', ':execution:')}:{self.batch_id}-{self.last.get('generation', 1)}"
        try:
            sfn.stop_execution(executionArn=arn)
        except (ClientError, BotoCoreError):
            return
        self.ledger.add(OUTSIDE, "batch's execution stopped", str(self.seed))

    def _get(self, path: str) -> dict[str, Any] | None:
        return self._call("GET", path)

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any] | None:
        """The reply's body; None if there was no reply, or an error."""
        try:
            reply = self.stack.call(method, path, **arguments)
        except AWAY:
            return None
        return reply.json() if reply.ok else None


def judge_batch(user: BatchUser, breach: Callable[[str], None]) -> None:
    """Check that each line became one job or is in the report, and that the counts are right."""
    batch = user.stack.call("GET", f"/batches/{user.batch_id}").json()
    if batch["status"] != "SUBMITTED":
        breach(f"batch {user.batch_id} is {batch['status']}, {(batch['error'] or {}).get('code')}")
        return
    lines = batch["lines"]
    wanted = {"total": len(user.lines), "accepted": len(user.plans), "rejected": len(user.poison)}
    if any(lines[name] != count for name, count in wanted.items()):
        breach(f"batch {user.batch_id} counts {lines}, not {wanted}")
    link = user.stack.call("GET", f"/batches/{user.batch_id}/report/url").json()
    with requests.Session() as session:
        session.trust_env = False
        report = [json.loads(line) for line in session.get(link["url"], timeout=30).text.splitlines()]
    if sorted(entry["line"] for entry in report) != user.poison:
        breach(f"batch {user.batch_id} tells of the lines {[entry['line'] for entry in report]}, not {user.poison}")
