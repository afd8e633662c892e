"""Faults that come from no single user: a step that is invoked twice at once, and keys that are rotated late."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from local.chaos.draws import Ledger
from local.chaos.rows import Row, Rows
from local.simulators.base import Simulator
from local.stack import Stack

OUTSIDE = "from outside"
#: Which functions may work on a job with this status.
STEPS = {
    "QUEUED": ("trigger",),
    "TRIGGERING": ("trigger",),
    "WAITING": ("poll",),
    "DOWNLOADING": ("download", "poll"),
}
ROTATED_LATE = (2.0, 5.0)  # seconds for which the vendor refuses the stack's key
_SECRETS = ("access_key_secret", "secret_key", "app_secret")  # the names of the key in the simulators' settings


class Twin:
    """Invokes a step of an unfinished job twice at once, while the state machine may also run the step."""

    def __init__(self, stack: Stack, rows: Rows, seed: int, ledger: Ledger) -> None:
        self.stack, self.rows, self.ledger = stack, rows, ledger
        self.dice = random.Random(f"twin {seed}")
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(self.dice.uniform(0.3, 1.5)):
            live = [row for row in self.rows.all() if row.status in STEPS]
            if not live:
                continue
            row = self.dice.choice(live)
            step = self.dice.choice(STEPS[row.status])
            try:
                for _ in range(2):
                    self._invoke(step, row)
            except (ClientError, BotoCoreError):  # the emulator is being restarted
                continue
            self.ledger.add(OUTSIDE, f"{step} invoked twice at once", row.mark.partition("-")[0])

    def _invoke(self, step: str, row: Row) -> None:
        """Invoke the step without waiting for its end, like a call that Step Functions has given up."""
        payload = {"job_id": row.job_id, "generation": row.generation, "events": 0, "waited": 0, "broken": []}
        if step == "download":
            payload = {"job_id": row.job_id, "generation": row.generation, "file_id": "f001"}
        self.stack.client("lambda").invoke(
            FunctionName=f"{self.stack.name}-{step}", InvocationType="Event", Payload=json.dumps(payload)
        )


class Rotation:
    """Gives each vendor's account a new key from time to time. The vendor has it some seconds before the stack."""

    def __init__(
        self,
        simulators: dict[str, Simulator],
        tell: Callable[[str], None],
        seed: int,
        ledger: Ledger,
        every: float,
    ) -> None:
        """`tell` stores the account's secret with the simulator's new key; `every` is in seconds."""
        self.simulators, self.tell, self.ledger, self.every = simulators, tell, ledger, every
        self.dice = random.Random(f"rotation {seed}")
        self.ended = threading.Event()
        self.given_up = threading.Event()  # the emulator is gone for good, and the round with it

    def run(self) -> None:
        number = 0
        while not self.ended.wait(self.dice.uniform(0.5, 1.5) * self.every):
            number += 1
            vendor = self.dice.choice(sorted(self.simulators))
            settings = self.simulators[vendor].settings
            name = next(name for name in _SECRETS if hasattr(settings, name))
            setattr(settings, name, f"rotated {number}")
            self.ended.wait(self.dice.uniform(*ROTATED_LATE))
            self._insist(vendor)
            self.ledger.add(OUTSIDE, f"account refused for some seconds: {vendor}'s key rotated late")

    def _insist(self, vendor: str) -> None:
        """Until it is written, also when the campaign ends in the middle: nobody else will."""
        while not self.given_up.is_set():
            try:
                self.tell(vendor)
            except (ClientError, BotoCoreError):  # the emulator is being restarted
                time.sleep(0.5)
            else:
                return
