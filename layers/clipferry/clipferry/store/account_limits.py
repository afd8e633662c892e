"""What the jobs of an account share: call slots, task slots, the account's hold; and the learned durations.

Each is a small item of fixed size, and each change is a conditional write of one item. The docstrings of
`call_rates.py`, `task_slots.py` and `durations.py` explain which writes there are and why they suffice. This module
decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from pynamodb.exceptions import DeleteError, PutError, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from clipferry.jobs.problems import Problem
from clipferry.pacing.call_rates import Pace, Rate, Reservation
from clipferry.pacing.durations import Durations
from clipferry.pacing.task_slots import Held, Waiting
from clipferry.store.row_values import as_read, value_of
from clipferry.store.rows import DurationsRow, HoldRow, PaceRow, TaskSlotRow

TICKET_DIGITS = 12
HOLD_LIFETIME = 7 * 86_400  # seconds after the last attempt, when the table's TTL deletes a hold


class CallSlots:
    """One record an account and operation group. Times are epoch seconds."""

    def __init__(self) -> None:
        self._queueing: dict[tuple[str, str], bool] = {}  # by the last write: which write to try first

    def reserve(self, account: str, group: str, rate: Rate, now: float, calls: int = 1) -> Reservation:
        """The next free slot, and the `calls - 1` after it."""
        found = None
        while found is None:  # at most two rounds, except for races: either calls queue or they do not
            found = self._reserve(account, group, rate, now, calls, None)
        return found

    def reserve_near(self, account: str, group: str, rate: Rate, now: float, near: float) -> Reservation | None:
        """The next free slot unless it lies later than `near`."""
        return self._reserve(account, group, rate, now, 1, near)

    def _reserve(
        self, account: str, group: str, rate: Rate, now: float, calls: int, near: float | None
    ) -> Reservation | None:
        queueing = self._queueing.get((account, group), False)
        for queues in (queueing, not queueing):
            row = self._take(account, group, rate, now, calls, near, queues=queues)
            if row is not None:
                self._queueing[account, group] = queues
                return Reservation(row.next - calls * rate.interval, row.shift or 0.0)
        return None

    def _take(
        self, account: str, group: str, rate: Rate, now: float, calls: int, near: float | None, *, queues: bool
    ) -> PaceRow | None:
        row, step = PaceRow(_budget_pk(account), group), calls * rate.interval
        if queues:
            condition: Condition = PaceRow.next >= now
            if near is not None:
                condition &= PaceRow.next <= near
            return row if _updated(row, [PaceRow.next.set(PaceRow.next + step)], condition) else None
        return row if _updated(row, [PaceRow.next.set(now + step)], _idle(now)) else None

    def read(self, account: str, group: str) -> Pace:
        try:
            row = PaceRow.get(_budget_pk(account), group, consistent_read=True)
        except PaceRow.DoesNotExist:
            return Pace()
        return value_of(row, Pace)

    def push_back(self, account: str, group: str, now: float, seconds: float) -> None:
        """Make no call for `seconds`: all slots move, also reserved ones. Several reports of a throttle count once."""
        while True:
            pace = self.read(account, group)
            after = pace.pushed(now, seconds)
            more = after.shift - pace.shift
            if more <= 0:
                return
            unchanged = as_read(PaceRow.blocked, pace.blocked, 0.0)
            moved: list[Action] = [PaceRow.shift.set((PaceRow.shift | 0) + more), PaceRow.blocked.set(after.blocked)]
            if pace.next >= now:
                moved.append(PaceRow.next.set(PaceRow.next + more))
                condition = unchanged & (PaceRow.next >= now)
            else:
                moved.append(PaceRow.next.set(after.next))
                condition = unchanged & _idle(now)
            if _updated(PaceRow(_budget_pk(account), group), moved, condition):
                return


class TaskSlots:
    """An account's slots for vendor tasks, and the queue of jobs that wait for one: first come, first served."""

    def look(self, account: str, max_in_flight: int) -> tuple[list[Held], list[Waiting]]:
        """The rows of the slots, and the first `max_in_flight` rows of the queue."""
        pk = _queue_pk(account)
        slots = TaskSlotRow.query(pk, TaskSlotRow.sk.between("SLOT#", "SLOT#~"), consistent_read=True)
        held = [Held(_number(row), row.holder or "", row.until or 0, row.since) for row in slots]
        first = TaskSlotRow.query(pk, TaskSlotRow.sk.startswith("WAIT#"), limit=max_in_flight, consistent_read=True)
        return held, [Waiting(_number(row), row.holder or "", row.until or 0) for row in first]

    def take(self, account: str, slot: int, holder: str, now: float, until: float) -> bool:
        """Take a free slot; False when another job took it first."""
        free = TaskSlotRow.until.does_not_exist() | (TaskSlotRow.until < int(now)) | (TaskSlotRow.holder == holder)
        try:
            row = TaskSlotRow(_queue_pk(account), _slot(slot), holder=holder, until=int(until), since=int(now))
            row.save(condition=free)
        except PutError as error:
            return _lost(error)
        return True

    def draw(self, account: str) -> int:
        """Draw the next ticket of the queue."""
        row = TaskSlotRow(_queue_pk(account), "TAIL")
        row.update(actions=[TaskSlotRow.tickets.set((TaskSlotRow.tickets | 0) + 1)])
        return int(row.tickets or 0)

    def wait(self, account: str, ticket: int, holder: str, until: float) -> None:
        """Enter the queue, or stay in it for longer."""
        TaskSlotRow(_queue_pk(account), _wait(ticket), holder=holder, until=int(until)).save()

    def forget(self, account: str, ticket: int, now: float) -> None:
        """Remove a job from the queue that has not renewed its place in time."""
        self._delete(account, ticket, TaskSlotRow.until < int(now))

    def leave(self, account: str, ticket: int, holder: str) -> None:
        """Remove a job from the queue that has taken a slot."""
        self._delete(account, ticket, TaskSlotRow.holder == holder)

    def renew(self, account: str, slot: int, holder: str, until: float) -> bool:
        """Extend the lease of a slot; False when it has ended and another job has the slot."""
        row = TaskSlotRow(_queue_pk(account), _slot(slot))
        return _updated(row, [TaskSlotRow.until.set(int(until))], TaskSlotRow.holder == holder)

    def release(self, account: str, holder: str, now: float, *, slot: int | None, ticket: int | None) -> None:
        """End the lease of the slot and of the ticket, if they are still the holder's. May be repeated."""
        for sk in ([_slot(slot)] if slot is not None else []) + ([_wait(ticket)] if ticket is not None else []):
            ended: list[Action] = [TaskSlotRow.until.set(int(now) - 1)]
            _updated(TaskSlotRow(_queue_pk(account), sk), ended, TaskSlotRow.holder == holder)

    @staticmethod
    def _delete(account: str, ticket: int, condition: Condition) -> None:
        try:
            TaskSlotRow(_queue_pk(account), _wait(ticket)).delete(condition=condition)
        except DeleteError as error:
            _lost(error)


