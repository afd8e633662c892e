"""Alibaba Cloud's signature of a request, ACS3-HMAC-SHA256.

Page: "Request syntax and signature method V3" of the SDK documentation.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase

ALGORITHM = "ACS3-HMAC-SHA256"


def canonical_query(url: str) -> str:
    """The query of `url` in the form that is signed: decoded, sorted, and encoded by RFC 3986."""
    pairs = sorted(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)


class Acs3Auth(AuthBase):
    """Signs a prepared request with ACS3-HMAC-SHA256, with a new date and nonce each time.

    It signs host, content-type if there is one, and each `x-acs-` header.
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
    """The value of the Host header: with the port, unless it is the scheme's default."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return host if parts.port in (None, default) else f"{host}:{parts.port}"
