"""Alibaba Cloud's RPC gateway, which the simulators of both its products use.

It checks both versions of the signature, with the parameters at every place where a client may put them, the clock and
the nonce, and replies with JSON or XML. Subclasses define one method for each operation: `on_TriggerRecord(self, call)`
returns the reply's body.

Pages: "Signature method V1 (RPC)", "Request syntax and signature method V3", "Common errors".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import uuid
from calendar import timegm
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import strptime
from typing import Any, ClassVar
from urllib.parse import quote
from xml.sax.saxutils import escape

from local.simulators.base import Rate, Simulator
from local.simulators.faults import Fault, Kind
from local.simulators.wire import Request, Response, json_response

_AUTHORIZATION = re.compile(r"ACS3-HMAC-SHA256 Credential=([^,]*),\s*SignedHeaders=([^,]*),\s*Signature=([0-9a-f]{64})")
_V1_REQUIRED = ("Version", "AccessKeyId", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Timestamp")
_V3_REQUIRED = ("x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256")


@dataclass
class AlibabaSettings:
    """What can differ between accounts, and what Alibaba does not document."""

    access_key_id: str = "sim-key-id"
    access_key_secret: str = "sim-key-secret"
    security_token: str = ""  # if set, every call must have it
    clock_window: float = 900.0  # seconds by which a timestamp may differ; usual, but not documented
    throttling_status: int = 400  # 400, 429 or 503, by product
    throttling_code: str = "Throttling.User"  # or "Throttling", "Throttling.Api"
    unknown_action: str = "InvalidAction.NotFound"  # or "UnsupportedOperation"
    signature_status: int = 400  # 403 in older products
    rates: dict[str, int] = field(default_factory=dict)  # calls per second by operation


#: Other possible values of the settings above, for the stages of both products.
ASSUMED: dict[str, list[Any]] = {
    "clock_window": [60.0],
    "signature_status": [403],
    "throttling_status": [429, 503],
    "throttling_code": ["Throttling", "Throttling.Api"],
    "security_token": ["temporary"],
}


#: The gateway's answer to a call that it has had before.
NONCE_USED = Fault(Kind.REFUSE, 400, code="SignatureNonceUsed", message="Specified signature nonce was used already.")


#: The answers of the gateway and its products that say that a call may be repeated later.
LATER = [
    Fault(Kind.REFUSE, status, code=code, message="Please try again later.")
    for code, status in {
        "ServiceBusy": 400,
        "SystemBusy": 503,
        "FlowControlError": 400,
        "Throttling": 400,
        "Throttling.Api": 503,
        "iot.vision.RequestTrafficControl": 429,
    }.items()
]


class GatewayError(Exception):
    """An HTTP error of the gateway or of the product."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})


@dataclass(frozen=True)
class Call:
    """A verified request: the operation and its parameters."""

    action: str
    params: Mapping[str, str]

    def required(self, name: str) -> str:
        value = self.params.get(name, "")
        if not value:
            raise GatewayError(400, "MissingParameter", f"{name} is mandatory for this action.")
        return value

    def integer(self, name: str, low: int, high: int, default: int | None = None) -> int:
        text = self.params.get(name, "") if default is not None else self.required(name)
        if not text and default is not None:
            return default
        if not re.fullmatch(r"-?\d{1,18}", text) or not low <= int(text) <= high:
            raise GatewayError(400, f"InvalidParameter.{name}", f"Specified parameter {name} is not valid.")
        return int(text)


