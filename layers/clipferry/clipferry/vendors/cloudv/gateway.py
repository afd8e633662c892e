"""The Wangsu / CDNetworks gateway: signed calls, one envelope, one set of errors.

It knows how a request is signed (WS3-HMAC-SHA256 on the Cloud VoD host, CNC-HMAC-SHA256 on the open-API gateways)
and how a reply says yes or no. It must not know what any operation means.

Sources: CDNetworks "Authentication V3" and "Signature Calculation" (Cloud VoD), "AK/SK Authentication" (open API).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from clipferry.outbound.client import AddressRefused, NotSent, OutboundError, Reply
from clipferry.outbound.retry_after import retry_after
from clipferry.vendors import lenient
from clipferry.vendors.call_results import SAYS_REPEATED
from clipferry.vendors.contract import (
    Account,
    ApiOutbound,
    VendorAuthFailed,
    VendorError,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)

CLOUDV_URL = "https://api.cloudv.haplat.net"
OPEN_API_URL = "https://open.chinanetcenter.com"
OPEN_API_HOSTS = ("open.chinanetcenter.com", "api.cdnetworks.com")
SIGNED_HEADERS = "content-type;host"
ACCEPTED_FOR = 600.0  # seconds an accepted signature speaks for the account: two windows of its rate limit
CLOCK_TOLERANCE = 120  # seconds; the gateway accepts five minutes, so a smaller difference is not why it refused

Parameters = Mapping[str, str | int]


@dataclass(frozen=True)
class Scheme:
    """One generation of the signature: the same algorithm under other names."""

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
    """What is signed of a request. The query counts for GET alone, decoded; header values lower-cased and trimmed."""
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
    """The headers that make one attempt of a request acceptable for five minutes around `timestamp` (epoch seconds).

    `Host` is among them, with the URL's port when it has one, for it is part of what is signed.
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
    """One account's way to the API. `hosts` are the vendor's; the account's own endpoint is allowed besides."""

    def __init__(self, account: Account, outbound: ApiOutbound, hosts: Sequence[str]) -> None:
        endpoint = host_of(account.endpoint or "")
        self._account, self._outbound = account, outbound
        self._hosts = (*hosts, endpoint) if endpoint else tuple(hosts)

    def call(self, path: str, parameters: Parameters) -> Any:
        """The `data` of a reply whose `code` is 200; raises the contract's errors for everything else.

        A refusal from a vendor whose clock differs from ours is asked once more, signed by the vendor's clock: a
        refused call had no effect.
        """
        scheme = scheme_of(self._account)
        base = (self._account.endpoint or (OPEN_API_URL if scheme is CNC else CLOUDV_URL)).rstrip("/")
        memory = _memory_of(base, self._account)
        signed_at = memory.now()
        reply = self._send(scheme, base + path, parameters, signed_at)
        if _refused(reply) and memory.learn_clock(reply, signed_at):
            reply = self._send(scheme, base + path, parameters, memory.now())
        return _data_of(reply, memory)

    def _send(self, scheme: Scheme, url: str, parameters: Parameters, timestamp: int) -> Reply:
        content_type, body = scheme.encode(parameters)
        access_key, secret_key = self._account.secret["access_key"], self._account.secret["secret_key"]
        headers = signed_headers(scheme, access_key, secret_key, "POST", url, content_type, body, timestamp)
        try:
            return self._outbound.call(
                "POST", url, hosts=self._hosts, data=body, headers=headers, operation=url.rpartition("/")[2]
            )
        except AddressRefused as error:
            raise VendorRefused(str(error), kind="ADDRESS_REFUSED") from error
        except OutboundError as error:
            raise VendorUnavailable(str(error), reached=not isinstance(error, NotSent)) from error


class _Memory:
    """What this process has learned of one account at one gateway; it saves calls and is never needed."""

    def __init__(self) -> None:
        self._offset = 0.0  # seconds the vendor's clock is ahead of ours
        self._accepted_at: float | None = None  # monotonic; when the vendor last took a signature

    def now(self) -> int:
        """The vendor's time in epoch seconds."""
        return int(time.time() + self._offset)

    def learn_clock(self, reply: Reply, signed_at: int) -> bool:
        """Whether the vendor's `Date` is too far from the time signed for the signature to have been accepted."""
        told = lenient.http_date(reply.headers.get("Date"))
        if told is None or abs(told.timestamp() - signed_at) <= CLOCK_TOLERANCE:
            return False
        self._offset = told.timestamp() - time.time()
        return True

    def accept(self) -> None:
        self._accepted_at = time.monotonic()

    @property
    def accepted_lately(self) -> bool:
        return self._accepted_at is not None and time.monotonic() - self._accepted_at < ACCEPTED_FOR


