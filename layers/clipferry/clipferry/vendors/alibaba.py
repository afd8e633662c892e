"""Alibaba Cloud's RPC protocol: signed calls and the gateway's errors. Used by `linkvisual` and `ims`.

Knows the signature (ACS3-HMAC-SHA256) and what the gateway in front of every product says; knows no product, so an
HTTP 200 reply is handed on unjudged.

Pages: "Request syntax and signature method V3" of the SDK documentation, "Common errors" of the RPC gateway.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase

from clipferry.outbound.client import AddressRefused, NoReply, NotSent, Reply
from clipferry.outbound.retry_after import retry_after
from clipferry.pacing.poll_plan import RETRY_AFTER_MAX
from clipferry.vendors import lenient
from clipferry.vendors.contract import (
    Account,
    ApiOutbound,
    VendorAuthFailed,
    VendorError,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)

ALGORITHM = "ACS3-HMAC-SHA256"
QUERY_MAX = 6_000  # characters; longer parameters travel as a form, since gateways bound the request line
ATTEMPTS = 3  # per call: one for a clock that was off, one for a nonce that was taken

CLOCK_ERRORS = ("invalidtimestamp", "illegaltimestamp")
NONCE_ERRORS = ("signaturenonceused",)
AUTH_ERRORS = (
    "invalidaccesskeyid",
    "inactiveaccesskeyid",
    "invalidaccesskeysecret",
    "signaturedoesnotmatch",
    "incompletesignature",
    "invalidsecuritytoken",
    "missingsecuritytoken",
    "securitytoken",
    "forbidden.ram",
    "forbidden.accesskey",
    "nopermission",
    "unauthorized",
)
THROTTLING = ("throttling",)  # at any HTTP status
UNAVAILABLE = ("internalerror", "serviceunavailable", "unknownerror")


def canonical_query(url: str) -> str:
    """The query of `url` as it is signed: sorted, RFC 3986 encoding. However it is written, what it means counts."""
    pairs = sorted(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)


class Acs3Auth(AuthBase):
    """Signs a prepared request with ACS3-HMAC-SHA256: new date and nonce each time it is called.

    Signed are host, content-type when there is one, and every `x-acs-` header.
    """

    def __init__(
        self,
        access_key_id: str,
        access_key_secret: str,
        *,
        security_token: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._key_id, self._secret, self._token = access_key_id, access_key_secret, security_token
        self._now, self._nonce = now, nonce

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        body = request.body or b""
        payload_hash = hashlib.sha256(body.encode() if isinstance(body, str) else body).hexdigest()
        url = request.url or ""
        request.headers["Host"] = _authority(url)
        request.headers["x-acs-date"] = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        request.headers["x-acs-signature-nonce"] = self._nonce()
        request.headers["x-acs-content-sha256"] = payload_hash
        if self._token:
            request.headers["x-acs-accesskey-id"] = self._key_id
            request.headers["x-acs-security-token"] = self._token
        headers = {name.lower(): str(value).strip() for name, value in request.headers.items()}
        signed = {n: v for n, v in headers.items() if n in ("host", "content-type") or n.startswith("x-acs-")}
        request.headers["Authorization"] = authorization(
            request.method or "POST", url, signed, payload_hash, self._key_id, self._secret
        )
        return request


def authorization(
    method: str, url: str, headers: Mapping[str, str], payload_hash: str, key_id: str, secret: str
) -> str:
    """The Authorization header that signs `headers` (lower-case names) and the query of `url`."""
    names = sorted(headers)
    canonical = "\n".join(
        [
            method,
            urlsplit(url).path or "/",
            canonical_query(url),
            "".join(f"{n}:{headers[n]}\n" for n in names),
            ";".join(names),
            payload_hash,
        ]
    )
    text = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"{ALGORITHM} Credential={key_id},SignedHeaders={';'.join(names)},Signature={signature}"


def _authority(url: str) -> str:
    """The Host header as it will be sent: with the port unless it is the scheme's own."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return host if parts.port in (None, default) else f"{host}:{parts.port}"


