"""An account that is refused, or whose secret cannot be read, while vendor work of its jobs runs.

The work is not lost for that: credentials expire, are rotated late, a secret is deleted by mistake. So the jobs wait,
each for `AccountGraceSeconds` at most. The account's hold, one row that all its jobs share, says when it may be tried
again: one job at a time asks, with the secret read afresh, and the others wait without a call. The first question that
is answered lifts the hold.

New work is another matter: a trigger that is refused has started nothing, so its job fails at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clipferry.jobs import File, Job
from clipferry.settings import settings
from clipferry.steps.vendor_errors import AccountOnHold, Decision
from clipferry.store.account_limits import Hold

if TYPE_CHECKING:
    from clipferry.steps.context import Runtime

PROBE_INTERVAL = 30.0  # seconds between two calls under an account on hold, whoever makes them
LONGEST_WAIT = 120.0  # seconds between two wakes of a job that waits for its account, but for the jitter
ACCOUNT_REFUSED = "ACCOUNT_REFUSED"


def hold_to_probe(rt: Runtime, job: Job, *, at_once: bool = False) -> Hold | None:
    """The hold of the job's account, which the caller's question is to try; None: there is no hold.

    Raises AccountOnHold when it is too early, or another job's turn. `at_once`: try it whatever the hold says.
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
    """Write down for the account's other jobs what this one was told."""
    if decision.tried:
        now = rt.epoch()
        rt.holds.put(job.vendor, job.account, now, now + PROBE_INTERVAL, decision.problem)


def seconds_to_wait(rt: Runtime, job: Job, asker: Job | File, decision: Decision) -> float | None:
    """Seconds until the asker (a job, or one of its files) should ask again; None: its grace is over.

    Sets the asker's `refused_at`, to be written with its next change.
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