class AlibabaGateway(Simulator):
    version: ClassVar[str]
    settings_class = AlibabaSettings

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._nonces: dict[str, float] = {}
        self._rates: dict[str, Rate] = {}
        self.signatures: dict[str, int] = defaultdict(int)  # verified calls by version of the signature: "v1", "v3"

    def secret(self) -> dict[str, str]:
        token = {"security_token": self.settings.security_token} if self.settings.security_token else {}
        return {
            "vendor": self.vendor,
            "access_key_id": self.settings.access_key_id,
            "access_key_secret": self.settings.access_key_secret,
            "region": "cn-shanghai",
            "endpoint": self.url,
            **token,
        }

    def operation(self, request: Request) -> str:
        return request.headers.get("x-acs-action") or request.params.get("Action") or "none"

    def answer(self, operation: str, request: Request) -> Response:
        as_xml = _wants_xml(request)
        request_id = str(uuid.uuid4()).upper()
        try:
            call = self._verified(request)
            self._pace(call.action)
            body = {"RequestId": request_id, **self.perform(call)}
        except GatewayError as error:
            body = {
                "RequestId": request_id,
                "HostId": request.headers.get("Host") or "",
                "Code": error.code,
                "Message": error.message,
                "Recommend": f"https://api.example.com/troubleshoot?q={error.code}",
            }
            return _xml("Error", body, error) if as_xml else json_response(body, error.status, error.headers)
        return _xml(f"{call.action}Response", body) if as_xml else json_response(body)

    def perform(self, call: Call) -> dict[str, Any]:
        """The reply of `on_<action>`."""
        handler = getattr(self, f"on_{call.action}", None)
        if handler is None:
            raise self.unknown_action()
        reply: dict[str, Any] = handler(call)
        return reply

    def fault_response(self, fault: Fault) -> Response:
        code, message, status, headers = fault.code, fault.message, fault.status, {}
        if fault.kind is Kind.THROTTLE:
            error = self.throttled()
            code, message, status = code or error.code, message or error.message, status or error.status
            if fault.retry_after is not None:
                headers["x-acs-retry-after"] = str(int(fault.retry_after * 1000))
        elif fault.kind is Kind.REFUSE:
            code, message, status = (
                code or "InvalidParameter",
                message or "Specified parameter is not valid.",
                status or 400,
            )
        else:
            status = status or 500
            code = code or ("ServiceUnavailable" if status == 503 else "InternalError")
            message = message or "The request processing has failed due to some unknown error."
        return json_response(
            {"RequestId": str(uuid.uuid4()).upper(), "Code": code, "Message": message}, status, headers
        )

    def throttled(self) -> GatewayError:
        message = "Request was denied due to user flow control."
        return GatewayError(self.settings.throttling_status, self.settings.throttling_code, message)

    def unknown_action(self) -> GatewayError:
        return GatewayError(404, self.settings.unknown_action, "Specified api is not found.")

    def _pace(self, action: str) -> None:
        limit = self.settings.rates.get(action)
        if limit:
            rate = self._rates.setdefault(action, Rate(limit, 1.0))
            rate.limit = limit
            if not rate.allows(self.now()):
                raise self.throttled()

    # --- signatures ---

    def _verified(self, request: Request) -> Call:
        if (request.headers.get("Authorization") or "").startswith("ACS3-"):
            return self._verified_v3(request)
        return self._verified_v1(request)

    def _verified_v3(self, request: Request) -> Call:
        headers = request.headers
        for name in _V3_REQUIRED:
            if not headers.get(name):
                raise GatewayError(400, "MissingParameter", f"{name} is mandatory for this action.")
        found = _AUTHORIZATION.fullmatch(headers["Authorization"])
        if not found:
            raise GatewayError(
                400, "IncompleteSignature", "The request signature does not conform to Aliyun standards."
            )
        key_id, names, signature = found[1], found[2].split(";"), found[3]
        self._check_account(key_id, headers.get("x-acs-security-token") or "")
        self._check_clock(headers["x-acs-date"])
        must = {n.lower() for n in headers if n.lower() in ("host", "content-type") or n.lower().startswith("x-acs-")}
        payload_hash = hashlib.sha256(request.body).hexdigest()
        canonical = "\n".join(
            [
                request.method,
                request.raw_path,
                _canonical(request.query),
                "".join(f"{name}:{(headers.get(name) or '').strip()}\n" for name in names),
                ";".join(names),
                payload_hash,
            ]
        )
        text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        good = hmac.new(self.settings.access_key_secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        unsigned = must - set(names)
        if unsigned or headers["x-acs-content-sha256"] != payload_hash or not hmac.compare_digest(good, signature):
            raise self._mismatch(text)
        self._check_nonce(key_id, headers["x-acs-signature-nonce"])
        self._check_version(headers["x-acs-version"])
        self.signatures["v3"] += 1
        return Call(self.operation(request), request.params)

    def _verified_v1(self, request: Request) -> Call:
        params = request.params
        for name in ("Action", *_V1_REQUIRED, "Signature"):
            if not params.get(name):
                raise GatewayError(400, "MissingParameter", f"{name} is mandatory for this action.")
        if params["SignatureMethod"] != "HMAC-SHA1" or params["SignatureVersion"] != "1.0":
            raise GatewayError(400, "InvalidParameter", "The specified signature method or version is not supported.")
        self._check_account(params["AccessKeyId"], params.get("SecurityToken", ""))
        self._check_clock(params["Timestamp"])
        if not hmac.compare_digest(
            rpc_signature(request.method, params, self.settings.access_key_secret).encode(),
            params["Signature"].encode(),
        ):
            raise self._mismatch(rpc_string(request.method, params))
        self._check_nonce(params["AccessKeyId"], params["SignatureNonce"])
        self._check_version(params["Version"])
        self.signatures["v1"] += 1
        return Call(params["Action"], params)

    def _mismatch(self, text: str) -> GatewayError:
        message = f"Specified signature is not matched with our calculation. server string to sign is:{text}"
        return GatewayError(self.settings.signature_status, "SignatureDoesNotMatch", message)

    def _check_account(self, key_id: str, token: str) -> None:
        if key_id != self.settings.access_key_id:
            raise GatewayError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        if self.settings.security_token and token != self.settings.security_token:
            raise GatewayError(400, "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed.")

    def _check_clock(self, stamp: str) -> None:
        try:
            then = timegm(strptime(stamp, "%Y-%m-%dT%H:%M:%SZ"))
        except ValueError:
            message = "Specified time stamp or date value is not well formatted."
            raise GatewayError(400, "InvalidTimeStamp.Format", message) from None
        if abs(self.clock.wall() - then) > self.settings.clock_window:
            raise GatewayError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")

    def _check_nonce(self, key_id: str, nonce: str) -> None:
        now = self.clock.wall()
        while self._nonces and next(iter(self._nonces.values())) <= now:  # oldest first
            del self._nonces[next(iter(self._nonces))]
        known = f"{key_id}:{nonce}"
        if known in self._nonces:
            raise GatewayError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        self._nonces[known] = now + 2 * self.settings.clock_window

    def _check_version(self, version: str) -> None:
        if version != self.version:
            raise GatewayError(400, "NoSuchVersion", "The specified version does not exist.")


def rpc_string(method: str, params: Mapping[str, str]) -> str:
    """The text that version 1 signs: every parameter except the signature, however it was sent."""
    signed = {name: value for name, value in params.items() if name != "Signature"}
    return "&".join([method, quote("/", safe=""), quote(_canonical(signed), safe="~")])


def rpc_signature(method: str, params: Mapping[str, str], secret: str) -> str:
    digest = hmac.new(f"{secret}&".encode(), rpc_string(method, params).encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def _canonical(params: Mapping[str, str]) -> str:
    return "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in sorted(params.items()))


def _wants_xml(request: Request) -> bool:
    """Whether the reply must be XML. Without `Format`, an older client gets XML, and a V3 client what it accepts."""
    wanted = request.params.get("Format", "")
    if wanted:
        return wanted.upper() != "JSON"
    accept = request.headers.get("Accept") or ""
    return "json" not in accept and ("xml" in accept or not request.headers.get("Authorization"))


def _xml(root: str, body: Mapping[str, Any], error: GatewayError | None = None) -> Response:
    text = f"<?xml version='1.0' encoding='UTF-8'?><{root}>{''.join(_elements(body))}</{root}>"
    headers = {"Content-Type": "text/xml;charset=utf-8", **(error.headers if error else {})}
    return Response(error.status if error else 200, text.encode(), headers)


def _elements(body: Mapping[str, Any]) -> list[str]:
    """One element for each key; for an array, one element for each item."""
    found = []
    for name, value in body.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping):
                inner = "".join(_elements(item))
            else:
                inner = str(item).lower() if isinstance(item, bool) else escape(str(item))
            found.append(f"<{name}>{inner}</{name}>")
    return found
