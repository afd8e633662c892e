"""Toy Kitchen on one machine."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from dataclasses import dataclass, field
from typing import Any

from local.simulators.base import Simulator
from local.simulators.faults import Fault, Kind
from local.simulators.media import clip
from local.simulators.stage import Lost, Scene, Stage
from local.simulators.wire import Request, Response, json_response


@dataclass
class ToySettings:
    key: str = "sim-toy-key"
    cooking_seconds: float = 20.0
    stagger: float = 5.0  # each further dish takes so much longer
    burnt: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)  # in a state that nobody told of
    nothing: bool = False  # orders are closed without a dish
    largest_order: int = 4  # dishes
    url_lifetime: float = 3600.0


@dataclass
class Order:
    order: str
    token: str
    dishes: list[str]
    created: float


class ToySimulator(Simulator):
    vendor = "toy"
    settings_class = ToySettings
    stage = Stage(
        one=Scene({"dishes": ["soup"]}),
        three=Scene({"dishes": ["soup", "fish", "cake"]}, {"stagger": 600.0}),
        partly=Scene({"dishes": ["soup", "fish"]}, {"burnt": ["fish"]}, "VENDOR_FILE_FAILED"),
        odd=Scene({"dishes": ["soup"]}, {"odd": ["soup"]}, "VENDOR_STATUS_UNKNOWN"),
        empty=Scene({"dishes": ["soup"]}, {"nothing": True}, "NO_FILES"),
        adopt=lambda job: {"orders": job["vendor_refs"]["orders"]},
        unknown={"orders": ["feedbeef"]},
        unknown_id="feedbeef",
        trigger="order",
        look="look",
        lost={Lost.FOUND: {}},
        many=Scene({"dishes": [f"dish-{number}" for number in range(10)]}, files=10),
        mended={"burnt": []},
        repeated=Fault(Kind.BODY, 409, body='{"error": "we have this order already"}'),
        later=[Fault(Kind.BODY, 503, body='{"error": "the stove is cold"}')],
    )

    def secret(self) -> dict[str, str]:
        return {"vendor": "toy", "key": self.settings.key, "endpoint": self.url}

    def asked(self) -> list[str]:
        return [dish for order in self.tasks for dish in order.dishes]

    def operation(self, request: Request) -> str:
        if request.method == "POST":
            return "order"
        return "find" if request.path.startswith(("/orders/by-token/", "/orders/with/")) else "look"

    def answer(self, operation: str, request: Request) -> Response:
        signed = f"{request.method} {request.path}\n".encode() + request.body
        expected = hmac.new(self.settings.key.encode(), signed, hashlib.sha256).hexdigest()
        if request.headers.get("X-Toy-Signature") != expected:
            return json_response({"error": "who are you?"}, 403)
        if operation == "order":
            return self._order(request.json())
        name = request.path.rpartition("/")[2]
        if request.path.startswith("/orders/with/"):
            order = next((o for o in self.tasks if name in o.dishes), None)
        else:
            order = next((o for o in self.tasks if name in (o.order, o.token)), None)
        return self._shown(order) if order else json_response({"error": "no such order"}, 404)

    def _order(self, body: dict[str, Any]) -> Response:
        if len(body["dishes"]) > self.settings.largest_order:
            return json_response({"error": "too many dishes"}, 400)
        order = Order(uuid.uuid4().hex, body["token"], body["dishes"], self.now())
        self.tasks.append(order)
        for position, dish in enumerate(order.dishes):
            self.downloads.publish(
                dish, f"/{order.order}/{position}.mp4", clip(unique=dish), visible_after=self._seconds(position)
            )
        return json_response({"order": order.order})

    def _shown(self, order: Order) -> Response:
        dishes = [] if self.settings.nothing else [self._dish(order, n, dish) for n, dish in enumerate(order.dishes)]
        cooking = any(dish["state"] == "cooking" for dish in dishes)
        return json_response({"order": order.order, "state": "open" if cooking else "closed", "dishes": dishes})

    def _dish(self, order: Order, position: int, name: str) -> dict[str, Any]:
        if name in self.settings.odd:
            return {"name": name, "state": "flambé"}
        if self.now() < order.created + self._seconds(position):
            return {"name": name, "state": "cooking"}
        if name in self.settings.burnt:
            return {"name": name, "state": "burnt"}
        url = self.downloads.url(self.url, f"/{order.order}/{position}.mp4", self.settings.url_lifetime)
        return {"name": name, "state": "served", "url": url, "size": clip(unique=name).size}

    def _seconds(self, position: int) -> float:
        return self.settings.cooking_seconds + position * self.settings.stagger
