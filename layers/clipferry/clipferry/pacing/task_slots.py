"""How many vendor tasks of an account may run at once, and which job is next. `store/account_limits.py` has the rows.

Pure. Jobs are served in the order in which they came. The cost of a step does not depend on how many jobs wait. There
are three kinds of small rows of fixed size:

    tail      pk INFLIGHT#account, sk TAIL: {tickets}, how many tickets were drawn
    slot      pk INFLIGHT#account, sk SLOT#<number below max_in_flight>: {holder, until, since}; absent or past
              `until`: free
    waiting   pk INFLIGHT#account, sk WAIT#<ticket, 12 digits>: {holder, until}; deleted when its job starts, past
              `until` when its job has ended

A holder is a job since its last retry, so that a late release cannot free the slot that the retry has got since.

A row's `until` is its lease, in epoch seconds: the holder's next wake plus LEASE. A job that stops waking (after a
crash, or when its execution was stopped) loses its place when the lease ends. `until` is also the rows' TTL.

    look      Query sk between SLOT# and TAIL (consistent; at most max_in_flight small rows), then Query sk begins_with
              WAIT#, Limit `max_in_flight` (consistent, ascending)                                   → `decide`
    Start     PutItem SLOT#k {holder, until, since}  IF attribute_not_exists(pk) OR until < :now OR holder = :me
              failed: another job took it first; look again. Then DeleteItem WAIT#ticket, if the job has one
    Queue     without a ticket: UpdateItem TAIL ADD tickets :1 → UPDATED_NEW; PutItem WAIT#ticket {…, until}
              with one: PutItem WAIT#ticket {…, until}      (this also renews a lease that has ended)
              then wait `seconds` and look again
    forget    DeleteItem WAIT#ticket IF until < :now, for each ticket in `dead`
    renew     at each wake of the running job: UpdateItem SLOT#k SET until = :later IF holder = :me
              failed: another job has the slot now; the task is running, so the job goes on without a slot
    release   when the vendor is done, and when the job ends, however it ends:
              UpdateItem SLOT#k, or WAIT#ticket, SET until = :just_past IF holder = :me

After a crash between the two writes of a ticket there is no row, so no other job waits for it. A job that already holds
a slot (because its step is repeated) starts in that slot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEASE = 900.0  # seconds after its holder's next wake when a place counts as abandoned
SOONEST = 5.0  # the least seconds between two looks at the queue
LATEST = 1800.0  # the most seconds between two looks at the queue
MAX_IDLE_SHARE = 0.02  # a free slot may stay idle for this share of the time that a task keeps its slot
TYPICAL_HOLD = 120.0  # seconds that a task keeps its slot, at least


@dataclass(frozen=True)
class Held:
    """A slot row."""

    number: int
    holder: str
    until: float  # epoch seconds
    since: float | None = None  # epoch seconds; when it was taken


@dataclass(frozen=True)
class Waiting:
    """A waiting row."""

    ticket: int
    holder: str
    until: float


@dataclass(frozen=True)
class Start:
    """Take slot `number`; `dead` are tickets whose leases have ended."""

    number: int
    dead: tuple[int, ...] = ()


@dataclass(frozen=True)
class Queue:
    """Wait `seconds`, then look again."""

    seconds: float
    dead: tuple[int, ...] = ()


def decide(
    job: str,
    ticket: int | None,
    held: Sequence[Held],
    waiting: Sequence[Waiting],
    max_in_flight: int,
    now: float,
    hold: float = TYPICAL_HOLD,
) -> Start | Queue:
    """Whether `job` may start its vendor task now.

    `held` are the account's slot rows, `waiting` the first rows of its queue (at least `max_in_flight`, or all);
    `hold` is the seconds that a task usually keeps its slot. With f slots free, the first f of the queue may start.
    """
    mine = next((slot for slot in held if slot.holder == job), None)
    dead = tuple(row.ticket for row in waiting if row.until < now and row.holder != job)
    if mine is not None:
        return Start(mine.number, dead)
    taken = {slot.number for slot in held if slot.until >= now}
    free = [number for number in range(max_in_flight) if number not in taken][: max(max_in_flight - len(taken), 0)]
    before = _before(job, ticket, waiting, max_in_flight, now)
    if before < len(free):
        return Start(free[before], dead)
    position = before if ticket is None or not waiting else max(before, ticket - waiting[0].ticket)
    return Queue(queue_wait(position - len(free), max_in_flight, hold), dead)


def _before(job: str, ticket: int | None, waiting: Sequence[Waiting], max_in_flight: int, now: float) -> int:
    """How many jobs wait before this one.

    When a full page of rows was read and the job's own is not among them, its own comes later: then all of them count.
    """
    if len(waiting) >= max_in_flight and all(row.holder != job for row in waiting):
        return len(waiting)
    others = (row for row in waiting if row.until >= now and row.holder != job)
    return sum(1 for row in others if ticket is None or row.ticket < ticket)


def queue_wait(position: int, max_in_flight: int, hold: float) -> float:
    """Seconds until a job with `position` others before it should look at the queue again.

    This is half of the expected wait, so that a job makes only a few looks in a queue of any length. At the front of
    the queue it is a small share of the tasks' duration, so that a job which waits for a task of days does not look
    every few seconds.
    """
    front = hold * min(MAX_IDLE_SHARE, 10 * MAX_IDLE_SHARE / max_in_flight)
    return min(max(position * hold / max_in_flight / 2, front, SOONEST), LATEST)


def usual_hold(held: Sequence[Held], now: float) -> float:
    """The estimated seconds that a task of the account keeps its slot: twice the average age of the running tasks."""
    ages = [now - slot.since for slot in held if slot.since is not None and slot.until >= now]
    return max(TYPICAL_HOLD, 2 * sum(ages) / len(ages)) if ages else TYPICAL_HOLD


def lease(now: float, wait: float) -> float:
    """The `until` of a row whose holder wakes again in `wait` seconds."""
    return math.ceil(now + wait + LEASE)