@dataclass(frozen=True)
class Hold:
    """An account that has been refused, or unreadable, since `since`. Both times are epoch seconds."""

    since: float
    probe_at: float  # before this no job tries it
    problem: Problem  # of the last attempt


class AccountHolds:
    """One record for each vendor and account name: by mistake a job may name the account of another vendor."""

    def read(self, vendor: str, account: str) -> Hold | None:
        """The account's hold; None: there is none. An eventually consistent read, so it may be slightly old."""
        try:
            row = HoldRow.get(_hold_pk(vendor, account), "HOLD")
        except HoldRow.DoesNotExist:
            return None
        if row.since is None or row.problem is None:
            return None
        return Hold(row.since, row.probe_at or 0.0, row.problem)

    def put(self, vendor: str, account: str, now: float, probe_at: float, problem: Problem) -> None:
        """Store that the account was refused just now. `since` stays at the first refusal."""
        actions: list[Action] = [
            HoldRow.since.set(HoldRow.since | now),
            HoldRow.probe_at.set(probe_at),
            HoldRow.problem.set(problem),
            HoldRow.expires_at.set(int(now) + HOLD_LIFETIME),
        ]
        HoldRow(_hold_pk(vendor, account), "HOLD").update(actions=actions)

    def take_probe(self, vendor: str, account: str, hold: Hold, probe_at: float) -> bool:
        """Claim the one attempt that is due; False when another job claimed it first, or the hold has ended."""
        unchanged = HoldRow.since.exists() & as_read(HoldRow.probe_at, hold.probe_at, 0.0)
        return _updated(HoldRow(_hold_pk(vendor, account), "HOLD"), [HoldRow.probe_at.set(probe_at)], unchanged)

    def lift(self, vendor: str, account: str) -> None:
        """End the hold: the account works. May be repeated."""
        _updated(HoldRow(_hold_pk(vendor, account), "HOLD"), [HoldRow.since.remove()], HoldRow.since.exists())


