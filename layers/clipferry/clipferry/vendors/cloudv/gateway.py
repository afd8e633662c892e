"""Signed calls of the Wangsu / CDNetworks gateway.

This module knows how a request is signed: WS3-HMAC-SHA256 on the Cloud VoD host, CNC-HMAC-SHA256 on the open-API
gateways. It must not know what an operation means.

Sources: CDNetworks "Authentication V3" and "Signature Calculation" (Cloud VoD), "AK/SK Authentication" (open API).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit
from weakref import WeakKeyDictionary

from clipferry.outbound.client import Reply
from clipferry.vendors.call_results import Failure, Meaning, exchange, signed_call
from clipferry.vendors.clock import clock_of
from clipferry.vendors.cloudv.failures import Envelope, failure_of
from clipferry.vendors.contract import Account, ApiOutbound, VendorRefused

CLOUDV_URL = "https://api.cloudv.haplat.net"
OPEN_API_URL = "https://open.chinanetcenter.com"
OPEN_API_HOSTS = ("open.chinanetcenter.com", "api.cdnetworks.com")
SIGNED_HEADERS = "content-type;host"
ACCEPTED_FOR = (
    600.0  # seconds for which an accepted signature shows that the account is right: two windows of its rate limit
)
CLOCK_TOLERANCE = 300.0  # seconds; "within 5 minutes"
CLOCK_MARGIN = 120.0  # seconds; a smaller difference is not the reason of a refusal

Parameters = Mapping[str, str | int]


@dataclass(frozen=True)
class Scheme:
    """One version of the signature: the same algorithm under other names."""

    label: str
    access_key_header: str
    timestamp_header: str
    extra_headers: Mapping[str, str] = field(default_factory=dict)
    json_body: bool = False

    def encode(self, parameters: Parameters) -> tuple[str, bytes]:
        """Content type and body: each gateway gets the form that its own documentation shows."""
        if self.json_body:
            return "application/json", json.dumps(parameters, separators=(",", ":")).encode()
        return "application/x-www-form-urlencoded; charset=utf-8", urlencode(parameters).encode()


WS3 = Scheme("WS3-HMAC-SHA256", "X-WS-AccessKey", "X-WS-Timestamp")
CNC = Scheme("CNC-HMAC-SHA256", "x-cnc-accessKey", "x-cnc-timestamp", {"x-cnc-auth-method": "AKSK"}, json_body=True)
SCHEMES = {"ws3": WS3, "cnc": CNC}


def canonical_request(method: str, path: str, query: str, content_type: str, host: str, body: bytes) -> str:
    """The text that is signed. It has the decoded query only for GET; header values are lower-cased and trimmed."""
    return "\n".join(
        (
            method,
            path,
            "" if method == "POST" else unquote(query),
            f"content-type:{content_type.strip().lower()}",
            f"host:{host.strip().lower()}",
            "",
            SIGNED_HEADERS,
            hashlib.sha256(body).hexdigest(),
        )
    )


def sign(scheme: Scheme, secret_key: str, timestamp: int, canonical: str) -> str:
    """The signature, 64 lower-case hex digits. `timestamp` is in epoch seconds."""
    string_to_sign = f"{scheme.label}\n{timestamp}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return hmac.new(secret_key.encode(), string_to_sign.encode(), hashlib.sha256).hexdigest()


def signed_headers(
    scheme: Scheme,
    access_key: str,
    secret_key: str,
    method: str,
    url: str,
    content_type: str,
    body: bytes,
    timestamp: int,
) -> dict[str, str]:
    """The headers of one signed request, valid for five minutes before and after `timestamp` (epoch seconds).

    `Host` is among them, with the URL's port if there is one, because it is signed.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    canonical = canonical_request(method, parts.path or "/", parts.query, content_type, host, body)
    return {
        "Host": host,
        "Content-Type": content_type,
        "Accept": "application/json",
        scheme.access_key_header: access_key,
        scheme.timestamp_header: str(timestamp),
        **scheme.extra_headers,
        "Authorization": f"{scheme.label} Credential={access_key}, SignedHeaders={SIGNED_HEADERS}, "
        f"Signature={sign(scheme, secret_key, timestamp, canonical)}",
    }


