"""DynamoDB of a run: the model in memory, with indexes that show a write some time after it, and a watcher of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.models.dynamodb import DynamoDB, Key, Table
from tests.models.expressions import Item

Watcher = Callable[[Key, Item | None, Item | None], None]


class WatchedTable(Table):
    """Tells of every change of an item: its key, the item before and after."""

    def __init__(self, properties: Mapping[str, Any], watcher: Watcher) -> None:
        super().__init__(properties)
        self._watcher, self._quiet = watcher, False

    def put(self, item: Item) -> None:
        key = self.key_of(item)
        before, self._quiet = self.items.get(key), True
        super().put(item)
        self._quiet = False
        self._watcher(key, before, item)

    def remove(self, key: Key) -> None:
        before = self.items.get(key)
        super().remove(key)
        if not self._quiet and before is not None:
            self._watcher(key, before, None)


class LateIndexes(DynamoDB):
    """One table. `later(key, seconds-free act)` decides when its indexes show a change."""

    def __init__(
        self,
        name: str,
        properties: Mapping[str, Any],
        watcher: Watcher,
        later: Callable[[Key, Callable[[], None]], None],
    ) -> None:
        super().__init__()
        self._watcher, self._later = watcher, later
        self.table = WatchedTable(properties, self._changed)
        self.tables[name] = self.table
        self._shown = Table(properties)

    def _changed(self, key: Key, before: Item | None, after: Item | None) -> None:
        def show() -> None:
            if after is None:
                self._shown.remove(key)
            else:
                self._shown.put(after)

        self._later(key, show)
        self._watcher(key, before, after)

    def _query(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        if not parameters.get("IndexName") or parameters.get("ConsistentRead"):
            return super()._query(parameters)
        name = parameters["TableName"]
        self.tables[name] = self._shown
        try:
            return super()._query(parameters)
        finally:
            self.tables[name] = self.table

    def expire(self, now: float) -> None:
        """Time to live: what is past its `expires_at` goes."""
        for key, item in list(self.table.items.items()):
            if "expires_at" in item and float(item["expires_at"]["N"]) < now:
                self.table.remove(key)
