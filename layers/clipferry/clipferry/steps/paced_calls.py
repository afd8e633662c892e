"""Each vendor call takes a call slot of its account. For a near slot the call sleeps; for a far slot the job waits.

Each question that a step asks a vendor has its own pacer, and the HTTP client asks the pacer before each API call of
the question. When the next slot is too far away the pacer raises OverBudget, no call is made, and the row of the job
(or the file) keeps the slot, so that the jobs are served in the order in which they came.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from clipferry.pacing.call_rates import ANY, Pace, Rate, Reservation, rate_for
from clipferry.pacing.poll_plan import LONGEST_WAIT_IN_CALL, RETRY_AFTER_MAX, TIME_FOR_A_CALL
from clipferry.store.account_limits import CallSlots
from clipferry.vendors.contract import Account, OutOfTime, OverBudget, VendorThrottled

NEAR = 2.0  # seconds; the pacer sleeps until a slot that is not further away
SLEEP_MAX = 45.0  # seconds of sleep in one question, so that the Lambda call ends well before its timeout
LEAD = 3.0  # seconds by which a job wakes early when a late wake would miss its slot; the pacer sleeps the rest
CALLS_MAX = 16  # slots in a row that are reserved for a question that was interrupted


@dataclass(frozen=True)
class KeptSlots:
    """The slots that are reserved for a waiting job, as its row holds them."""

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
    """Paces the calls of one question. `booking`: the slots that are reserved for the asker, before and after.

    `rates` are the vendor's; `time_left` gives the seconds until the step that asks must have returned.
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
        self._pace: Pace | None = None  # read once a question, and only when there is a booking
        self._group, self._rate = rate_for(rates, ANY, account.rate)  # of the last call
        self._calls, self._slept, self._ahead = 0, 0.0, False

    def open(self) -> None:
        """Get the slot of the first call early, before anything about the call is stored. Raises OverBudget."""
        self(ANY)
        self._ahead = True

    def __call__(self, operation: str) -> None:
        """Sleep until a call of this operation may be made. Raises OverBudget, and after the first call OutOfTime."""
        self._group, self._rate = rate_for(self._rates, operation, self._account.rate)
        if self._ahead:
            self._ahead = False
            return
        if self._calls and self._time_left() < TIME_FOR_A_CALL:
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
        """How many calls have been made."""
        return self._calls - self._ahead

    @property
    def kept(self) -> dict[str, Any] | None:
        """The slots that stay reserved for the asker, as its row holds them."""
        return vars(self.booking).copy() if self.booking else None

    def push_back(self, error: VendorThrottled) -> None:
        """The vendor has throttled a call: all calls of the account pause."""
        seconds = self._rate.pushback if error.retry_after is None else min(error.retry_after, RETRY_AFTER_MAX)
        self._slots.push_back(self._account.name, self._group, self._now(), seconds)

    def _own(self) -> float | None:
        """Seconds until the asker's reserved slot; None when it has none, or when that slot has passed."""
        booking, now = self.booking, self._now()
        if booking is None or booking.group != self._group:
            return None
        if self._pace is None:
            self._pace = self._slots.read(self._account.name, self._group)
        if booking.reservation.stale(self._pace, now, self._rate):
            self.booking = None
            return None
        due = booking.reservation.due(self._pace)
        if due - now > LONGEST_WAIT_IN_CALL:
            if self._pace.shift == booking.shift:  # no throttle moved the slot, so the machine's waits ran too fast
                self._sleep(LONGEST_WAIT_IN_CALL)
            self.booking = replace(booking, slot=due, shift=self._pace.shift)
            raise OverBudget(self._wait_for(due))
        left = booking.calls - 1
        self.booking = replace(booking, slot=booking.slot + self._rate.interval, calls=left) if left else None
        return max(0.0, due - now)

    def _fresh(self) -> float:
        """Reserve a slot now; the seconds until it."""
        name, now = self._account.name, self._now()
        near, calls = min(self._near, SLEEP_MAX - self._slept), 1
        if self._calls:
            found = self._slots.reserve_near(name, self._group, self._rate, now, now + near)
            if found is not None:
                return found.slot - now
            calls = min(2 * self._calls, CALLS_MAX)  # the question starts again later: all calls so far, and more
        place = self._slots.reserve(name, self._group, self._rate, now, calls)
        if calls == 1 and place.slot - now <= near:
            return place.slot - now
        self.booking = KeptSlots(self._group, place.slot, place.shift, calls)
        raise OverBudget(self._wait_for(place.slot))

    def _wait_for(self, due: float) -> float:
        """Whole seconds for the state machine to wait. It never wakes early, but may wake some seconds late."""
        left, lead = due - self._now(), max(0.0, LEAD - self._rate.slack)
        return max(1.0, math.floor(left - lead) if lead else math.ceil(left))
