"""What a step works with: the store, the way out, a clock; and how it reaches a job's vendor."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TypeVar

from clipferry.aws.account_secrets import AccountError, load_account
from clipferry.jobs import File, FileStatus, Job, Problem
from clipferry.outbound.client import Outbound
from clipferry.settings import settings
from clipferry.steps.paced_calls import NEAR, Booking, Gate
from clipferry.store.account_limits import Budgets, Lessons, Line
from clipferry.store.job_records import Jobs, utc_now
from clipferry.vendors import VENDORS, vendor_class
from clipferry.vendors.contract import (
    Account,
    CallHeldBack,
    KnownFile,
    Look,
    OutOfTime,
    Task,
    Vendor,
    VendorAuthFailed,
    VendorError,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)

Answer = TypeVar("Answer")

THROTTLED_AS = 4  # failed calls in a row: what is throttled is not counted, but waits as long as after so many


@dataclass
class Runtime:
    """Built once a process; tests build their own. A step that knows how much time it has works with a copy.

    `time_left` is in seconds, until the step must have returned.
    """

    jobs: Jobs
    outbound: Outbound
    now: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep
    rng: random.Random = field(default_factory=random.Random)
    budgets: Budgets = field(default_factory=Budgets)
    line: Line = field(default_factory=Line)
    lessons: Lessons = field(default_factory=Lessons)
    time_left: Callable[[], float] = lambda: math.inf

    def epoch(self) -> float:
        return self.now().timestamp()

    def account(self, job: Job) -> Account:
        """The job's account, as read within the last minutes. Raises AccountError."""
        return load_account(job.account, job.vendor)

    def vendor(self, job: Job) -> Vendor:
        """The job's vendor under the job's account, for its description; it is not called. Raises AccountError."""
        return vendor_class(job.vendor)(self.account(job), self.outbound)

    def gate(self, job: Job, asker: Job | File | None = None, near: float = NEAR) -> Gate:
        """What paces one question's calls. Raises AccountError."""
        booking = Booking.parse((asker or job).reservation)
        rates = vendor_class(job.vendor).rates
        return Gate(self.budgets, self.account(job), rates, booking, self.epoch, self.sleep, near, self.time_left)

    def ask(
        self,
        job: Job,
        question: Callable[[Vendor], Answer],
        *,
        asker: Job | File | None = None,
        gate: Gate | None = None,
    ) -> Answer:
        """Put a question to the job's vendor, each of its calls in a slot of the account's budget.

        A slot too far off raises OverBudget, and is kept in the `reservation` of the asker (the job, unless a file
        asks), to be written with its next change. Refused credentials are read afresh once, for they may have been
        changed; a vendor's no to the rate pushes the account back. A vendor so slow that the step's time was over
        before there was anything to answer with is VendorUnavailable. Raises AccountError and the vendor's errors.
        """
        gate, asker = gate or self.gate(job, asker), asker or job
        try:
            answer = self._ask(job, question, self.outbound.paced(gate))
            if isinstance(answer, Look) and answer.cut_short:
                self._rest(gate, answer.cut_short)
            return answer
        except OutOfTime as error:
            message = "the vendor answers too slowly: a step's time was over before it was done"
            raise VendorUnavailable(message) from error
        except VendorThrottled as error:
            self._rest(gate, error)
            raise
        finally:
            asker.reservation = gate.kept

    def _ask(self, job: Job, question: Callable[[Vendor], Answer], outbound: Outbound) -> Answer:
        account = self.account(job)
        vendor = vendor_class(job.vendor)
        try:
            return question(vendor(account, outbound))
        except VendorAuthFailed:
            renewed = load_account(job.account, job.vendor, fresh=True)
            if renewed == account:
                raise
            return question(vendor(renewed, outbound))

    @staticmethod
    def _rest(gate: Gate, error: VendorThrottled) -> None:
        if not isinstance(error, CallHeldBack):
            gate.push_back(error)


@cache
def runtime() -> Runtime:
    """The process's own."""
    outbound = Outbound(allow_private=settings().allow_private_network, extra_hosts=settings().download_hosts)
    return Runtime(Jobs(tuple(VENDORS)), outbound)


def task_of(job: Job, now: datetime) -> Task:
    """The job's vendor task in the vendor's words."""
    return Task(
        key=job.key,
        request=job.request,
        adopt=job.adopt,
        refs=job.vendor_refs,
        triggered_at=job.triggered_at,
        elapsed=job.elapsed(now),
        looks=job.polls,
        files=[
            KnownFile(f.ref, f.name, f.status.settled, f.status in (FileStatus.READY, FileStatus.COPYING), f.detail)
            for f in job.files
        ],
    )


def problem_of(error: VendorError | AccountError) -> Problem:
    """What a user reads of an error that no repeating mends."""
    match error:
        case AccountError():
            return Problem(error.code, error.message)
        case VendorAuthFailed():
            return Problem(
                "ACCOUNT_REFUSED", f"the vendor refuses the account: {error.message}", error.code, error.request_id
            )
        case VendorRefused():
            return Problem(error.kind, error.message, error.code, error.request_id)
    return Problem("VENDOR_UNAVAILABLE", error.message, error.code, error.request_id)


def download_hosts(vendor: Vendor) -> Sequence[str]:
    """Host suffixes a vendor's files may come from: its own, and those its account names."""
    return [*vendor.download_hosts, *vendor.trusted_hosts]
