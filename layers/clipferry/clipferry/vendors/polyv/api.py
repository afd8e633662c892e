"""Polyv's application gateway: signed calls, one envelope, one set of errors.

Knows how a request is signed and what a reply's codes stand for; must not know what any operation means.

Pages: "MD5签名生成规则", "全局错误说明" of Polyv's VOD API.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

from clipferry.outbound.client import AddressRefused, NotSent, OutboundError, Reply
from clipferry.outbound.retry_after import retry_after
from clipferry.vendors import lenient
from clipferry.vendors.contract import (
    Account,
    ApiOutbound,
    VendorAuthFailed,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)

PUBLIC_ENDPOINT = "https://api.polyv.net"
API_HOSTS = ("api.polyv.net",)
BLOCKED_FOR = 300.0  # seconds an address stays blocked after more than 1500 calls in 10 seconds

CLOCK_ERROR = 100
AUTH_ERRORS = frozenset({101, 102, 103, 104, 105})

_TOO_OFTEN = re.compile(r"too (many|often)|frequen|rate limit|频繁|频率", re.IGNORECASE)

#: When (monotonic) Polyv last shut out the address behind a way out; whatever account was calling.
_blocked: WeakKeyDictionary[Any, float] = WeakKeyDictionary()


def sign(params: Mapping[str, str], secret: str) -> str:
    """Upper-case MD5 of secret + each key and value, by key in ASCII order + secret; empty values are left out."""
    plain = "".join(key + value for key, value in sorted(params.items()) if key != "sign" and value)
    return hashlib.md5(f"{secret}{plain}{secret}".encode()).hexdigest().upper()  # noqa: S324 (the vendor's choice)


@dataclass(frozen=True)
class Envelope:
    """Polyv's reply: `{requestId, code, status, error: {code, desc} | null, data}`; HTTP's status says nothing."""

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


class PolyvApi:
    """Polyv's API for one account."""

    def __init__(self, account: Account, outbound: ApiOutbound) -> None:
        self._outbound, self._file_headers = outbound, account.download_headers
        self._app_id, self._app_secret = (account.secret.get(key, "").strip() for key in ("app_id", "app_secret"))
        self._endpoint = (account.endpoint or PUBLIC_ENDPOINT).rstrip("/")
        self._hosts = (*API_HOSTS, lenient.hostname(self._endpoint))
        self._ahead = 0.0  # seconds by which Polyv's clock is ahead of ours, as far as it has told us

    def now(self) -> datetime:
        """Polyv's time, as far as it has told us."""
        return datetime.now(UTC) + timedelta(seconds=self._ahead)

    def denies(self, url: str, hosts: Sequence[str]) -> bool:
        """Whether a file server says no to a download; VendorUnavailable when it says nothing."""
        headers = {**self._file_headers, "Range": "bytes=0-0"}
        try:
            with self._outbound.stream(url, hosts=(*hosts, *self._hosts), headers=headers) as answer:
                return answer.status in (401, 403, 404, 410)
        except AddressRefused:
            return False  # the copy will be refused as well, and say why
        except OutboundError as error:
            raise VendorUnavailable(str(error)) from error

    def call(self, method: str, path: str, params: Mapping[str, str]) -> Any:
        """One operation's `data`. A refused timestamp is corrected by the reply's Date and sent once more."""
        reply, envelope = self._send(method, path, params)
        if envelope and envelope.error_code == CLOCK_ERROR:
            told = lenient.http_date(reply.headers.get("Date"))
            self._ahead = told.timestamp() - time.time() if told else 0.0
            reply, envelope = self._send(method, path, params)
        return self._judge(reply, envelope)

    def _send(self, method: str, path: str, params: Mapping[str, str]) -> tuple[Reply, Envelope | None]:
        """One attempt, with its own timestamp and signature."""
        signed = {
            **params,
            "appId": self._app_id,
            "timestamp": str(int((time.time() + self._ahead) * 1000)),
        }
        signed["sign"] = sign(signed, self._app_secret)
        url, operation = self._endpoint + path, path.rpartition("/")[2]
        try:
            if method == "GET":
                reply = self._outbound.call("GET", url, hosts=self._hosts, params=signed, operation=operation)
            else:
                form = {"Content-Type": "application/x-www-form-urlencoded"}
                reply = self._outbound.call(
                    "POST", url, hosts=self._hosts, data=urlencode(signed), headers=form, operation=operation
                )
        except NotSent as error:
            if time.monotonic() - _blocked.get(self._outbound.origin, -BLOCKED_FOR) < BLOCKED_FOR:
                raise VendorThrottled(f"Polyv blocks this address: {error}", retry_after=BLOCKED_FOR) from error
            raise VendorUnavailable(str(error), reached=False) from error
        except AddressRefused as error:
            raise VendorRefused(str(error), kind="ADDRESS_REFUSED") from error
        except OutboundError as error:
            raise VendorUnavailable(str(error)) from error
        return reply, Envelope.parse(reply)

    def _judge(self, reply: Reply, envelope: Envelope | None) -> Any:
        """The envelope's data, or the error that its codes stand for."""
        if _says_blocked(reply, envelope):
            _blocked[self._outbound.origin] = time.monotonic()
            hint = retry_after(reply.headers.get("Retry-After"))
            raise VendorThrottled("Polyv blocks this address after too many calls.", retry_after=hint or BLOCKED_FOR)
        if envelope is None:
            raise VendorUnavailable(f"Polyv answered HTTP {reply.status} with something that is not its JSON.")
        if envelope.code == 200:
            return envelope.data
        said = f"{envelope.description or 'no reason given'} (error {envelope.error_code or envelope.code})"
        code, request_id = str(envelope.error_code or envelope.code), envelope.request_id
        if envelope.error_code in AUTH_ERRORS or envelope.code == 401:
            raise VendorAuthFailed(f"Polyv does not accept the account: {said}", code=code, request_id=request_id)
        if envelope.error_code == CLOCK_ERROR:  # nothing was done, and a clock can come right
            message = f"Polyv does not accept the time of this machine: {said}"
            raise VendorUnavailable(message, reached=False, code=code, request_id=request_id)
        if 400 <= envelope.code < 500:
            raise VendorRefused(f"Polyv refused: {said}", code=code, request_id=request_id)
        raise VendorUnavailable(f"Polyv failed: {said}", code=code, request_id=request_id)


def _says_blocked(reply: Reply, envelope: Envelope | None) -> bool:
    """What Polyv says while an address is blocked is not documented; most likely its application never hears of it."""
    if reply.status == 429 or envelope is None:
        return reply.status in (403, 429)
    documented = envelope.error_code == CLOCK_ERROR or envelope.error_code in AUTH_ERRORS
    return envelope.code == 429 or (
        envelope.code == 403 and not documented and bool(_TOO_OFTEN.search(envelope.description))
    )
