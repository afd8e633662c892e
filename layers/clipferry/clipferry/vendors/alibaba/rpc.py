"""Alibaba Cloud's RPC protocol: signed calls of one account. Used by `linkvisual` and `ims`.

It does not know the products, so it returns a reply with HTTP 200 without a check.

Page: "Request syntax and signature method V3" of the SDK documentation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from clipferry.outbound.client import Reply
from clipferry.vendors import lenient
from clipferry.vendors.alibaba.failures import failure_of, json_object
from clipferry.vendors.alibaba.signature import Acs3Auth
from clipferry.vendors.call_results import exchange, signed_call
from clipferry.vendors.clock import clock_of
from clipferry.vendors.contract import Account, ApiOutbound

QUERY_MAX = 6_000  # characters; longer parameters are sent as a form, because gateways limit the request line
CLOCK_TOLERANCE = 900.0  # seconds; "within 15 minutes"

Parameters = Mapping[str, str | int | None]


class RpcClient:
    """Calls of one account to one product."""

    def __init__(self, account: Account, outbound: ApiOutbound, *, endpoint: str, hosts: Sequence[str]) -> None:
        """`endpoint`: the product's public base URL, unless the account has its own. `hosts`: its host suffixes."""
        self._outbound = outbound
        self._endpoint = (account.endpoint or endpoint).rstrip("/") + "/"
        own = lenient.hostname(self._endpoint) if account.endpoint else ""
        self._hosts = [*hosts, own] if own else list(hosts)
        self._clock = clock_of(outbound, self._endpoint, CLOCK_TOLERANCE)
        self._auth = Acs3Auth(
            account.secret.get("access_key_id", "").strip(),
            account.secret.get("access_key_secret", "").strip(),
            security_token=account.secret.get("security_token", "").strip() or None,
            now=lambda: datetime.fromtimestamp(self._clock.now(), UTC),
        )

    def call(self, action: str, version: str, params: Parameters, *, acts: bool = False) -> dict[str, Any]:
        """The reply of one operation with HTTP 200. Parameters that are None are left out.

        `acts`: the operation has an effect, so it is not sent again when its nonce was already used. The nonce is
        random and our own, so that answer means that an earlier copy of this call arrived. Raises the contract's
        errors.
        """
        reply = signed_call(
            lambda: self._send(action, version, params), lambda reply: failure_of(action, reply), self._clock, acts=acts
        )
        return json_object(reply) or {}

    def _send(self, action: str, version: str, params: Parameters) -> Reply:
        given = {name: _encodable(str(value)) for name, value in params.items() if value is not None}
        headers = {"Accept": "application/json", "x-acs-action": action, "x-acs-version": version}
        form = len(urlencode(given)) > QUERY_MAX
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        return exchange(
            self._outbound,
            "POST",
            self._endpoint,
            hosts=self._hosts,
            params=None if form else given,
            data=urlencode(given) if form else None,
            headers=headers,
            auth=self._auth,
            operation=action,
        )


def _encodable(value: str) -> str:
    """The text without single surrogates, because JSON can hold them but UTF-8 cannot."""
    return value.encode("utf-8", "replace").decode()
