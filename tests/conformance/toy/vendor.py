"""Toy Kitchen: dishes are ordered by name and cooked one by one; an order is found again by the token it came with."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from clipferry.outbound.client import AddressRefused, NotSent, OutboundError, Reply
from clipferry.outbound.retry_after import retry_after
from clipferry.pacing.call_rates import ANY, Rate
from clipferry.vendors import lenient
from clipferry.vendors.contract import (
    Account,
    ApiOutbound,
    KnownFile,
    Look,
    LookStatus,
    Remote,
    Sighting,
    Submitted,
    Task,
    VendorAuthFailed,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)
from clipferry.vendors.file_urls import FileUrl
from clipferry.vendors.tally import tally

STATES = {"cooking": LookStatus.RUNNING, "served": LookStatus.READY, "burnt": LookStatus.FAILED}


class Toy:
    """The contract on Toy Kitchen's three calls."""

    name: ClassVar[str] = "toy"
    title: ClassVar[str] = "Toy Kitchen"
    secret_keys: ClassVar[Sequence[str]] = ("key",)
    can_abort: ClassVar[bool] = False
    spent_codes: ClassVar[frozenset[str]] = frozenset({"VENDOR_FILE_FAILED", "VENDOR_TASK_NOT_FOUND", "NO_FILES"})
    api_hosts: ClassVar[Sequence[str]] = ("api.toy.example",)
    download_hosts: ClassVar[Sequence[str]] = ("toy.example",)
    default_deadline: ClassVar[int] = 86_400
    trusted_hosts: Sequence[str] = ()
    rates: ClassVar[Mapping[str, Rate]] = {ANY: Rate(50, 1.0)}
    limits: ClassVar[Mapping[str, Any]] = {"dishes": "1 to 10 an order"}
    request_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["dishes"],
        "properties": {
            "dishes": {
                "type": "array",
                "minItems": 1,
                "maxItems": 10,
                "items": {"type": "string"},
                "description": "Names of the dishes.",
            }
        },
    }
    adopt_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["order"],
        "properties": {"order": {"type": "string", "pattern": "^[0-9a-z]{1,32}$", "description": "An order's id."}},
    }

    def __init__(self, account: Account, outbound: ApiOutbound) -> None:
        self._key, self._outbound = account.secret["key"], outbound
        self._base = (account.endpoint or "https://api.toy.example").rstrip("/")
        self._hosts = (*self.api_hosts, lenient.hostname(self._base))

    @classmethod
    def deadline_for(cls, request: Mapping[str, Any] | None) -> int:
        return cls.default_deadline

    def trigger(self, task: Task) -> Submitted:
        dishes = list(dict.fromkeys((task.request or {}).get("dishes", ())))
        return self._submitted(self._call("POST", "/orders", {"dishes": dishes, "token": task.key}))

    def find(self, task: Task) -> Submitted | None:
        try:
            return self._submitted(self._call("GET", f"/orders/by-token/{task.key}"))
        except VendorRefused:
            return None

    def adopt(self, task: Task) -> Submitted:
        return Submitted({"order": (task.adopt or {})["order"]})

    def poll(self, task: Task) -> Look:
        order = lenient.mapping(self._order(task))
        seen = {dish.ref: dish for dish in map(_sighting, lenient.entries(order.get("dishes"))) if dish.ref}
        dishes = list(seen.values())
        if not dishes and lenient.text(order.get("state")) == "closed":
            return Look(LookStatus.EMPTY, code="NO_FILES", message="the kitchen closed the order without a dish")
        return tally(dishes) if dishes else Look(LookStatus.UNKNOWN, lenient.message(order.get("state")))

    def locate(self, task: Task, file: KnownFile) -> Remote | None:
        dishes = lenient.entries(lenient.mapping(self._order(task)).get("dishes"))
        found = {lenient.text(dish.get("name")): dish for dish in dishes}.get(file.ref, {})
        ready = _sighting(found).status is LookStatus.READY
        return Remote(str(FileUrl.parse(found["url"]).url), size=lenient.integer(found.get("size"))) if ready else None

    def abort(self, task: Task) -> bool:
        return False

    def _order(self, task: Task) -> Any:
        return self._call("GET", f"/orders/{task.refs['order']}")

    def _submitted(self, reply: Any) -> Submitted:
        order = lenient.text(lenient.mapping(reply).get("order"))
        if not order:
            raise VendorUnavailable("the kitchen took an order and did not name it")
        return Submitted({"order": order}, first_look=5)

    def _call(self, method: str, path: str, value: Any = None) -> Any:
        body = b"" if value is None else json.dumps(value).encode()
        signature = hmac.new(self._key.encode(), f"{method} {path}\n".encode() + body, hashlib.sha256).hexdigest()
        try:
            reply = self._outbound.call(
                method, self._base + path, hosts=self._hosts, data=body or None, headers={"X-Toy-Signature": signature}
            )
        except AddressRefused as error:
            raise VendorRefused(str(error), kind="ADDRESS_REFUSED") from error
        except OutboundError as error:
            raise VendorUnavailable(str(error), reached=not isinstance(error, NotSent)) from error
        return _judged(path, reply)


def _judged(path: str, reply: Reply) -> Any:
    if reply.status == 429:
        raise VendorThrottled("too many calls", retry_after=retry_after(reply.headers.get("Retry-After")))
    if reply.status in (401, 403):
        raise VendorAuthFailed("the kitchen does not know this key")
    if reply.status == 404:
        raise VendorRefused(f"the kitchen knows no {path}", kind="VENDOR_TASK_NOT_FOUND")
    try:
        value = reply.json()
    except (ValueError, RecursionError):
        value = None
    if reply.status != 200 or not isinstance(value, dict):
        raise VendorUnavailable(f"HTTP {reply.status}, no reply of the kitchen's")
    return value


def _sighting(dish: Mapping[str, Any]) -> Sighting:
    name, state = lenient.text(dish.get("name")), lenient.message(dish.get("state"))
    status = STATES.get(state, LookStatus.UNKNOWN)
    if status is LookStatus.READY and not FileUrl.parse(dish.get("url")).url:
        status = LookStatus.RUNNING
    return Sighting(name, name, status, state, size=lenient.integer(dish.get("size")))
