"""The meaning of the failures of the Wangsu / CDNetworks gateway.

The envelope is `{code, message, data}`; `code` 200 is a success, with any HTTP status. The vendor publishes only some
codes: they are in the tables below. All others count by words of the message, in Chinese or English, and then by the
HTTP status (`call_results.settle`). A 403 may mean a wrong signature or too many calls.

Sources: CDNetworks "Video Fetch", "Video Fetch Query", "getPublishCode" (return codes), the API overview (rate limit).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clipferry.outbound.client import Reply
from clipferry.outbound.retry_after import retry_after
from clipferry.vendors import lenient
from clipferry.vendors.call_results import SAYS_BUSY, SAYS_REPEATED, SAYS_THROTTLED, Failure, Meaning, settle

SUCCESS = "200"

#: By the whole code.
CODES: tuple[tuple[Meaning, re.Pattern[str]], ...] = (
    (Meaning.THROTTLED, re.compile("429")),
    (Meaning.UNCLEAR, re.compile(r"5\d\d|408|425")),
    (Meaning.AUTH, re.compile(r"401|13\d\d")),  # 1301: "user has no permission"
)
#: By words of the message: the first match counts. The reply's `Date` shows whether the signed time was the reason.
WORDS: tuple[tuple[Meaning, re.Pattern[str]], ...] = (
    (Meaning.AUTH, re.compile(r"time.?stamp|时间戳", re.IGNORECASE)),
    (Meaning.REPEATED, SAYS_REPEATED),
    (Meaning.THROTTLED, SAYS_THROTTLED),
    (Meaning.UNCLEAR, SAYS_BUSY),  # what many gateways say for any failure of their own
)
FORBIDDEN = "403"
_SOUNDS_LIKE_AUTH = re.compile(r"signature|access.?key|auth|permission|expired|签名|鉴权|认证|权限", re.IGNORECASE)
_SOUNDS_THROTTLED = re.compile(r"too many|limit|exceed|frequen|busy|超过|上限", re.IGNORECASE)

_BEGINNINGS = {
    Meaning.THROTTLED: "too many calls for this account",
    Meaning.AUTH: "the vendor does not accept the account",
    Meaning.REFUSED: "the vendor refused",
    Meaning.REPEATED: "the vendor had this call before",
    Meaning.UNCLEAR: "the vendor failed",
}


@dataclass(frozen=True)
class Envelope:
    """A reply in the gateway's form; `code` is empty when the body does not have that form."""

    code: str
    message: str
    data: Any

    @classmethod
    def parse(cls, reply: Reply) -> Envelope:
        try:
            value = reply.json()
        except (ValueError, RecursionError):
            value = None
        given: Mapping[str, Any] = value if isinstance(value, dict) else {}
        return cls(lenient.text(given.get("code")), lenient.message(given.get("message")), given.get("data"))

    @property
    def says_no(self) -> bool:
        """Whether the gateway itself says that something is wrong."""
        return self.code not in ("", SUCCESS)


def failure_of(reply: Reply, *, trusted: bool, acts: bool) -> Failure | None:
    """The error for a reply that is no success.

    `trusted`: the account's signature was accepted a short time ago. `acts`: the call starts something. Then a page
    that does not come from the gateway proves nothing: the call may have had its effect.
    """
    envelope = Envelope.parse(reply)
    if reply.status == 200 and envelope.code == SUCCESS:
        return None
    hint = retry_after(reply.headers.get("Retry-After"))
    meaning = _meaning(reply.status, envelope, trusted, hinted=hint is not None)
    if acts and not envelope.says_no and reply.status != 429:
        meaning = Meaning.UNCLEAR
    return Failure(
        meaning,
        f"{_BEGINNINGS[meaning]} (HTTP {reply.status}): {envelope.message or 'no reason given'}",
        code=envelope.code or str(reply.status),
        request_id=reply.headers.get("X-WS-RequestId") or reply.headers.get("x-cnc-request-id"),
        retry_after=hint,
    )


def _meaning(status: int, envelope: Envelope, trusted: bool, hinted: bool) -> Meaning:
    said = next((meaning for meaning, words in WORDS if words.search(envelope.message)), None)
    if FORBIDDEN in (envelope.code, str(status)):
        return said or _forbidden(envelope.message, trusted or hinted)
    if status == 401:
        return Meaning.AUTH
    by_code = next((meaning for meaning, code in CODES if code.fullmatch(envelope.code)), None)
    return settle(
        by_code or said or (Meaning.THROTTLED if hinted and status < 500 else None), status, own=envelope.says_no
    )


def _forbidden(words: str, trusted: bool) -> Meaning:
    """Too many calls, or wrong credentials? The words decide, then whether the account has just worked."""
    if _SOUNDS_LIKE_AUTH.search(words):
        return Meaning.AUTH
    return Meaning.THROTTLED if trusted or _SOUNDS_THROTTLED.search(words) else Meaning.AUTH