def scheme_of(account: Account) -> Scheme:
    """The account's key `auth` ("ws3" or "cnc") decides, else the host of its endpoint.

    Raises VendorRefused when `auth` is neither.
    """
    chosen = account.secret.get("auth")
    if chosen:
        scheme = SCHEMES.get(chosen.strip().lower())
        if scheme is None:
            raise VendorRefused('the account\'s key "auth" must be "ws3" or "cnc"', kind="ACCOUNT_MALFORMED")
        return scheme
    host = host_of(account.endpoint or CLOUDV_URL) or ""
    return CNC if any(host == name or host.endswith("." + name) for name in OPEN_API_HOSTS) else WS3


def host_of(url: str) -> str | None:
    """The host name of an http(s) URL, lower-case and without a port; None when it is not such a URL."""
    try:
        parts = urlsplit(url)
        return parts.hostname if parts.scheme in ("http", "https") else None
    except ValueError:
        return None


class Gateway:
    """The API for one account. `hosts`: the vendor's; the endpoint of the account is allowed, too."""

    def __init__(self, account: Account, outbound: ApiOutbound, hosts: Sequence[str]) -> None:
        endpoint = host_of(account.endpoint or "")
        self._account, self._outbound = account, outbound
        self._hosts = (*hosts, endpoint) if endpoint else tuple(hosts)

    def call(self, path: str, parameters: Parameters, *, acts: bool = False) -> Any:
        """The `data` of a reply whose `code` is 200; raises the contract's errors for everything else.

        `acts`: the operation starts something.
        """
        scheme = scheme_of(self._account)
        base = (self._account.endpoint or (OPEN_API_URL if scheme is CNC else CLOUDV_URL)).rstrip("/")
        clock = clock_of(self._outbound, base, CLOCK_TOLERANCE)
        trust = _Trust.of(self._outbound, base, self._account)

        def read(reply: Reply) -> Failure | None:
            failure = failure_of(reply, trusted=trust.fresh, acts=acts)
            if failure and failure.meaning is Meaning.AUTH and clock.off(reply) > CLOCK_MARGIN:
                return replace(failure, meaning=Meaning.CLOCK)
            return failure

        reply = signed_call(
            lambda: self._send(scheme, base + path, parameters, int(clock.now())), read, clock, acts=acts
        )
        trust.confirm()
        return Envelope.parse(reply).data

    def _send(self, scheme: Scheme, url: str, parameters: Parameters, timestamp: int) -> Reply:
        content_type, body = scheme.encode(parameters)
        access_key, secret_key = self._account.secret["access_key"], self._account.secret["secret_key"]
        headers = signed_headers(scheme, access_key, secret_key, "POST", url, content_type, body, timestamp)
        operation = url.rpartition("/")[2]
        return exchange(self._outbound, "POST", url, hosts=self._hosts, operation=operation, data=body, headers=headers)


@dataclass
class _Trust:
    """When an account's signature was last accepted, by the monotonic clock. It is kept while the process runs."""

    accepted_at: float | None = None

    @classmethod
    def of(cls, outbound: ApiOutbound, base: str, account: Account) -> _Trust:
        identity = "\0".join((base, account.secret["access_key"], account.secret["secret_key"]))
        known = _trusts.setdefault(outbound.origin, {})
        return known.setdefault(hashlib.sha256(identity.encode()).digest(), cls())

    def confirm(self) -> None:
        self.accepted_at = time.monotonic()

    @property
    def fresh(self) -> bool:
        return self.accepted_at is not None and time.monotonic() - self.accepted_at < ACCEPTED_FOR


_trusts: WeakKeyDictionary[object, dict[bytes, _Trust]] = WeakKeyDictionary()