_memories: dict[bytes, _Memory] = {}


def _memory_of(base: str, account: Account) -> _Memory:
    identity = "\0".join((base, account.secret["access_key"], account.secret["secret_key"]))
    return _memories.setdefault(hashlib.sha256(identity.encode()).digest(), _Memory())


def _refused(reply: Reply) -> bool:
    """Whether the vendor understood the call and said no, so that it had no effect (`vendors/call_results.py`).

    Not so when it says that the call had come before: an earlier copy of it may have had its effect.
    """
    envelope = _envelope(reply)
    if SAYS_REPEATED.search(_message(envelope)):
        return False
    if reply.status in (401, 403):
        return True
    code = _code(envelope)
    return reply.status < 500 and code is not None and code != "200"


def _data_of(reply: Reply, memory: _Memory) -> Any:
    envelope = _envelope(reply)
    code = _code(envelope)
    if reply.status == 200 and envelope is not None and code == "200":
        memory.accept()
        return envelope.get("data")
    raise _error(reply, code, _message(envelope), memory)


def _error(reply: Reply, code: str | None, message: str, memory: _Memory) -> VendorError:
    """The error that a reply is. The vendor publishes no full table of codes, so that a 403 without one of its own
    (too many calls, or a bad signature?) is told apart by its words, and by whether the account just worked."""
    signals = {code, str(reply.status)}
    shown = code or str(reply.status)
    request_id = reply.headers.get("X-WS-RequestId") or reply.headers.get("x-cnc-request-id")
    wait = retry_after(reply.headers.get("Retry-After"))
    if "429" in signals or _SAYS_THROTTLED.search(message) or (wait is not None and reply.status < 500):
        return VendorThrottled(
            f"too many calls for this account: {message}", retry_after=wait, code=shown, request_id=request_id
        )
    if reply.status >= 500 or reply.status in (408, 425) or (code and _SERVER_ERROR.fullmatch(code)):
        return VendorUnavailable(
            f"the vendor failed (HTTP {reply.status}): {message}",
            retry_after=wait,
            code=shown,
            request_id=request_id,
        )
    forbidden = "403" in signals
    if (
        forbidden
        and not _SOUNDS_LIKE_AUTH.search(message)
        and (memory.accepted_lately or _SOUNDS_THROTTLED.search(message))
    ):
        return VendorThrottled(f"forbidden, as after too many calls: {message}", code=shown, request_id=request_id)
    if forbidden or "401" in signals or (code and _PERMISSION.fullmatch(code)):
        return VendorAuthFailed(message, code=shown, request_id=request_id)
    if code is None or code == "200":
        return VendorUnavailable(
            f"HTTP {reply.status} with a body that is not the vendor's", code=shown, request_id=request_id
        )
    return VendorRefused(f"the vendor refused: {message}", code=shown, request_id=request_id)


_SAYS_THROTTLED = re.compile(r"rate.?limit|throttl|too many (requests|calls)|too frequent|频繁|限流|流控", re.I)
_SOUNDS_THROTTLED = re.compile(r"too many|limit|exceed|frequen|busy|超过|上限", re.I)
_SOUNDS_LIKE_AUTH = re.compile(r"signature|access.?key|auth|permission|timestamp|expired|签名|鉴权|认证|权限", re.I)
_SERVER_ERROR = re.compile(r"5\d\d")
_PERMISSION = re.compile(r"13\d\d")  # 1301: "user has no permission"


def _envelope(reply: Reply) -> Mapping[str, Any] | None:
    """The reply as `{code, message, data}`; None when its body is no JSON object."""
    try:
        value = reply.json()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _code(envelope: Mapping[str, Any] | None) -> str | None:
    """The envelope's `code` as text, for it arrives as a number or as a string; "200" is success."""
    return lenient.text((envelope or {}).get("code")) or None


def _message(envelope: Mapping[str, Any] | None) -> str:
    """The vendor's words. `lenient.message` takes out what they may quote: a signed URL of the user's."""
    return lenient.message((envelope or {}).get("message")) or "no reason given"
