"""How many calls a vendor account may still make now. Pure arithmetic; `store/account_limits.py` keeps the record.

The generic cell rate algorithm (ITU-T I.371, Annex A) without burst: calls get slots, evenly spaced, in the order they
ask. One small record per account and operation group says when the next slot is free:

    next     epoch seconds of the next free slot
    shift    seconds by which slots already given have been moved back, in all
    blocked  epoch seconds before which the vendor wants no call at all

Every step is one conditional update of that record, so its cost does not depend on how many jobs wait, and no step
needs a read before its write. With `T = rate.interval`:

    reserve, while calls queue   SET next = next + :n*T
                                 IF next >= :now                        → slot = returned next - n*T
    reserve, idle (the above     SET next = :now_plus_n*T
    failed)                      IF attribute_not_exists(next) OR next < :now       → slot = now; failed: start over
    both return ALL_NEW; the job keeps (slot, shift) in its row, and its wait is slot - now. Which of the two comes
    first is a guess from the last answer: it costs a second write when wrong, and changes nothing else

    reserve, if near             the same two, and the first one only IF next <= :near_enough as well
    claim, when the job wakes    GetItem (consistent), then `Reservation.due`: too early, wait on; within `rate.slack`,
                                 call; later than that, reserve anew
    push back (`Pace.pushed`)    SET next = next + :d, shift = if_not_exists(shift, :0) + :d, blocked = :until
      while calls queue          IF blocked = :blocked_as_read AND next >= :now
      idle                       SET next = :until, shift and blocked as above
                                 IF blocked = :blocked_as_read AND next < :now
                                 a failed condition: read again; somebody else was told the same

A push back moves every slot already given, by the same time: order and spacing stay as they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

USE = 0.96  # share of a vendor's limit that is used; the rest absorbs calls that leave late
ANY = "*"  # the operation group of everything without a limit of its own


@dataclass(frozen=True)
class Rate:
    """A vendor's limit: at most `calls` in any window of `per` seconds."""

    calls: int
    per: float
    pushback: float = 5.0  # seconds without a call after the vendor's no, when it does not say how long

    def __post_init__(self) -> None:
        if self.calls < 1 or not 0 < self.per < float("inf"):
            raise ValueError(f"a rate needs at least 1 call in more than 0 seconds, not {self.calls} per {self.per}")
        if not 0 <= self.pushback < float("inf"):
            raise ValueError(f"a rate's pushback is 0 or more seconds, not {self.pushback}")

    @property
    def interval(self) -> float:
        """Seconds from one slot to the next."""
        return self.per / (USE * self.calls)

    @property
    def slack(self) -> float:
        """Seconds a call may leave after its slot (cloudv 11, polyv 0.37, fifty a second 0.04).

        Calls inside a closed window of `per` seconds have slots within `per + slack`. That holds at most `calls` slots
        while slack < calls * interval - per; a tenth of that is kept for rounding.
        """
        return 0.9 * self.per * (1 / USE - 1)

    @classmethod
    def parse(cls, value: Mapping[str, Any], default: Rate) -> Rate:
        """An account's own rate, `{"calls": 600, "per": 300}` in its secret; ValueError when it makes no sense.

        A `pushback` beside them is the seconds to rest after a no without a hint.
        """
        try:
            return cls(int(value["calls"]), float(value["per"]), float(value.get("pushback", default.pushback)))
        except (KeyError, TypeError, AttributeError) as problem:
            raise ValueError('a rate is {"calls": <whole number>, "per": <seconds>}') from problem


def rate_for(
    groups: Mapping[str, Rate], operation: str = ANY, override: Mapping[str, Any] | None = None
) -> tuple[str, Rate]:
    """The operation group that `operation` is counted in, and its rate.

    `groups` are a vendor's `rates`; an account's `override` is one rate for all operations. Raises ValueError for an
    override that makes no sense.
    """
    if override:
        return ANY, Rate.parse(override, groups[ANY])
    return (operation, groups[operation]) if operation in groups else (ANY, groups[ANY])


@dataclass(frozen=True)
class Pace:
    """The record of one account and operation group. Times are epoch seconds."""

    next: float = 0.0  # the next free slot
    shift: float = 0.0  # seconds that given slots were moved back, in all
    blocked: float = 0.0  # no call before

    def reserved(self, now: float, rate: Rate, calls: int = 1) -> tuple[Pace, Reservation]:
        """The record and the reservation after asking for `calls` slots in a row."""
        slot = max(self.next, now)
        return replace(self, next=slot + calls * rate.interval), Reservation(slot, self.shift)

    def pushed(self, now: float, seconds: float) -> Pace:
        """The record after the vendor wanted no call for `seconds`. The same no told by many calls counts once."""
        until = now + max(seconds, 0.0)
        more = until - max(now, self.blocked)
        if more <= 0:
            return self
        return Pace(max(self.next, now) + more, self.shift + more, until)


@dataclass(frozen=True)
class Reservation:
    """A job's place: its slot, and what had been moved when it got it."""

    slot: float  # epoch seconds
    shift: float

    def due(self, pace: Pace) -> float:
        """The epoch second of the slot as of now, by the record just read."""
        return max(self.slot + pace.shift - self.shift, pace.blocked)

    def stale(self, pace: Pace, now: float, rate: Rate) -> bool:
        """Whether the job came so late that its call could meet others in one window: it must reserve anew."""
        return now > self.due(pace) + rate.slack
