"""Signed calls of Polyv's application gateway. This module must not know what an operation means.

Page: "MD5签名生成规则" of Polyv's VOD API.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

from clipferry.outbound.client import AddressRefused, OutboundError, Reply
from clipferry.vendors import lenient
from clipferry.vendors.call_results import Failure, Meaning, exchange, signed_call
from clipferry.vendors.clock import clock_of
from clipferry.vendors.contract import Account, ApiOutbound, VendorThrottled, VendorUnavailable
from clipferry.vendors.polyv.failures import BLOCKED_FOR, Envelope, failure_of

PUBLIC_ENDPOINT = "https://api.polyv.net"
API_HOSTS = ("api.polyv.net",)
CLOCK_TOLERANCE = 180.0  # seconds; Polyv accepts a timestamp for 3 minutes

#: When Polyv last blocked the address of an outbound client, for any account, by the monotonic clock.
_blocked: WeakKeyDictionary[Any, float] = WeakKeyDictionary()


def sign(params: Mapping[str, str], secret: str) -> str:
    """Upper-case MD5 of secret + each key and value, by key in ASCII order + secret; empty values are left out."""
    plain = "".join(key + value for key, value in sorted(params.items()) if key != "sign" and value)
    return hashlib.md5(f"{secret}{plain}{secret}".encode()).hexdigest().upper()  # noqa: S324 (the vendor's choice)


class PolyvApi:
    """Polyv's API for one account."""

    def __init__(self, account: Account, outbound: ApiOutbound) -> None:
        self._outbound, self._file_headers = outbound, account.download_headers
        self._app_id, self._app_secret = (account.secret.get(key, "").strip() for key in ("app_id", "app_secret"))
        self._endpoint = (account.endpoint or PUBLIC_ENDPOINT).rstrip("/")
        self._hosts = (*API_HOSTS, lenient.hostname(self._endpoint))
        self._clock = clock_of(outbound, self._endpoint, CLOCK_TOLERANCE)

    def now(self) -> datetime:
        """Polyv's time, by the clock difference that its replies have shown."""
        return datetime.fromtimestamp(self._clock.now(), UTC)

    def denies(self, url: str, hosts: Sequence[str]) -> bool:
        """Whether a file server refuses a download. Raises VendorUnavailable when it gives no answer."""
        headers = {**self._file_headers, "Range": "bytes=0-0"}
        try:
            with self._outbound.stream(url, hosts=(*hosts, *self._hosts), headers=headers) as answer:
                return answer.status in (401, 403, 404, 410)
        except AddressRefused:
            return False  # the copy will be refused as well, and say why
        except OutboundError as error:
            raise VendorUnavailable(str(error)) from error

    def call(self, method: str, path: str, params: Mapping[str, str], *, acts: bool = False) -> Any:
        """One operation's `data`. `acts`: the operation starts something."""
        reply = signed_call(lambda: self._send(method, path, params), self._read, self._clock, acts=acts)
        envelope = Envelope.parse(reply)
        return envelope.data if envelope else None

    def _read(self, reply: Reply) -> Failure | None:
        failure = failure_of(reply)
        if failure and failure.meaning is Meaning.THROTTLED:
            _blocked[self._outbound.origin] = time.monotonic()
        return failure

    def _send(self, method: str, path: str, params: Mapping[str, str]) -> Reply:
        """One attempt, with its own timestamp and signature."""
        signed = {**params, "appId": self._app_id, "timestamp": str(int(self._clock.now() * 1000))}
        signed["sign"] = sign(signed, self._app_secret)
        options: dict[str, Any] = {"params": signed}
        if method == "POST":
            options = {"data": urlencode(signed), "headers": {"Content-Type": "application/x-www-form-urlencoded"}}
        url, operation = self._endpoint + path, path.rpartition("/")[2]
        try:
            return exchange(self._outbound, method, url, hosts=self._hosts, operation=operation, **options)
        except VendorUnavailable as error:
            if not error.reached and self._blocked_lately:
                message = f"Polyv blocks this address: {error.message}"
                raise VendorThrottled(message, retry_after=BLOCKED_FOR) from error
            raise

    @property
    def _blocked_lately(self) -> bool:
        return time.monotonic() - _blocked.get(self._outbound.origin, -BLOCKED_FOR) < BLOCKED_FOR
