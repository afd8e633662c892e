"""The meaning of LinkVisual's refusals.

It refuses with HTTP 200 and `Success: false`, or with an HTTP error of the gateway. Codes are group numbers ("403") or
names (iot.vision.DeviceOffline), so the message is matched too; it comes with and without a final dot, in upper or
lower case. For a code that this table lacks, the table of all Alibaba products is used (`alibaba/failures.py`).

Page: LinkVisual "Error codes".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clipferry.vendors import lenient
from clipferry.vendors.alibaba.failures import meaning_of, said
from clipferry.vendors.call_results import SAYS_REPEATED, Failure, Meaning
from clipferry.vendors.contract import VendorError, VendorUnavailable

NOT_FOUND = "VENDOR_TASK_NOT_FOUND"
OFFLINE = "DEVICE_OFFLINE"
#: The gateway's words for an operation that this account, region or version does not offer.
UNSUPPORTED = frozenset({"InvalidAction.NotFound", "InvalidAction", "UnsupportedOperation", "NoSuchVersion"})


_NEVER = re.compile(r"(?!)")


@dataclass(frozen=True)
class Row:
    """A row matches a refusal when its code matches, or when all `words` match and `unless` does not.

    Codes and words are matched in lower case, words without their dots.
    """

    meaning: Meaning
    code: re.Pattern[str] = _NEVER
    words: Sequence[re.Pattern[str]] = ()
    unless: re.Pattern[str] = _NEVER
    kind: str = "VENDOR_REFUSED"

    def means(self, code: str, words: str) -> bool:
        if self.code.search(code):
            return True
        said = bool(self.words) and all(pattern.search(words) for pattern in self.words)
        return said and not self.unless.search(words)


_UNSUPPORTED = re.compile("^(" + "|".join(re.escape(code.lower()) for code in sorted(UNSUPPORTED)) + ")$")
_NO_RECORD = re.compile(r"(recordnotexist|invalidparameter\.(recordid|filename))$")
_RECORD = re.compile(r"\b(record ?id|file ?name)\b")
_ELSE = re.compile("device|product|instance|tenant")
_OFFLINE = re.compile("device status error|device( is)? offline")

#: The first row that matches counts.
MEANINGS = (
    Row(Meaning.REFUSED, _UNSUPPORTED),
    Row(Meaning.THROTTLED, re.compile("^429$")),
    Row(Meaning.UNCLEAR, re.compile(r"^5\d\d$"), [re.compile("temporary failure")]),
    Row(Meaning.AUTH, words=[re.compile("ram system auth error")]),
    Row(Meaning.REFUSED, re.compile("deviceoffline"), [_OFFLINE], kind=OFFLINE),
    Row(Meaning.REFUSED, _NO_RECORD, kind=NOT_FOUND),
    Row(Meaning.REFUSED, words=[_RECORD, re.compile("not valid|invalid")], kind=NOT_FOUND),
    Row(Meaning.REFUSED, words=[re.compile("not (exist|found)")], unless=_ELSE, kind=NOT_FOUND),
    Row(Meaning.REPEATED, words=[SAYS_REPEATED]),
    Row(Meaning.BUSY, words=[re.compile(r"\bbusy\b")]),
)


def data_of(action: str, body: Mapping[str, Any]) -> Any:
    """`Data` of a successful reply. Raises the contract's errors for any other reply.

    `Code` is "200" (or 200) when all is well.
    """
    success = body.get("Success")
    code = lenient.message(body.get("Code"))
    if success is True or lenient.text(success).lower() == "true" or (success is None and code == "200"):
        return body.get("Data")
    request_id = lenient.message(body.get("RequestId")) or None
    if not code and not body.get("ErrorMessage"):
        raise VendorUnavailable(f"{action}: the reply says neither success nor failure", request_id=request_id)
    raise refusal(action, code, said(body.get("ErrorMessage")), request_id)


def refusal(action: str, code: str, words: str, request_id: str | None) -> VendorError:
    """The error for a refusal."""
    row = _row(code, words)
    shown = f"{action}: {words or code}"
    if row.kind == OFFLINE:
        shown = f"{action}: the camera is not connected ({words or code})"
    return Failure(row.meaning, shown, code=code or None, request_id=request_id, kind=row.kind).error()


def _row(code: str, words: str) -> Row:
    plain = words.lower().replace(".", "")
    own = next((row for row in MEANINGS if row.means(code.lower(), plain)), None)
    return own or Row(meaning_of(code) or Meaning.REFUSED)