class LearnedDurations:
    """How long the vendors' tasks took, by vendor and size class."""

    def read(self, size_class: str) -> Durations:
        row = self._row(size_class, consistent=False)
        return _durations(row) if row else Durations()

    def learn(self, size_class: str, seconds: float, after: float) -> bool:
        """Add a task that was last seen unfinished at `after`. False: dropped, as another task was added meanwhile."""
        row = self._row(size_class, consistent=True)
        known = _durations(row) if row else Durations()
        more = known.add(seconds, after=after).as_dict()
        new = DurationsRow(
            _durations_pk(size_class), "DURATIONS", tasks=more["count"], surprise=more["surprise"], bins=more["bins"]
        )
        try:
            new.save(condition=as_read(DurationsRow.tasks, known.count, 0))
        except PutError as error:
            return _lost(error)
        return True

    @staticmethod
    def _row(size_class: str, *, consistent: bool) -> DurationsRow | None:
        try:
            return DurationsRow.get(_durations_pk(size_class), "DURATIONS", consistent_read=consistent)
        except DurationsRow.DoesNotExist:
            return None


def _durations(row: DurationsRow) -> Durations:
    return Durations.parse({"bins": row.bins, "count": row.tasks, "surprise": row.surprise})


def _idle(now: float) -> Condition:
    """The condition that no call of the account waits for its slot."""
    condition: Condition = PaceRow.next.does_not_exist() | (PaceRow.next < now)
    return condition


def _budget_pk(account: str) -> str:
    return f"BUDGET#{account}"


def _hold_pk(vendor: str, account: str) -> str:
    return f"ACCOUNT#{vendor}#{account}"


def _queue_pk(account: str) -> str:
    return f"INFLIGHT#{account}"


def _durations_pk(size_class: str) -> str:
    return f"DURATIONS#{size_class}"


def _slot(number: int) -> str:
    return f"SLOT#{number:06d}"


def _wait(ticket: int) -> str:
    return f"WAIT#{ticket:0{TICKET_DIGITS}d}"


def _number(row: TaskSlotRow) -> int:
    return int(row.sk.partition("#")[2])


def _updated(row: PaceRow | TaskSlotRow | HoldRow, actions: list[Action], condition: Condition) -> bool:
    """Whether the write met its condition; then `row` holds all attributes that are in the table."""
    try:
        row.update(actions=actions, condition=condition)
    except UpdateError as error:
        return _lost(error)
    return True


def _lost(error: PutError | UpdateError | DeleteError) -> bool:
    """False after a failed condition; raises any other error."""
    if error.cause_response_code != "ConditionalCheckFailedException":
        raise error
    return False
