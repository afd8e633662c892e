"""The time at a vendor, as its answers tell it. Kept for a process, since a wrong clock stays wrong.

Why a call whose time was refused may be signed anew and sent again, and when it may not: a vendor looks at the time
before it carries anything out, so the copy of the call that was answered had no effect. But a hop on the way may have
sent the call twice, and the answer may be to the second copy. The first one came earlier, with the same time signed.
It was refused as well if that time

* lay ahead of the vendor's: earlier it lay further ahead; or
* lay behind the vendor's by more than the vendor tolerates even when the call began.

Otherwise the first copy may have been just in time, and nothing is proven.
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
    """`tolerance`: seconds by which a time signed may differ from the vendor's, as far as its pages say."""

    tolerance: float
    ahead: float = 0.0  # seconds by which the vendor's clock is ahead of ours

    def now(self) -> float:
        """The vendor's time in epoch seconds."""
        return time.time() + self.ahead

    def off(self, reply: Reply) -> float:
        """Seconds by which the `Date` of a reply just received differs from `now`; 0 when it has none."""
        told = lenient.http_date(reply.headers.get("Date"))
        return abs(told.timestamp() - self.now()) if told else 0.0

    def learn(self, refused: Reply, signed_at: float, took: float) -> bool:
        """Set the clock by the `Date` of an answer that refuses `signed_at`. True: no copy of the call had an effect.

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
    """The clock of the vendor at `endpoint`, the same for all questions that leave by one way out."""
    clocks = _clocks.setdefault(outbound.origin, {})
    return clocks.setdefault(endpoint, VendorClock(tolerance))
