"""What happens when a vendor refuses an account, or its secret cannot be read, while its jobs have work there.

The work at the vendor is not lost: credentials may have expired, or somebody deleted the secret by mistake. So the jobs
wait, each for at most `AccountGraceSeconds`. All jobs of the account share one row, its hold. It says when the account
may be tried again: then one job reads the secret again and calls the vendor, while the others wait without a call. The
first call that succeeds deletes the hold.

A job without work at the vendor does not wait: a refused trigger has started nothing, so the job fails at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clipferry.jobs.file import File
from clipferry.jobs.job import Job
from clipferry.settings import settings
from clipferry.steps.vendor_errors import AccountOnHold, Decision
from clipferry.store.account_limits import Hold

if TYPE_CHECKING:
    from clipferry.steps.context import Runtime

PROBE_INTERVAL = 30.0  # seconds between two calls with an account on hold, counted over all its jobs
LONGEST_WAIT = 120.0  # seconds that a job waits for its account between two attempts, before jitter is added
ACCOUNT_REFUSED = "ACCOUNT_REFUSED"


def hold_to_probe(rt: Runtime, job: Job, *, at_once: bool = False) -> Hold | None:
    """The hold of the job's account, if the caller is the one to try the account now; None: there is no hold.

    Raises AccountOnHold when it is too early, or when another job tries it. `at_once`: try it in any case.
    """
    hold = rt.holds.read(job.vendor, job.account)
    if hold is None:
        return None
    now = rt.epoch()
    due = hold.probe_at <= now
    if at_once or (due and rt.holds.take_probe(job.vendor, job.account, hold, now + PROBE_INTERVAL)):
        return hold
    raise AccountOnHold(hold.problem)


def put_on_hold(rt: Runtime, job: Job, decision: Decision) -> None:
    """Store the problem as the account's hold, so that its other jobs do not call the vendor for now."""
    if decision.tried:
        now = rt.epoch()
        rt.holds.put(job.vendor, job.account, now, now + PROBE_INTERVAL, decision.problem)


def seconds_to_wait(rt: Runtime, job: Job, asker: Job | File, decision: Decision) -> float | None:
    """Seconds until the asker (a job, or one of its files) should call again; None: its grace period has ended.

    Sets the asker's `refused_at`; the caller stores it with the asker's next change.
    """
    put_on_hold(rt, job, decision)
    now = rt.now()
    asker.refused_at = asker.refused_at or now
    waited = (now - asker.refused_at).total_seconds()
    left = settings().account_grace - waited
    if left <= 0:
        return None
    wait = min(LONGEST_WAIT, max(PROBE_INTERVAL, waited / 8)) * rt.rng.uniform(1.0, 1.25)
    return min(wait, left + 1)
