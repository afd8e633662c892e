"""DynamoDB in memory: tables with secondary indexes, conditional writes, transactions and queries, by the API's words.

Takes an operation and its parameters as a client would, and answers or raises as a client does. What it leaves out:
capacity, streams, page sizes in bytes, time to live. It refuses a Scan, and every expression that it does not know.
"""

from __future__ import annotations

import threading
from bisect import insort
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from botocore.exceptions import ClientError

from tests.models.expressions import Item, comparable, condition, update
from tests.models.service import Refused

ITEM_MAX = 400 * 1024  # bytes of an item, names and values (AWS limit)
KEY_MAX = {"HASH": 2048, "RANGE": 1024}  # bytes of a key's value (AWS limit)
TRANSACTION_MAX = 100  # writes of one transaction (AWS limit)
BATCH_GET_MAX = 100  # keys of one BatchGetItem (AWS limit)

Key = tuple[Any, Any]


class Table:
    """Items by key, and for each index its keys in order."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self.schemas = {None: _schema(properties["KeySchema"])}
        self.schemas |= {i["IndexName"]: _schema(i["KeySchema"]) for i in properties.get("GlobalSecondaryIndexes", ())}
        self.projections = {i["IndexName"]: i["Projection"] for i in properties.get("GlobalSecondaryIndexes", ())}
        self.items: dict[Key, Item] = {}
        self.orders: dict[Any, dict[Any, list[tuple[Any, Key]]]] = {name: {} for name in self.schemas}

    def key_of(self, item: Item) -> Key:
        """Raises Refused for a key that the table does not take."""
        found = []
        for kind, name in self.schemas[None].items():
            value = item.get(name)
            if value is None or set(value) - {"S", "N", "B"}:
                raise Refused("ValidationException", f"One of the required keys was not given a value: {name}")
            content = next(iter(value.values()))
            if isinstance(content, str) and not 0 < len(content.encode()) <= KEY_MAX[kind]:
                raise Refused("ValidationException", f"Size of {name} is not between 1 and {KEY_MAX[kind]} bytes")
            found.append(comparable(value))
        return found[0], found[1] if len(found) > 1 else None

    def put(self, item: Item) -> None:
        key = self.key_of(item)
        if _size(item) > ITEM_MAX:
            raise Refused("ValidationException", "Item size has exceeded the maximum allowed size")
        self.remove(key)
        self.items[key] = item
        for name, schema in self.schemas.items():
            if place := _place(item, schema):
                insort(self.orders[name].setdefault(place[0], []), (place[1], key))

    def remove(self, key: Key) -> None:
        item = self.items.pop(key, None)
        if item is None:
            return
        for name, schema in self.schemas.items():
            if place := _place(item, schema):
                self.orders[name][place[0]].remove((place[1], key))


def _schema(key_schema: list[Mapping[str, str]]) -> dict[str, str]:
    return {part["KeyType"]: part["AttributeName"] for part in key_schema}


def _place(item: Item, schema: Mapping[str, str]) -> tuple[Any, Any] | None:
    """Where an item stands in an index; None when it lacks one of its keys."""
    if any(name not in item for name in schema.values()):
        return None
    return comparable(item[schema["HASH"]]), comparable(item[schema["RANGE"]]) if "RANGE" in schema else ("", b"")


def _size(value: Any) -> int:
    """Bytes of an item, a little generously: names, values and a byte or two for each container."""
    match value:
        case dict():
            return sum(len(key.encode()) + _size(content) + 1 for key, content in value.items())
        case list():
            return 3 + sum(_size(content) + 1 for content in value)
        case str():
            return len(value.encode())
        case bytes():
            return len(value)
    return 1


class DynamoDB:
    """The service. Its indexes show every write at once."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self._lock = threading.RLock()

    def create_table(self, name: str, properties: Mapping[str, Any]) -> None:
        self.tables[name] = Table(properties)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """As `client._make_api_call`. Raises ClientError."""
        operations: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "GetItem": self._get_item,
            "PutItem": self._put_item,
            "UpdateItem": self._update_item,
            "DeleteItem": self._delete_item,
            "Query": self._query,
            "BatchGetItem": self._batch_get_item,
            "TransactWriteItems": self._transact_write_items,
        }
        if operation not in operations:
            raise NotImplementedError(f"DynamoDB's {operation}")
        try:
            with self._lock:
                reply = operations[operation](parameters)
        except Refused as refusal:
            said = {"Error": {"Code": refusal.code, "Message": refusal.message}, **refusal.more}
            raise ClientError({**said, "ResponseMetadata": {"HTTPStatusCode": 400}}, operation) from None  # type: ignore[arg-type, typeddict-item]
        return {**reply, "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}}

    def _table(self, parameters: Mapping[str, Any]) -> Table:
        if parameters["TableName"] not in self.tables:
            raise Refused("ResourceNotFoundException", "Requested resource not found")
        return self.tables[parameters["TableName"]]

    def _get_item(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        table = self._table(parameters)
        item = table.items.get(table.key_of(parameters["Key"]))
        return {"Item": deepcopy(item)} if item else {}

    def _batch_get_item(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, list[Item]] = {}
        for name, asked in parameters["RequestItems"].items():
            table, keys = (
                self._table({"TableName": name}),
                [self._table({"TableName": name}).key_of(k) for k in asked["Keys"]],
            )
            if len(keys) > BATCH_GET_MAX or len(set(keys)) < len(keys):
                raise Refused("ValidationException", "Too many items requested, or the same twice")
            found[name] = [deepcopy(table.items[key]) for key in keys if key in table.items]
        return {"Responses": found, "UnprocessedKeys": {}}

    def _put_item(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self._write(parameters, lambda _: deepcopy(dict(parameters["Item"])), parameters["Item"])()
        return {}

    def _update_item(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        after = self._write(parameters, _updated(parameters), parameters["Key"])()
        return {"Attributes": deepcopy(after)} if parameters.get("ReturnValues") == "ALL_NEW" else {}

    def _delete_item(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self._write(parameters, lambda _: None, parameters["Key"])()
        return {}

    def _write(
        self, parameters: Mapping[str, Any], change: Callable[[Item], Item | None], key: Item
    ) -> Callable[[], Item | None]:
        """Check one write; what carries it out. Raises Refused."""
        table = self._table(parameters)
        place = table.key_of(key)
        before = table.items.get(place)
        names, values = parameters.get("ExpressionAttributeNames", {}), parameters.get("ExpressionAttributeValues", {})
        if (text := parameters.get("ConditionExpression")) and not condition(text)(before or {}, names, values):
            raise Refused("ConditionalCheckFailedException", "The conditional request failed")
        after = change(before if before is not None else dict(key))
        if after is not None:
            table.key_of(after)
            if _size(after) > ITEM_MAX:
                raise Refused("ValidationException", "Item size has exceeded the maximum allowed size")

        def carry_out() -> Item | None:
            if after is None:
                table.remove(place)
            else:
                table.put(after)
            return after

        return carry_out

    def _transact_write_items(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """All or nothing: every write is checked before the first is carried out."""
        writes, reasons = [], []
        places = set()
        if not 0 < len(parameters["TransactItems"]) <= TRANSACTION_MAX:
            raise Refused("ValidationException", f"A transaction takes 1 to {TRANSACTION_MAX} writes")
        for ((kind, asked),) in (item.items() for item in parameters["TransactItems"]):
            key = asked["Item"] if kind == "Put" else asked["Key"]
            place = (asked["TableName"], self._table(asked).key_of(key))
            if place in places:
                raise Refused(
                    "ValidationException", "Transaction request cannot include multiple operations on one item"
                )
            places.add(place)
            changes: Mapping[str, Callable[[Item], Item | None]] = {
                "Put": lambda _, asked=asked: deepcopy(dict(asked["Item"])),  # type: ignore[misc]
                "Update": _updated(asked) if kind == "Update" else lambda item: item,
                "Delete": lambda _: None,
                "ConditionCheck": lambda item: item,
            }
            try:
                writes.append(self._write(asked, changes[kind], key))
                reasons.append({"Code": "None"})
            except Refused as refusal:
                code = refusal.code.removesuffix("Exception")
                reasons.append({"Code": code.replace("Validation", "ValidationError"), "Message": refusal.message})
        if any(reason["Code"] != "None" for reason in reasons):
            codes = ", ".join(reason["Code"] for reason in reasons)
            message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
            raise Refused("TransactionCanceledException", message, CancellationReasons=reasons)
        for write in writes:
            write()
        return {}

    def _query(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        table, index = self._table(parameters), parameters.get("IndexName")
        if index and parameters.get("ConsistentRead"):
            raise Refused("ValidationException", "Consistent reads are not supported on global secondary indexes")
        names, values = parameters.get("ExpressionAttributeNames", {}), parameters.get("ExpressionAttributeValues", {})
        holds = condition(parameters["KeyConditionExpression"])
        _check_between(parameters["KeyConditionExpression"], values)
        schema = table.schemas[index]
        partition = _partition(parameters["KeyConditionExpression"], schema["HASH"], names, values)
        entries = table.orders[index].get(partition, [])
        if not parameters.get("ScanIndexForward", True):
            entries = entries[::-1]
        entries = _after(entries, parameters.get("ExclusiveStartKey"), table, schema)
        found: list[Item] = []
        last: Item | None = None
        for _, key in entries:
            if not holds(table.items[key], names, values):
                continue
            found.append(table.items[key])
            if len(found) == parameters.get("Limit"):
                last = {name: found[-1][name] for name in {*table.schemas[None].values(), *schema.values()}}
                break
        shown = [deepcopy(_projected(item, table, index)) for item in found]
        if filtering := parameters.get("FilterExpression"):
            shown = [item for item in shown if condition(filtering)(item, names, values)]
        reply = {"Items": shown, "Count": len(shown), "ScannedCount": len(found)}
        return {**reply, "LastEvaluatedKey": deepcopy(last)} if last else reply


def _updated(parameters: Mapping[str, Any]) -> Callable[[Item], Item]:
    names, values = parameters.get("ExpressionAttributeNames", {}), parameters.get("ExpressionAttributeValues", {})
    changed = update(parameters["UpdateExpression"])

    def change(item: Item) -> Item:
        try:
            return changed(item, names, values)
        except LookupError as error:
            raise Refused("ValidationException", f"The provided expression refers to {error}") from None

    return change


def _partition(text: str, hash_key: str, names: Mapping[str, str], values: Mapping[str, Any]) -> Any:
    """The partition that a key condition asks for: DynamoDB takes nothing but equality there."""
    for part in text.replace("(", " ").replace(")", " ").split(" AND "):
        words = part.split()
        if len(words) == 3 and words[1] == "=" and names.get(words[0], words[0]) == hash_key:
            return comparable(values[words[2]])
    raise Refused("ValidationException", f"Query condition missed key schema element: {hash_key}")


def _check_between(text: str, values: Mapping[str, Any]) -> None:
    words = text.replace("(", " ").replace(")", " ").split()
    for at, word in enumerate(words):
        if word.upper() == "BETWEEN" and comparable(values[words[at + 1]]) > comparable(values[words[at + 3]]):
            raise Refused(
                "ValidationException", "The BETWEEN operator requires upper bound to be greater than lower bound"
            )


def _after(
    entries: list[tuple[Any, Key]], start: Item | None, table: Table, schema: Mapping[str, str]
) -> list[tuple[Any, Key]]:
    if start is None:
        return entries
    place = _place(start, schema)
    wanted = (place[1] if place else None, table.key_of(start))
    return entries[entries.index(wanted) + 1 :] if wanted in entries else entries


def _projected(item: Item, table: Table, index: str | None) -> Item:
    if index is None or table.projections[index]["ProjectionType"] == "ALL":
        return item
    kept = {*table.schemas[None].values(), *table.schemas[index].values()}
    kept |= set(table.projections[index].get("NonKeyAttributes", ()))
    return {name: value for name, value in item.items() if name in kept}
