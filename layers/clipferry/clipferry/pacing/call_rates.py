"""When a vendor account may make its next call. Pure arithmetic; `store/account_limits.py` stores the record.

This is the generic cell rate algorithm (ITU-T I.371, Annex A) without bursts: calls get evenly spaced slots, in the
order in which they ask. One small record for each account and operation group says when the next slot is free:

    next     epoch seconds of the next free slot
    shift    total seconds by which reserved slots have been moved back
    blocked  epoch seconds before which the vendor wants no call

Each step is one conditional update of that record, so its cost does not depend on how many jobs wait, and a step needs
no read before its write. With `T = rate.interval`:

    reserve, while calls queue   SET next = next + :n*T
                                 IF next >= :now                        → slot = returned next - n*T
    reserve, idle (the above     SET next = :now_plus_n*T
    failed)                      IF attribute_not_exists(next) OR next < :now       → slot = now; failed: start over
    both return ALL_NEW; the job stores (slot, shift) in its row, and waits for slot - now. The write that succeeded
    last is tried first: when the guess is wrong, this costs a second write and changes nothing else

    reserve, if near             the same two, and the first one only IF next <= :near_enough as well
    claim, when the job wakes    GetItem (consistent), then `Reservation.due`: too early, wait on; within `rate.slack`,
                                 call; later than that, reserve again
    push back (`Pace.pushed`)    SET next = next + :d, shift = if_not_exists(shift, :0) + :d, blocked = :until
      while calls queue          IF blocked = :blocked_as_read AND next >= :now
      idle                       SET next = :until, shift and blocked as above
                                 IF blocked = :blocked_as_read AND next < :now
                                 failed: another call has reported a throttle meanwhile; read again

A push back moves each reserved slot by the same time, so that their order and spacing stay the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

LIMIT_SHARE = 0.96  # the share of a vendor's limit that is used; the rest absorbs calls that are made late
ANY = "*"  # the operation group of all operations without a limit of their own


@dataclass(frozen=True)
class Rate:
    """A vendor's limit: at most `calls` in any window of `per` seconds."""

    calls: int
    per: float
    pushback: float = 5.0  # seconds without calls after a throttle, when the vendor does not say how long

    def __post_init__(self) -> None:
        if self.calls < 1 or not 0 < self.per < float("inf"):
            raise ValueError(f"a rate needs at least 1 call in more than 0 seconds, not {self.calls} per {self.per}")
        if not 0 <= self.pushback < float("inf"):
            raise ValueError(f"a rate's pushback is 0 or more seconds, not {self.pushback}")

    @property
    def interval(self) -> float:
        """Seconds from one slot to the next."""
        return self.per / (LIMIT_SHARE * self.calls)

    @property
    def slack(self) -> float:
        """Seconds by which a call may be later than its slot (cloudv 11, polyv 0.37, fifty a second 0.04).

        Calls inside a closed window of `per` seconds have slots within `per + slack`. These are at most `calls` slots
        while slack < calls * interval - per; a tenth of that is reserved for rounding.
        """
        return 0.9 * self.per * (1 / LIMIT_SHARE - 1)

    @classmethod
    def parse(cls, value: Mapping[str, Any], default: Rate) -> Rate:
        """An account's own rate, `{"calls": 600, "per": 300}` in its secret. Raises ValueError when it is invalid.

        A third key `pushback` gives the seconds without calls after a throttle, when the vendor does not say how long.
        """
        try:
            return cls(int(value["calls"]), float(value["per"]), float(value.get("pushback", default.pushback)))
        except (KeyError, TypeError, AttributeError) as problem:
            raise ValueError('a rate is {"calls": <whole number>, "per": <seconds>}') from problem


def rate_for(
    groups: Mapping[str, Rate], operation: str = ANY, override: Mapping[str, Any] | None = None
) -> tuple[str, Rate]:
    """The operation group in which calls of `operation` are counted, and its rate.

    `groups` are a vendor's `rates`; an account's `override` is one rate for all operations. Raises ValueError when the
    override is invalid.
    """
    if override:
        return ANY, Rate.parse(override, groups[ANY])
    return (operation, groups[operation]) if operation in groups else (ANY, groups[ANY])


@dataclass(frozen=True)
class Pace:
    """The record of one account and operation group. Times are epoch seconds."""

    next: float = 0.0  # the next free slot
    shift: float = 0.0  # total seconds by which reserved slots were moved back
    blocked: float = 0.0  # no call before this

    def reserved(self, now: float, rate: Rate, calls: int = 1) -> tuple[Pace, Reservation]:
        """The record and the reservation after asking for `calls` slots in a row."""
        slot = max(self.next, now)
        return replace(self, next=slot + calls * rate.interval), Reservation(slot, self.shift)

    def pushed(self, now: float, seconds: float) -> Pace:
        """The record after a throttle: no call for `seconds`. Several reports of the same throttle count once."""
        until = now + max(seconds, 0.0)
        more = until - max(now, self.blocked)
        if more <= 0:
            return self
        return Pace(max(self.next, now) + more, self.shift + more, until)


@dataclass(frozen=True)
class Reservation:
    """A job's reserved slot, and the record's `shift` at the time of the reservation."""

    slot: float  # epoch seconds
    shift: float

    def due(self, pace: Pace) -> float:
        """The present time of the slot in epoch seconds, by the record that was just read."""
        return max(self.slot + pace.shift - self.shift, pace.blocked)

    def stale(self, pace: Pace, now: float, rate: Rate) -> bool:
        """Whether the job is so late that its call could exceed the vendor's limit: it must reserve again."""
        return now > self.due(pace) + rate.slack
