"""How many vendor tasks an account may have running: a job takes one of its slots before it asks for new work.

Only accounts with a `max_in_flight` have slots; no other pays for them. What a job holds is in its row, and written
with the next change of it; after a crash in between the job finds its own, or the lease gives it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clipferry.jobs import Job
from clipferry.pacing.task_slots import LEASE, SOONEST, Start, decide, lease, usual_hold

if TYPE_CHECKING:
    from clipferry.steps.context import Runtime

ROUNDS = 3  # looks at the line in one call, where others are quicker
DOWNLOADS = 3600  # seconds for which the copying of ready files may keep a job from renewing its lease


def take_slot(rt: Runtime, job: Job, max_in_flight: int) -> float:
    """Give the job a slot, or a place in the line: 0, or the seconds until it should ask again."""
    if job.in_flight is not None:
        return 0
    for rounds_left in reversed(range(ROUNDS)):
        held, waiting = rt.line.look(job.account, max_in_flight)
        mine = next((row.ticket for row in waiting if row.holder == job.holder), None)
        ticket, now = (job.ticket if job.ticket is not None else mine), rt.epoch()
        choice = decide(job.holder, ticket, held, waiting, max_in_flight, now, usual_hold(held, now))
        for dead in choice.dead:
            rt.line.forget(job.account, dead, now)
        if choice.dead and rounds_left:
            continue  # those behind them come into sight
        if not isinstance(choice, Start):
            job.ticket = rt.line.draw(job.account) if ticket is None else ticket
            rt.line.wait(job.account, job.ticket, job.holder, lease(now, choice.seconds))
            return choice.seconds
        until = lease(now, 0)
        if rt.line.take(job.account, choice.number, job.holder, now, until):
            if ticket is not None:
                rt.line.leave(job.account, ticket, job.holder)
            job.in_flight, job.ticket = {"slot": choice.number, "until": until}, None
            return 0
    return SOONEST


def keep_slot(rt: Runtime, job: Job, wait: float) -> None:
    """Before a wait: let the lease reach well beyond it. A slot that was lost is lost; the task runs all the same."""
    now = rt.epoch()
    if job.in_flight is None or job.in_flight["until"] >= now + wait + LEASE / 2:
        return
    until = lease(now, wait)
    kept = rt.line.renew(job.account, job.in_flight["slot"], job.holder, until)
    job.in_flight = {**job.in_flight, "until": until} if kept else None


def give_back(rt: Runtime, job: Job) -> None:
    """Slot and ticket, when the vendor is done or the job has ended. Repeating it is harmless."""
    if job.in_flight is not None or job.ticket is not None:
        slot = job.in_flight["slot"] if job.in_flight else None
        rt.line.release(job.account, job.holder, rt.epoch(), slot=slot, ticket=job.ticket)
