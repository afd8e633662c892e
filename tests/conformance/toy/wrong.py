"""Toy Kitchen by engineers who made one mistake each. The suite must fail every one of them."""

from __future__ import annotations

from collections.abc import Sequence

from clipferry.vendors.contract import Look, Submitted, Task, VendorRefused, VendorUnavailable
from clipferry.vendors.portions import batches

from tests.conformance.toy.vendor import Toy


class AsksAnew(Toy):
    """After a retry, what is stored is cooked once more."""

    def wanted(self, task: Task) -> list[str]:
        return list(dict.fromkeys((task.request or {}).get("dishes", ())))


class AsksForTooMany(Toy):
    """Five dishes an order, where the kitchen takes four."""

    def portions(self, task: Task) -> list[Sequence[str]]:
        return list(batches(self.wanted(task), 5))


class TakesOlderWork(Toy):
    """Any order with such a dish is taken for the one whose confirmation was lost."""

    def find(self, task: Task) -> Submitted | None:
        try:
            order = self._call("GET", f"/orders/with/{self.wanted(task)[0]}")
        except VendorRefused:
            return None
        return self._submitted(task, [self._id_of(order)])


class SendsAgain(Toy):
    """An order that had no usable answer is sent once more at once."""

    def trigger(self, task: Task) -> Submitted:
        try:
            return super().trigger(task)
        except VendorUnavailable:
            return super().trigger(task)


class KnowsNothingBeforeTheEnd(Toy):
    """A look asks about every order, and what it has seen is lost when it is cut short."""

    def poll(self, task: Task) -> Look:
        for order in task.refs["orders"]:
            self._call("GET", f"/orders/{order}")
        return super().poll(task)
