"""Decides which fault happens when: at random, but depending only on the seed.

A fault between a function and AWS depends on the job of the call, on the operation, and on how often that job has
called it. So the same seed gives the same faults to the same calls, in whatever order the jobs run. For a call that
belongs to no job, the fault depends on how often the operation was called.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from local.simulators.faults import Fault, FaultPlan, Kind

What = TypeVar("What")


class Harm(StrEnum):
    """What happens to one call of a function. The value is its name in the report."""

    CRASH_BEFORE = "function killed right before the call acts"
    CRASH_AFTER = "function killed right after the call acted"
    ERROR_BEFORE = "server error, not acted"
    ERROR_AFTER = "server error, acted all the same"
    THROTTLED = "throttled"
    LOST_BEFORE = "connection lost, not acted"
    LOST_AFTER = "reply lost after it acted"
    LATE = "reply late"
    HUNG_BEFORE = "no reply until the client gives up, not acted"
    HUNG_AFTER = "no reply until the client gives up, acted"

    @property
    def crash(self) -> bool:
        return self in (Harm.CRASH_BEFORE, Harm.CRASH_AFTER)


class Copying(StrEnum):
    """What the campaign counts about the calls of `download`."""

    CALLED = "a call has begun"
    FURTHER = "a call has stored something more in S3"
    WAITED = "a call has found the vendor's account refused, and copied nothing"


@dataclass(frozen=True)
class Call:
    """One call that a function makes."""

    caller: str  # the function's short name; "" when it is not known
    service: str  # dynamodb, s3, events, states, secretsmanager, or a vendor
    operation: str
    effect: bool  # whether it changes something
    job: str  # "seed-number" of the job that the call is about; "" when it is not known


#: The probability of each harm, for a call that changes something and for a call that only reads.
EFFECT = {
    Harm.CRASH_BEFORE: 0.012,
    Harm.CRASH_AFTER: 0.012,
    Harm.ERROR_BEFORE: 0.01,
    Harm.ERROR_AFTER: 0.008,
    Harm.THROTTLED: 0.01,
    Harm.LOST_BEFORE: 0.006,
    Harm.LOST_AFTER: 0.01,
    Harm.LATE: 0.01,
}
READ = {Harm.ERROR_BEFORE: 0.005, Harm.THROTTLED: 0.005, Harm.LOST_BEFORE: 0.005, Harm.LATE: 0.005}
#: Faults of the network between a function and a vendor. The vendor's own errors are in VENDOR_WORDS.
VENDOR_EFFECT = {Harm.CRASH_BEFORE: 0.05, Harm.CRASH_AFTER: 0.05, Harm.LOST_BEFORE: 0.03, Harm.LOST_AFTER: 0.05}
VENDOR_READ = {Harm.LOST_BEFORE: 0.01}
VENDOR_HANGS = {Harm.HUNG_BEFORE: 0.01, Harm.HUNG_AFTER: 0.01}
#: How many calls in a row have the fault. SDKs repeat a call up to five times, so a short fault never reaches the code.
LASTS = (1, 1, 1, 1, 2, 3, 6)

GARBAGE = '{"RequestId": "4711", "Data": {"Status'
#: Wrong answers of a vendor, with the probability for one call.
VENDOR_WORDS: Mapping[Fault, float] = {
    Fault(Kind.STATUS, status=500): 0.02,
    Fault(Kind.STATUS, status=503): 0.02,
    Fault(Kind.THROTTLE): 0.02,
    Fault(Kind.THROTTLE, retry_after=3): 0.01,
    Fault(Kind.HTML): 0.01,
    Fault(Kind.HTML, status=200): 0.01,
    Fault(Kind.EMPTY): 0.01,
    Fault(Kind.BODY, body=GARBAGE): 0.01,
    Fault(Kind.TRUNCATED): 0.01,
    Fault(Kind.RESET_BEFORE): 0.01,
    Fault(Kind.RESET_AFTER): 0.015,
    Fault(Kind.DELAY, seconds=1.0): 0.01,
}
DOWNLOAD_WORDS: Mapping[Fault, float] = {
    Fault(Kind.STATUS, status=503): 0.015,
    Fault(Kind.THROTTLE, retry_after=1): 0.01,
    Fault(Kind.MISSING): 0.01,
    Fault(Kind.EXPIRED): 0.01,
    Fault(Kind.SHORT, after=20_000): 0.02,
    Fault(Kind.RESET, after=30_000): 0.02,
    Fault(Kind.WRONG_RANGE): 0.01,
    Fault(Kind.NO_RANGES): 0.01,
    Fault(Kind.NO_LENGTH): 0.005,
    Fault(Kind.HTML, status=200): 0.01,
    Fault(Kind.HTML, status=502): 0.01,
    Fault(Kind.EMPTY): 0.01,
    Fault(Kind.GZIP): 0.01,
    Fault(Kind.RESET_BEFORE): 0.01,
    Fault(Kind.DELAY, seconds=1.0): 0.01,
}


class Ledger:
    """Counts the faults that happened, by kind. A fault that was drawn but could not be done is not counted."""

    def __init__(self) -> None:
        self.faults: Counter[tuple[str, str]] = Counter()  # (where, what)
        self.crashes: Counter[tuple[str, str, str]] = Counter()  # (function, effect, "before" or "after")
        self.by_seed: Counter[str] = Counter()
        self.copies: Counter[tuple[str, Copying]] = Counter()  # by job
        self._lock = threading.Lock()

    def add(self, where: str, what: str, seed: str = "") -> None:
        with self._lock:
            self.faults[where, what] += 1
            self.by_seed[seed] += 1

    def copying(self, job: str, what: Copying) -> None:
        with self._lock:
            self.copies[job, what] += 1

    def crash(self, function: str, effect: str, side: str) -> None:
        with self._lock:
            self.crashes[function, effect, side] += 1


class Draws:
    """Faults of calls that pass a relay."""

    def __init__(self, seed: int, *, hangs: bool) -> None:
        self.on = False
        self._seed, self._hangs = seed, hangs
        self._seen: Counter[Call] = Counter()
        self._lasting: dict[Call, list[Harm]] = {}
        self._lock = threading.Lock()

    def at(self, call: Call) -> Harm | None:
        """The fault of this call, or None. Must be asked exactly once for each call."""
        if not self.on:
            return None
        with self._lock:
            self._seen[call] += 1
            lasting = self._lasting.get(call)
            if lasting:
                return lasting.pop()
            dice = random.Random(f"{self._seed if not call.job else ''}|{call}|{self._seen[call]}")
            harm = _drawn(dice, self._chances(call))
            if harm and not harm.crash:
                self._lasting[call] = [harm] * (dice.choice(LASTS) - 1)
            return harm

    def _chances(self, call: Call) -> Mapping[Harm, float]:
        if call.service in ("dynamodb", "s3", "events", "states", "secretsmanager"):
            return EFFECT if call.effect else READ
        chances = VENDOR_EFFECT if call.effect else VENDOR_READ
        return {**chances, **VENDOR_HANGS} if self._hangs else chances


class VendorFaults(FaultPlan):
    """A vendor's own faults. They depend on how often an operation was called; planned faults happen as well."""

    def __init__(self, seed: int, vendor: str, ledger: Ledger) -> None:
        super().__init__()
        self.on = False
        self._seed, self._vendor, self._ledger = seed, vendor, ledger
        self._seen: Counter[str] = Counter()

    def take(self, *operations: str) -> Fault | None:
        planned = super().take(*operations)
        if planned or not self.on:
            return planned
        operation = operations[0]
        with self._lock:
            self._seen[operation] += 1
            dice = random.Random(f"{self._seed}|{self._vendor}|{operation}|{self._seen[operation]}")
        fault = _drawn(dice, DOWNLOAD_WORDS if operation == "download" else VENDOR_WORDS)
        if fault:
            what = f"{Kind(fault.kind).value}{f' {fault.status}' if fault.status else ''}"
            self._ledger.add("vendor, download" if operation == "download" else "vendor, API", what)
        return fault


def _drawn(dice: random.Random, chances: Mapping[What, float]) -> What | None:
    at = dice.random()
    for what, chance in chances.items():
        at -= chance
        if at < 0:
            return what
    return None
