"""Vendor calls leave in their account's slots: a near one is slept for, a far one becomes the job's wait.

A pacer is made for each question that a step puts to a vendor, and stands in the one way out: every API call of that
question passes it, however many there are. Where the next slot is too far off it raises OverBudget in the call's place
and keeps the slot in the job's (or the file's) row, so that who came first is served first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from clipferry.pacing.call_rates import ANY, Pace, Rate, Reservation, rate_for
from clipferry.pacing.poll_plan import CALL_ROOM, RETRY_AFTER_MAX, STAY
from clipferry.store.account_limits import CallSlots
from clipferry.vendors.contract import Account, OutOfTime, OverBudget, VendorThrottled

NEAR = 2.0  # seconds: a slot no further off is slept for at once
PATIENCE = 45.0  # seconds of such sleep in one question, so that its call ends well before its time
LEAD = 3.0  # seconds by which a wake comes early where a late one would miss its slot; the rest is slept
CALLS_MAX = 16  # slots in a row for a question that was interrupted


@dataclass(frozen=True)
class KeptSlots:
    """Slots kept for a job that waits, as its row holds them."""

    group: str
    slot: float  # epoch seconds of the first
    shift: float
    calls: int = 1  # slots in a row

    @property
    def reservation(self) -> Reservation:
        return Reservation(self.slot, self.shift)

    @classmethod
    def parse(cls, value: dict[str, Any] | None) -> KeptSlots | None:
        return cls(value["group"], float(value["slot"]), float(value["shift"]), int(value["calls"])) if value else None


class CallPacer:
    """Paces one question's calls. `booking` is what the asker keeps, before and after.

    `rates` are the vendor's; `time_left` is in seconds, until the step that asks must have returned.
    """

    def __init__(
        self,
        slots: CallSlots,
        account: Account,
        rates: Mapping[str, Rate],
        booking: KeptSlots | None,
        now: Callable[[], float],
        sleep: Callable[[float], None],
        near: float = NEAR,
        time_left: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self._slots, self._account, self._rates = slots, account, rates
        self._now, self._sleep, self._near, self._time_left = now, sleep, near, time_left
        self.booking = booking
        self._pace: Pace | None = None  # as read for a booking, once a question
        self._group, self._rate = rate_for(rates, ANY, account.rate)  # of the last call
        self._calls, self._slept, self._ahead = 0, 0.0, False

    def open(self) -> None:
        """Get the first call's slot ahead of it, before anything is written down about the call. Raises OverBudget."""
        self(ANY)
        self._ahead = True

    def __call__(self, operation: str) -> None:
        """Return when a call of this operation may leave. Raises OverBudget, and after the first call OutOfTime."""
        self._group, self._rate = rate_for(self._rates, operation, self._account.rate)
        if self._ahead:
            self._ahead = False
            return
        if self._calls and self._time_left() < CALL_ROOM:
            raise OutOfTime
        wait = self._own()
        if wait is None:
            wait = self._fresh()
        self._calls += 1
        if wait > 0:
            self._slept += wait
            self._sleep(wait)

    @property
    def calls_made(self) -> int:
        """How many calls have left."""
        return self._calls - self._ahead

    @property
    def kept(self) -> dict[str, Any] | None:
        """What the asker keeps, as its row holds it."""
        return vars(self.booking).copy() if self.booking else None

    def push_back(self, error: VendorThrottled) -> None:
        """The vendor said no: the whole account rests."""
        seconds = self._rate.pushback if error.retry_after is None else min(error.retry_after, RETRY_AFTER_MAX)
        self._slots.push_back(self._account.name, self._group, self._now(), seconds)

    def _own(self) -> float | None:
        """Seconds until the slot that the asker keeps; None when it has none, or came too late for it."""
        booking, now = self.booking, self._now()
        if booking is None or booking.group != self._group:
            return None
        if self._pace is None:
            self._pace = self._slots.read(self._account.name, self._group)
        if booking.reservation.stale(self._pace, now, self._rate):
            self.booking = None
            return None
        due = booking.reservation.due(self._pace)
        if due - now > STAY:
            if self._pace.shift == booking.shift:  # nothing has moved it, so the machine's waits outrun the clock
                self._sleep(STAY)
            self.booking = replace(booking, slot=due, shift=self._pace.shift)
            raise OverBudget(self._wait_for(due))
        left = booking.calls - 1
        self.booking = replace(booking, slot=booking.slot + self._rate.interval, calls=left) if left else None
        return max(0.0, due - now)

    def _fresh(self) -> float:
        """Seconds until a slot got now."""
        name, now = self._account.name, self._now()
        near, calls = min(self._near, PATIENCE - self._slept), 1
        if self._calls:
            found = self._slots.reserve_near(name, self._group, self._rate, now, now + near)
            if found is not None:
                return found.slot - now
            calls = min(2 * self._calls, CALLS_MAX)  # what was asked so far is asked again, and more
        place = self._slots.reserve(name, self._group, self._rate, now, calls)
        if calls == 1 and place.slot - now <= near:
            return place.slot - now
        self.booking = KeptSlots(self._group, place.slot, place.shift, calls)
        raise OverBudget(self._wait_for(place.slot))

    def _wait_for(self, due: float) -> float:
        """Whole seconds for the machine to wait. It wakes late, by up to some seconds, never early."""
        left, lead = due - self._now(), max(0.0, LEAD - self._rate.slack)
        return max(1.0, math.floor(left - lead) if lead else math.ceil(left))
