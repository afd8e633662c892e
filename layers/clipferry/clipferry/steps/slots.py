"""Limits how many vendor tasks of an account run at once: a job takes a task slot before it asks for new work.

Only an account with `max_in_flight` has slots; the others make no such reads or writes. The slot that a job holds is
stored in the job's row with its next change. After a crash before that write the job finds its slot again by its name,
or the slot's lease ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clipferry.jobs.job import Job
from clipferry.pacing.task_slots import LEASE, SOONEST, Start, decide, lease, usual_hold
from clipferry.vendors.contract import CallHeldBack

if TYPE_CHECKING:
    from clipferry.steps.context import Runtime

ROUNDS = 3  # attempts of one call, when other jobs take the slot first
DOWNLOADS = 3600  # seconds; while ready files are copied, the job does not renew its lease for so long


class NoTaskSlot(CallHeldBack):
    """The account runs as many vendor tasks as it may; the job has its place in the queue."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"the account runs as many tasks as it may; the job asks again in {wait:.0f} s", wait)


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
            continue  # read again: the removed rows may have hidden others behind them
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
    """Before a wait: extend the lease well beyond it. If the lease has ended, the task runs on without a slot."""
    now = rt.epoch()
    if job.in_flight is None or job.in_flight["until"] >= now + wait + LEASE / 2:
        return
    until = lease(now, wait)
    kept = rt.task_slots.renew(job.account, job.in_flight["slot"], job.holder, until)
    job.in_flight = {**job.in_flight, "until": until} if kept else None


def give_back(rt: Runtime, job: Job) -> None:
    """Release the slot and the ticket, when the vendor is done or the job has ended. May be repeated."""
    if job.in_flight is not None or job.ticket is not None:
        slot = job.in_flight["slot"] if job.in_flight else None
        rt.task_slots.release(job.account, job.holder, rt.epoch(), slot=slot, ticket=job.ticket)
