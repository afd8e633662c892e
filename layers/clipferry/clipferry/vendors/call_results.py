"""What a vendor's answer proves about its call: one rule for all vendors.

A call with an effect (a trigger) is sent once. It is sent again only after a proof that it had no effect. In all other
cases `Vendor.find` looks for the work before new work is requested.

    what came back                                          what it proves               what follows
    ------------------------------------------------------  ---------------------------  ------------------------------
    nothing was sent: name lookup, connection, TLS          no effect                    may be sent again
    no call was made (CallHeldBack)                         no effect                    may be sent again
    the vendor refuses the call: THROTTLED, BUSY            no effect                    may be sent again, later
    the vendor refuses the call: AUTH, REFUSED              no effect                    final
    the vendor refuses the signed time: CLOCK               no effect, see `clock`       signed and sent again
    the vendor says that the call is a repetition: REPEATED an earlier copy arrived      doubt: `find`
    the vendor failed: UNCLEAR                              nothing                      doubt: `find`
    no answer, a part of an answer, one that is not the     nothing                      doubt: `find`
    vendor's own: a proxy's page, HTTP 1xx, 3xx, …

The vendor refuses a call when the answer has the vendor's form and its code says so. Each family of vendors has one
table of its codes (`alibaba/failures.py`, `cloudv/failures.py`, `polyv/failures.py`). `settle` decides about codes that
are in no table, and about HTTP statuses that contradict the code.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from clipferry.outbound.client import AddressRefused, NotSent, OutboundError, Reply
from clipferry.vendors.clock import VendorClock
from clipferry.vendors.contract import (
    ApiOutbound,
    CallRepeated,
    VendorAuthFailed,
    VendorError,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)

SENDS = 3  # how often one call is sent at most, after a refused time or a nonce that was already used


class Meaning(Enum):
    """What an answer that is not a success says about the call."""

    THROTTLED = "too many calls: it was not carried out"
    BUSY = "not now: it was not carried out"
    CLOCK = "the time it was signed at is not accepted: it was not carried out"
    AUTH = "the credentials are not accepted: it was not carried out"
    REFUSED = "a permanent no: it was not carried out"
    REPEATED = "it had come before: the earlier copy may have been carried out"
    UNCLEAR = "the vendor failed: it may have been carried out"


@dataclass(frozen=True)
class Failure:
    """An answer that is not a success. `kind`: the job's error code, if the refusal has a code of its own."""

    meaning: Meaning
    message: str  # safe to show
    code: str | None = None
    request_id: str | None = None
    retry_after: float | None = None  # seconds
    kind: str = "VENDOR_REFUSED"

    def error(self) -> VendorError:
        """The contract's error for this failure."""
        given: dict[str, Any] = {"code": self.code, "request_id": self.request_id}
        match self.meaning:
            case Meaning.THROTTLED:
                return VendorThrottled(self.message, retry_after=self.retry_after, **given)
            case Meaning.AUTH:
                return VendorAuthFailed(self.message, **given)
            case Meaning.REFUSED:
                return VendorRefused(self.message, kind=self.kind, **given)
            case Meaning.REPEATED:
                return CallRepeated(self.message, **given)
        no_effect = self.meaning in (Meaning.BUSY, Meaning.CLOCK)
        return VendorUnavailable(self.message, reached=not no_effect, retry_after=self.retry_after, **given)


def settle(known: Meaning | None, status: int, *, own: bool = True) -> Meaning:
    """What an answer means, by the meaning of its code (None: no table has it) and by its HTTP status.

    `own` False: the answer does not have the vendor's form. HTTP 429 is THROTTLED from any server (RFC 6585 §4): a
    server that limits calls does not carry them out. Without a known code HTTP 401 is AUTH; 200 and each other 4xx is
    REFUSED, except 408 and 425, which concern the transport. A final refusal with the status of a server error (5xx) or
    of no final answer (1xx, 3xx) counts as UNCLEAR.
    """
    if status == 429:
        return Meaning.THROTTLED
    if not own:
        return Meaning.UNCLEAR
    answered = status == 200 or (400 <= status < 500 and status not in (408, 425))
    meaning = known or (Meaning.AUTH if status == 401 else Meaning.REFUSED)
    return meaning if answered or meaning not in (Meaning.REFUSED, Meaning.AUTH) else Meaning.UNCLEAR


def signed_call(
    send: Callable[[], Reply], read: Callable[[Reply], Failure | None], clock: VendorClock, *, acts: bool
) -> Reply:
    """The reply to a call that `send` signs with the time of `clock` and sends once. `read`: the failure, or None.

    Only this function sends a call again: after a refused time, when this proves that no copy of the call had an effect
    (see `clock`); and a call without an effect, when the vendor says that it is a repetition. Raises the contract's
    errors.
    """
    sends = 0
    while True:
        signed_at, began, sends = clock.now(), time.monotonic(), sends + 1
        reply = send()
        failure = read(reply)
        if failure is None:
            return reply
        again = failure.meaning is Meaning.REPEATED and not acts
        if failure.meaning is Meaning.CLOCK:
            again = clock.learn(reply, signed_at, time.monotonic() - began) or not acts
            failure = failure if again else replace(failure, meaning=Meaning.UNCLEAR)
        if not again or sends == SENDS:
            raise failure.error()


def exchange(
    outbound: ApiOutbound, method: str, url: str, *, hosts: Sequence[str], operation: str, **options: Any
) -> Reply:
    """Send one call once with `ApiOutbound.call`. Raises the contract's errors when there is no answer."""
    try:
        return outbound.call(method, url, hosts=hosts, operation=operation, **options)
    except NotSent as error:
        raise VendorUnavailable(f"{operation}: {error}", reached=False) from None
    except AddressRefused as error:
        raise VendorRefused(f"{operation}: {error}", kind="ADDRESS_REFUSED") from None
    except OutboundError as error:
        raise VendorUnavailable(f"{operation}: {error}") from None


#: Words for what a vendor has no documented code for. A vendor's message is at most 200 characters long here.
SAYS_REPEATED = re.compile(
    r"duplicat|repeated|replay|already[ _-]?(exist|used|submitted|processed|received)|(been|was) used|used already"
    r"|重复|已存在|已经?被?(使用|提交)",
    re.IGNORECASE,
)
SAYS_THROTTLED = re.compile(
    r"rate.?limit|throttl|flow.?control|too many (requests|calls)|too (frequent|often)|频繁|频率|限流|流控",
    re.IGNORECASE,
)
SAYS_BUSY = re.compile(r"\bbusy\b|temporar|try again later|繁忙|稍后", re.IGNORECASE)
