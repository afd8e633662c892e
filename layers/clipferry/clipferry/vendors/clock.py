"""The vendor's time, learned from its answers. Kept for the whole process, because a wrong clock stays wrong.

When may a call whose time was refused be signed and sent again? The vendor checks the time before it acts, so the copy
of the call that it answered had no effect. But a proxy may have sent the call twice, and the answer may belong to the
second copy. The first copy came earlier, with the same signed time. It was refused too if that time

* was ahead of the vendor's time: earlier it was further ahead; or
* was behind the vendor's time by more than the tolerance, already when the call began.

Otherwise the first copy may have been accepted, and nothing is proven.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from clipferry.outbound.client import Reply
from clipferry.vendors import lenient
from clipferry.vendors.contract import ApiOutbound


@dataclass
class VendorClock:
    """`tolerance`: seconds by which a signed time may differ from the vendor's, by the vendor's documentation."""

    tolerance: float
    ahead: float = 0.0  # seconds by which the vendor's clock is ahead of ours

    def now(self) -> float:
        """The vendor's time in epoch seconds."""
        return time.time() + self.ahead

    def off(self, reply: Reply) -> float:
        """Seconds by which the `Date` of a reply that has just arrived differs from `now`; 0 when it has no `Date`."""
        told = lenient.http_date(reply.headers.get("Date"))
        return abs(told.timestamp() - self.now()) if told else 0.0

    def learn(self, refused: Reply, signed_at: float, took: float) -> bool:
        """Set the clock by the `Date` of a reply that refuses `signed_at`. True: no copy of the call had an effect.

        `signed_at` is in epoch seconds; `took`: seconds from then until the answer.
        """
        told = lenient.http_date(refused.headers.get("Date"))
        if told is None:
            return False
        theirs = told.timestamp()
        self.ahead = theirs - time.time()
        return signed_at > theirs + 1 or signed_at < theirs - took - self.tolerance


_clocks: WeakKeyDictionary[object, dict[str, VendorClock]] = WeakKeyDictionary()


def clock_of(outbound: ApiOutbound, endpoint: str, tolerance: float) -> VendorClock:
    """The clock of the vendor at `endpoint`, the same for all questions of one `Outbound`."""
    clocks = _clocks.setdefault(outbound.origin, {})
    return clocks.setdefault(endpoint, VendorClock(tolerance))