class RpcClient:
    """Calls of one account. Keeps what it learnt of the vendor's clock."""

    def __init__(self, account: Account, outbound: ApiOutbound, *, endpoint: str, hosts: Sequence[str]) -> None:
        """`endpoint` is the product's public base URL and `hosts` its host suffixes; the account's own comes first."""
        self._outbound = outbound
        self._endpoint = (account.endpoint or endpoint).rstrip("/") + "/"
        own = _hostname(self._endpoint) if account.endpoint else None
        self._hosts = [*hosts, own] if own else list(hosts)
        self._ahead = timedelta()  # of the vendor's clock, seen from ours
        self._auth = Acs3Auth(
            account.secret.get("access_key_id", "").strip(),
            account.secret.get("access_key_secret", "").strip(),
            security_token=account.secret.get("security_token", "").strip() or None,
            now=lambda: datetime.now(UTC) + self._ahead,
        )

    def call(self, action: str, version: str, params: Mapping[str, str | int | None]) -> dict[str, Any]:
        """One operation's reply as sent with HTTP 200; parameters that are None are left out.

        Raises the contract's errors. A reply that refuses the date or the nonce had no effect, so the call is signed
        anew and sent again.
        """
        for _ in range(ATTEMPTS - 1):
            reply = self._send(action, version, params)
            if not self._to_be_signed_anew(reply):
                break
        else:
            reply = self._send(action, version, params)
        return _judged(action, reply)

    def _send(self, action: str, version: str, params: Mapping[str, str | int | None]) -> Reply:
        given = {name: _encodable(str(value)) for name, value in params.items() if value is not None}
        headers = {"Accept": "application/json", "x-acs-action": action, "x-acs-version": version}
        form = len(urlencode(given)) > QUERY_MAX
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            return self._outbound.call(
                "POST",
                self._endpoint,
                hosts=self._hosts,
                params=None if form else given,
                data=urlencode(given) if form else None,
                headers=headers,
                auth=self._auth,
                operation=action,
            )
        except NotSent as error:
            raise VendorUnavailable(f"{action}: {error.message}", reached=False) from None
        except AddressRefused as error:
            raise VendorRefused(f"{action}: {error.message}", kind="ADDRESS_REFUSED") from None
        except NoReply as error:
            raise VendorUnavailable(f"{action}: {error.message}") from None

    def _to_be_signed_anew(self, reply: Reply) -> bool:
        code = lenient.text((_body(reply) or {}).get("Code")) if reply.status >= 400 else ""
        if _is(code, CLOCK_ERRORS):
            theirs = lenient.http_date(reply.headers.get("Date"))
            if theirs is None:
                return False
            self._ahead = theirs - datetime.now(UTC)
            return True
        return _is(code, NONCE_ERRORS)


def _judged(action: str, reply: Reply) -> dict[str, Any]:
    body = _body(reply)
    if reply.status == 200 and body is not None:
        return body
    body = body or {}
    code = lenient.message(body.get("Code"))
    words = said(body.get("Message") or body.get("ErrorMessage"))
    request_id = lenient.message(body.get("RequestId") or reply.headers.get("x-acs-request-id")) or None
    millis = lenient.integer(reply.headers.get("x-acs-retry-after"))
    if reply.status == 429 or millis or _is(code, THROTTLING) or code.lower().endswith("trafficcontrol"):
        hint = min(millis / 1000, RETRY_AFTER_MAX) if millis else retry_after(reply.headers.get("Retry-After"))
        message = f"{action}: too many calls ({code or reply.status})"
        raise VendorThrottled(message, retry_after=hint, code=code or None, request_id=request_id)
    if not code or not 400 <= reply.status < 500 or _is(code, UNAVAILABLE):
        shown = f"{code}: {words}" if code else "no reply of the vendor's"
        message = f"{action}: HTTP {reply.status}, {shown}"
        raise VendorUnavailable(message, code=code or None, request_id=request_id)
    error: type[VendorError] = VendorRefused
    if reply.status == 401 or code == "Forbidden" or _is(code, AUTH_ERRORS):
        error = VendorAuthFailed
    raise error(f"{action}: {words or code}", code=code, request_id=request_id)


def said(message: Any) -> str:
    """The vendor's words, without the text it wanted signed (which holds the parameters) and without URL queries."""
    return lenient.message(lenient.text(message).partition("server string to sign")[0])


def _body(reply: Reply) -> dict[str, Any] | None:
    """The reply's JSON object; None when it is something else."""
    try:
        value = reply.json()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is(code: str, known: Sequence[str]) -> bool:
    """Codes are spelled in several ways and continued after a dot: `Throttling.User`, `ServiceUnAvailable`."""
    return code.lower().startswith(tuple(known))


def _encodable(value: str) -> str:
    """JSON can hold half of a surrogate pair, UTF-8 cannot."""
    return value.encode("utf-8", "replace").decode()


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
