"""How many vendor tasks an account may have running: a job takes one of its slots before it asks for new work.

Only accounts with a `max_in_flight` have slots; no other pays for them. What a job holds is in its row, and written
with the next change of it; after a crash in between the job finds its own, or the lease gives it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clipferry.jobs import Job
from clipferry.pacing.task_slots import LEASE, SOONEST, Start, decide, lease, usual_hold
from clipferry.vendors.contract import CallHeldBack

if TYPE_CHECKING:
    from clipferry.steps.context import Runtime

ROUNDS = 3  # looks at the queue in one call, where others are quicker
DOWNLOADS = 3600  # seconds for which the copying of ready files may keep a job from renewing its lease


class NoTaskSlot(CallHeldBack):
    """The account runs as many vendor tasks as it may; the job has its place in the queue."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"the account runs as many tasks as it may; asked again in {wait:.0f} s", wait)


def take_slot(rt: Runtime, job: Job, max_in_flight: int) -> None:
    """Give the job a slot, or a place in the queue. Raises NoTaskSlot with the seconds until it should ask again."""
    if job.in_flight is not None:
        return
    for rounds_left in reversed(range(ROUNDS)):
        held, waiting = rt.task_slots.look(job.account, max_in_flight)
        mine = next((row.ticket for row in waiting if row.holder == job.holder), None)
        ticket, now = (job.ticket if job.ticket is not None else mine), rt.epoch()
        choice = decide(job.holder, ticket, held, waiting, max_in_flight, now, usual_hold(held, now))
        for dead in choice.dead:
            rt.task_slots.forget(job.account, dead, now)
        if choice.dead and rounds_left:
            continue  # those behind them come into sight
        if not isinstance(choice, Start):
            job.ticket = rt.task_slots.draw(job.account) if ticket is None else ticket
            rt.task_slots.wait(job.account, job.ticket, job.holder, lease(now, choice.seconds))
            raise NoTaskSlot(choice.seconds)
        until = lease(now, 0)
        if rt.task_slots.take(job.account, choice.number, job.holder, now, until):
            if ticket is not None:
                rt.task_slots.leave(job.account, ticket, job.holder)
            job.in_flight, job.ticket = {"slot": choice.number, "until": until}, None
            return
    raise NoTaskSlot(SOONEST)


def keep_slot(rt: Runtime, job: Job, wait: float) -> None:
    """Before a wait: let the lease reach well beyond it. A slot that was lost is lost; the task runs all the same."""
    now = rt.epoch()
    if job.in_flight is None or job.in_flight["until"] >= now + wait + LEASE / 2:
        return
    until = lease(now, wait)
    kept = rt.task_slots.renew(job.account, job.in_flight["slot"], job.holder, until)
    job.in_flight = {**job.in_flight, "until": until} if kept else None


def give_back(rt: Runtime, job: Job) -> None:
    """Slot and ticket, when the vendor is done or the job has ended. Repeating it is harmless."""
    if job.in_flight is not None or job.ticket is not None:
        slot = job.in_flight["slot"] if job.in_flight else None
        rt.task_slots.release(job.account, job.holder, rt.epoch(), slot=slot, ticket=job.ticket)
