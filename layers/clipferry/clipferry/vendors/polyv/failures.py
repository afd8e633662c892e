"""The meaning of Polyv's failures.

Polyv's application always answers in an envelope, `{requestId, code, status, error: {code, desc} | null, data}`; the
HTTP status says nothing. An error code that the table below lacks counts by the words of its message, then by the
envelope's code, which is like an HTTP status (`call_results.settle`). The replies while Polyv blocks an address are not
documented. Probably such calls do not reach the application.

Page: "全局错误说明" of Polyv's VOD API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clipferry.outbound.client import Reply
from clipferry.outbound.retry_after import retry_after
from clipferry.vendors import lenient
from clipferry.vendors.call_results import SAYS_BUSY, SAYS_REPEATED, SAYS_THROTTLED, Failure, Meaning, settle

BLOCKED_FOR = 300.0  # seconds an address stays blocked after more than 1500 calls in 10 seconds
SUCCESS = 200

#: By `error.code`.
CODES: Mapping[int, Meaning] = {
    100: Meaning.CLOCK,  # invalid timestamp
    101: Meaning.AUTH,  # application not exist
    102: Meaning.AUTH,  # user children not exist
    103: Meaning.AUTH,  # user children expired
    104: Meaning.AUTH,  # invalid signature
    105: Meaning.AUTH,  # permission limited
    2000: Meaning.REFUSED,  # invalid vid
}
#: By words of the message: the first match counts.
WORDS: tuple[tuple[Meaning, re.Pattern[str]], ...] = (
    (Meaning.REPEATED, SAYS_REPEATED),
    (Meaning.THROTTLED, SAYS_THROTTLED),
    (Meaning.UNCLEAR, SAYS_BUSY),
)
_BEGINNINGS = {
    Meaning.AUTH: "Polyv does not accept the account",
    Meaning.CLOCK: "Polyv does not accept the time of this machine",
    Meaning.REFUSED: "Polyv refused",
    Meaning.REPEATED: "Polyv had this call before",
    Meaning.THROTTLED: "Polyv blocks this address after too many calls",
    Meaning.UNCLEAR: "Polyv failed",
}


@dataclass(frozen=True)
class Envelope:
    """Polyv's reply."""

    code: int
    error_code: int | None
    description: str
    request_id: str | None
    data: Any = field(repr=False)

    @classmethod
    def parse(cls, reply: Reply) -> Envelope | None:
        """None when the body is not Polyv's."""
        try:
            body = reply.json()
        except (ValueError, RecursionError):
            return None
        code = lenient.integer(body.get("code")) if isinstance(body, dict) else None
        if code is None or not body.keys() & {"data", "error", "status"}:
            return None
        error = lenient.mapping(body.get("error"))
        return cls(
            code=code,
            error_code=lenient.integer(error.get("code")),
            description=lenient.message(error.get("desc")) or lenient.message(body.get("error")),
            request_id=lenient.message(body.get("requestId")) or None,
            data=body.get("data"),
        )


def failure_of(reply: Reply) -> Failure | None:
    """The error for a reply that is no success."""
    envelope = Envelope.parse(reply)
    hint = retry_after(reply.headers.get("Retry-After"))
    if envelope is None:
        if reply.status in (403, 429):
            return Failure(Meaning.THROTTLED, f"{_BEGINNINGS[Meaning.THROTTLED]}.", retry_after=hint or BLOCKED_FOR)
        message = f"Polyv answered HTTP {reply.status} with something that is not its JSON."
        return Failure(Meaning.UNCLEAR, message, retry_after=hint)
    if envelope.code == SUCCESS and reply.status != 429:
        return None
    meaning = Meaning.THROTTLED if reply.status == 429 else _meaning(envelope)
    code = str(envelope.error_code or envelope.code)
    return Failure(
        meaning,
        f"{_BEGINNINGS[meaning]}: {envelope.description or 'no reason given'} (error {code})",
        code=code,
        request_id=envelope.request_id,
        retry_after=hint or (BLOCKED_FOR if meaning is Meaning.THROTTLED else None),
    )


def _meaning(envelope: Envelope) -> Meaning:
    known = CODES.get(envelope.error_code or 0)
    said = next((meaning for meaning, words in WORDS if words.search(envelope.description)), None)
    return settle(known or said, envelope.code)
