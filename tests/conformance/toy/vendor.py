"""Toy Kitchen: dishes are ordered by name, four an order, and cooked one by one.

An order is found again by the token that came with it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from clipferry.outbound.client import Reply
from clipferry.outbound.retry_after import retry_after
from clipferry.pacing.call_rates import ANY, Rate
from clipferry.vendors import lenient
from clipferry.vendors.call_results import Failure, Meaning, exchange, settle
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
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)
from clipferry.vendors.file_urls import FileUrl
from clipferry.vendors.portions import batches, in_turn
from clipferry.vendors.tally import tally

LARGEST_ORDER = 4  # dishes
STATES = {"cooking": LookStatus.RUNNING, "served": LookStatus.READY, "burnt": LookStatus.FAILED}
CODES = {401: Meaning.AUTH, 403: Meaning.AUTH, 409: Meaning.REPEATED}  # the kitchen's codes are HTTP statuses


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
    limits: ClassVar[Mapping[str, Any]] = {"dishes": f"1 to 10 a job, {LARGEST_ORDER} an order"}
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
        "required": ["orders"],
        "properties": {
            "orders": {
                "type": "array",
                "minItems": 1,
                "maxItems": 10,
                "items": {"type": "string", "pattern": "^[0-9a-z]{1,32}$"},
                "description": "Ids of the orders.",
            }
        },
    }

    def __init__(self, account: Account, outbound: ApiOutbound) -> None:
        self._key, self._outbound = account.secret["key"], outbound
        self._base = (account.endpoint or "https://api.toy.example").rstrip("/")
        self._hosts = (*self.api_hosts, lenient.hostname(self._base))

    @classmethod
    def deadline_for(cls, request: Mapping[str, Any] | None) -> int:
        return cls.default_deadline

    def trigger(self, task: Task) -> Submitted:
        orders = list(task.refs.get("orders", ()))
        for dishes in self.portions(task)[len(orders) : len(orders) + 1]:
            order = self._call("POST", "/orders", {"dishes": dishes, "token": f"{task.key}-{len(orders)}"})
            orders.append(self._id_of(order))
        return self._submitted(task, orders)

    def find(self, task: Task) -> Submitted | None:
        orders = list(task.refs.get("orders", ()))
        for number in range(len(orders), len(self.portions(task))):
            try:
                orders.append(self._id_of(self._call("GET", f"/orders/by-token/{task.key}-{number}")))
            except VendorRefused:
                break
            except (VendorThrottled, VendorUnavailable):
                if orders == task.refs.get("orders", []):
                    raise
                return Submitted({"orders": orders}, complete=False, in_doubt=True)
        return self._submitted(task, orders) if orders else None

    def adopt(self, task: Task) -> Submitted:
        return Submitted({"orders": list((task.adopt or {})["orders"])})

    def poll(self, task: Task) -> Look:
        orders, limit = self._orders(task)
        dishes = {dish.ref: dish for order in orders for dish in map(_sighting, _dishes(order)) if dish.ref}
        unseen = len(task.refs["orders"]) - len(orders)
        states = {lenient.text(order.get("state")) for order in orders}
        if not dishes and states == {"closed"} and not unseen:
            return Look(LookStatus.EMPTY, code="NO_FILES", message="the kitchen closed the order without a dish")
        if not dishes:
            return Look(LookStatus.UNKNOWN, lenient.message(" ".join(states)), cut_short=limit)
        return tally(list(dishes.values()), unseen=unseen, limit=limit)

    def locate(self, task: Task, file: KnownFile) -> Remote | None:
        for order in task.refs["orders"]:
            for dish in _dishes(lenient.mapping(self._call("GET", f"/orders/{order}"))):
                seen = _sighting(dish)
                if seen.ref == file.ref and seen.status is LookStatus.READY:
                    return Remote(str(FileUrl.parse(dish["url"]).url), size=seen.size)
        return None

    def abort(self, task: Task) -> bool:
        return False

    def wanted(self, task: Task) -> list[str]:
        """The dishes that are not settled, each once."""
        settled = {file.ref for file in task.files if file.settled}
        return [dish for dish in dict.fromkeys((task.request or {}).get("dishes", ())) if dish not in settled]

    def portions(self, task: Task) -> list[Sequence[str]]:
        """The dishes of each order."""
        return list(batches(self.wanted(task), LARGEST_ORDER))

    def _orders(self, task: Task) -> tuple[list[Mapping[str, Any]], VendorThrottled | None]:
        """The orders as they are now, as far as the vendor and the time allow, and the limit met on the way."""
        seen: list[Mapping[str, Any]] = []
        try:
            for order in in_turn(task.refs["orders"], task.looks):
                seen.append(lenient.mapping(self._call("GET", f"/orders/{order}")))
        except (VendorThrottled, VendorUnavailable) as error:
            if not seen:
                raise
            return seen, error if isinstance(error, VendorThrottled) else None
        return seen, None

    def _submitted(self, task: Task, orders: Sequence[str]) -> Submitted:
        complete = len(orders) >= len(self.portions(task))
        return Submitted({"orders": list(orders)}, first_look=5, complete=complete)

    def _id_of(self, reply: Any) -> str:
        order = lenient.text(lenient.mapping(reply).get("order"))
        if not order:
            raise VendorUnavailable("the kitchen took an order and did not name it")
        return order

    def _call(self, method: str, path: str, value: Any = None) -> Any:
        body = b"" if value is None else json.dumps(value).encode()
        signature = hmac.new(self._key.encode(), f"{method} {path}\n".encode() + body, hashlib.sha256).hexdigest()
        reply = exchange(
            self._outbound,
            method,
            self._base + path,
            hosts=self._hosts,
            operation="order" if method == "POST" else "look",
            data=body or None,
            headers={"X-Toy-Signature": signature},
        )
        failure = _failure_of(path, reply)
        if failure:
            raise failure.error()
        return reply.json()


def _failure_of(path: str, reply: Reply) -> Failure | None:
    """What a reply is that is no success."""
    try:
        own = isinstance(reply.json(), dict)
    except (ValueError, RecursionError):
        own = False
    if own and reply.status == 200:
        return None
    return Failure(
        settle(CODES.get(reply.status), reply.status, own=own),
        f"the kitchen answers {path} with HTTP {reply.status}",
        retry_after=retry_after(reply.headers.get("Retry-After")),
        kind="VENDOR_TASK_NOT_FOUND" if reply.status == 404 else "VENDOR_REFUSED",
    )


def _dishes(order: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return lenient.entries(order.get("dishes"))


def _sighting(dish: Mapping[str, Any]) -> Sighting:
    name, state = lenient.text(dish.get("name")), lenient.message(dish.get("state"))
    status = STATES.get(state, LookStatus.UNKNOWN)
    if status is LookStatus.READY and not FileUrl.parse(dish.get("url")).url:
        status = LookStatus.RUNNING
    return Sighting(name, name, status, state, size=lenient.integer(dish.get("size")))
