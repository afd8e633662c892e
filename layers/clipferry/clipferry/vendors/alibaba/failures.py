"""The table of error codes of Alibaba's gateway and of its products.

Codes have several spellings (`ServiceUnavailable`, `ServiceUnAvailable`) and may go on after a dot (`Throttling.User`).
So the table holds patterns of lower-case text; the first that matches counts. For a code without a match the HTTP
status decides (`call_results.settle`).

Pages: "Common errors" of the RPC gateway; the error codes of LinkVisual, ICE, VOD, ECS and CDN.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clipferry.outbound.client import Reply
from clipferry.outbound.retry_after import retry_after
from clipferry.pacing.poll_plan import RETRY_AFTER_MAX
from clipferry.vendors import lenient
from clipferry.vendors.call_results import Failure, Meaning, settle

SUCCESS = frozenset({"", "200", "ok", "success"})  # values of `Code` in a body that is not a failure

MEANINGS: tuple[tuple[Meaning, re.Pattern[str]], ...] = (
    (Meaning.CLOCK, re.compile(r"^(invalid|illegal)timestamp|requesttimeerror")),
    (Meaning.REFUSED, re.compile(r"^(invalid|missing|illegal)par")),  # InvalidParameter.DuplicateTag: no repetition
    (Meaning.REPEATED, re.compile(r"nonceused|duplicate|repeat|replay|idempoten|alreadyexist|lasttokenprocessing")),
    (Meaning.AUTH, re.compile(r"^(invalid|inactive)accesskey|^signaturedoesnotmatch|^incompletesignature")),
    (Meaning.AUTH, re.compile(r"^(invalid|missing)?securitytoken|^nopermission|^unauthorized")),
    (Meaning.AUTH, re.compile(r"^forbidden($|\.ram|\.accesskey)")),
    (Meaning.THROTTLED, re.compile(r"throttl|(flow|traffic)-?control|toomany|frequent|concurrencyexceedlimit")),
    (Meaning.THROTTLED, re.compile(r"(qps|rate|frequency|request)-?limit")),
    (Meaning.BUSY, re.compile(r"busy|tryagain|retrylater")),
    (
        Meaning.UNCLEAR,
        re.compile(r"internal|unavailable|unknownerror|^(server|system|service)\.?(error|fail)|time-?d?out"),
    ),
)


def meaning_of(code: str) -> Meaning | None:
    """The meaning of a code; None when the table does not have it."""
    plain = code.lower().replace("_", "")
    return next((meaning for meaning, pattern in MEANINGS if pattern.search(plain)), None)


def failure_of(action: str, reply: Reply) -> Failure | None:
    """The failure in a reply; None for an HTTP 200 with a JSON object: each product checks that itself."""
    body = json_object(reply)
    if reply.status == 200 and body is not None:
        return None
    body = body or {}
    code = lenient.message(body.get("Code"))
    millis = lenient.integer(reply.headers.get("x-acs-retry-after"))
    known = meaning_of(code) or (Meaning.THROTTLED if millis else None)
    meaning = settle(known, reply.status, own=bool(code))
    return Failure(
        meaning,
        f"{action}: {_shown(meaning, reply.status, code, said(body.get('Message') or body.get('ErrorMessage')))}",
        code=code or None,
        request_id=lenient.message(body.get("RequestId") or reply.headers.get("x-acs-request-id")) or None,
        retry_after=min(millis / 1000, RETRY_AFTER_MAX) if millis else retry_after(reply.headers.get("Retry-After")),
    )


def _shown(meaning: Meaning, status: int, code: str, words: str) -> str:
    if not code:
        return f"HTTP {status}, no reply of the vendor's"
    final = meaning in (Meaning.REFUSED, Meaning.AUTH)
    return words or code if final else f"HTTP {status}, {code}: {words}"


def failure_in(action: str, body: Mapping[str, Any]) -> Failure | None:
    """The failure in the body of an HTTP 200, for products whose bodies have no `Success` field; None: no failure."""
    code = lenient.message(body.get("Code"))
    if code.lower() in SUCCESS:
        return None
    words = said(body.get("Message") or body.get("ErrorMessage"))
    request_id = lenient.message(body.get("RequestId")) or None
    return Failure(settle(meaning_of(code), 200), f"{action}: {words or code}", code=code, request_id=request_id)


def said(message: Any) -> str:
    """The vendor's message without the string to sign (it holds the parameters) and without queries of URLs."""
    return lenient.message(lenient.text(message).partition("server string to sign")[0])


def json_object(reply: Reply) -> dict[str, Any] | None:
    """The JSON object in the reply's body; None when the body is something else."""
    try:
        value = reply.json()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
