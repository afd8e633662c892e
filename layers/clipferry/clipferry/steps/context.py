"""What a step uses: the store, the HTTP client, a clock; and how it calls a job's vendor."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from clipferry.aws import logs
from clipferry.aws.account_secrets import load_account
from clipferry.jobs.file import File
from clipferry.jobs.job import Job
from clipferry.jobs.statuses import FileStatus
from clipferry.outbound.client import Outbound
from clipferry.settings import settings
from clipferry.steps.account_holds import ACCOUNT_REFUSED, hold_to_probe
from clipferry.steps.paced_calls import NEAR, CallPacer, KeptSlots
from clipferry.store.account_limits import AccountHolds, CallSlots, Hold, LearnedDurations, TaskSlots
from clipferry.store.job_records import Jobs, utc_now
from clipferry.vendors import VENDORS, vendor_class
from clipferry.vendors.contract import (
    Account,
    CallHeldBack,
    KnownFile,
    Look,
    OutOfTime,
    Task,
    TriggerUncertain,
    Vendor,
    VendorAuthFailed,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

Answer = TypeVar("Answer")


@dataclass
class Runtime:
    """Built once a process; tests build their own. A step with a time limit works with a copy that knows the limit.

    `time_left` is in seconds, until the step must have returned.
    """

    jobs: Jobs
    outbound: Outbound
    now: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep
    rng: random.Random = field(default_factory=random.Random)
    call_slots: CallSlots = field(default_factory=CallSlots)
    task_slots: TaskSlots = field(default_factory=TaskSlots)
    learned: LearnedDurations = field(default_factory=LearnedDurations)
    holds: AccountHolds = field(default_factory=AccountHolds)
    time_left: Callable[[], float] = lambda: math.inf
    logger: Logger = logs.logger

    def epoch(self) -> float:
        return self.now().timestamp()

    def leaving(self, seconds: float) -> Runtime:
        """The same for what has to be over that many seconds before this step has: its calls to vendors end by then."""

        def time_left() -> float:
            return self.time_left() - seconds

        return replace(self, time_left=time_left, outbound=self.outbound.within(time_left))

    def account(self, job: Job) -> Account:
        """The job's account; its secret was read within the last minutes. Raises AccountError."""
        return load_account(job.account, job.vendor)

    def vendor(self, job: Job) -> Vendor:
        """The job's vendor with the job's account, to read its properties; no call is made. Raises AccountError."""
        return vendor_class(job.vendor)(self.account(job), self.outbound)

    def pacer(self, job: Job, asker: Job | File | None = None, near: float = NEAR) -> CallPacer:
        """The pacer of the calls of one question. Raises AccountError."""
        booking = KeptSlots.parse((asker or job).reservation)
        rates = vendor_class(job.vendor).rates
        return CallPacer(
            self.call_slots, self.account(job), rates, booking, self.epoch, self.sleep, near, self.time_left
        )

    def ask(
        self,
        job: Job,
        question: Callable[[Vendor], Answer],
        *,
        asker: Job | File | None = None,
        pacer: CallPacer | None = None,
        at_once: bool = False,
    ) -> Answer:
        """Ask the job's vendor a question; each of its calls takes a call slot of the account.

        When the next free slot is too far away this raises OverBudget. The slot stays reserved in the `reservation` of
        the asker (the job, or the file that asks); the caller stores it with the asker's next change. Refused
        credentials are read once more from the secret, because somebody may have changed them. While the account is on
        hold this raises AccountOnHold without a call, unless `at_once` is set.
        After VendorThrottled all calls of the account pause. When the vendor is so slow that the step's time ends
        before there is any result, this raises VendorUnavailable. Raises one of ASKING_ERRORS.
        """
        hold = hold_to_probe(self, job, at_once=at_once)
        pacer, asker = pacer or self.pacer(job, asker), asker or job
        try:
            answer = self._ask(job, question, self.outbound.paced(pacer), fresh=hold is not None)
            if isinstance(answer, Look) and answer.cut_short:
                self._rest(pacer, answer.cut_short)
            self._accepted(job, asker, hold, pacer)
            return answer
        except OutOfTime as error:
            message = "the vendor answers too slowly: the time for one step ended before its calls were done"
            raise VendorUnavailable(message) from error
        except VendorThrottled as error:
            self._rest(pacer, error)
            raise
        except (VendorRefused, TriggerUncertain):
            self._accepted(job, asker, hold, pacer)
            raise
        finally:
            asker.reservation = pacer.kept

    def _ask(self, job: Job, question: Callable[[Vendor], Answer], outbound: Outbound, *, fresh: bool) -> Answer:
        account = load_account(job.account, job.vendor, fresh=fresh)
        vendor = vendor_class(job.vendor)
        try:
            return question(vendor(account, outbound))
        except VendorAuthFailed:
            renewed = account if fresh else load_account(job.account, job.vendor, fresh=True)
            if renewed == account:
                raise
            return question(vendor(renewed, outbound))

    def _accepted(self, job: Job, asker: Job | File, hold: Hold | None, pacer: CallPacer) -> None:
        """End the hold: the vendor accepted the account, or no call was needed and the secret can be read again."""
        if pacer.calls_made:
            asker.refused_at = None
        if hold and (pacer.calls_made or hold.problem.code != ACCOUNT_REFUSED):
            self.holds.lift(job.vendor, job.account)

    @staticmethod
    def _rest(pacer: CallPacer, error: VendorThrottled) -> None:
        if not isinstance(error, CallHeldBack):
            pacer.push_back(error)


@cache
def runtime() -> Runtime:
    """The one runtime of this process."""
    outbound = Outbound(allow_private=settings().allow_private_network, extra_hosts=settings().download_hosts)
    return Runtime(Jobs(tuple(VENDORS)), outbound)


def task_of(job: Job, now: datetime) -> Task:
    """The job as the vendor contract describes it."""
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


def download_hosts(vendor: Vendor) -> Sequence[str]:
    """Host suffixes from which a vendor's files may come: the vendor's own, and those that its account names."""
    return [*vendor.download_hosts, *vendor.trusted_hosts]
