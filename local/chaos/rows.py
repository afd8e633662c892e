"""The jobs' rows, read behind the stack's back, and the patience of the stack let run out before its time.

The stack waits in real seconds before it takes anything for lost: up to ten minutes for a sweep's candidate, two
minutes for whoever may still be at a job. The vendors and the state machine live a hundred times as fast. So the
campaign moves a row's dates back once it knows that no call can still be alive: it has drawn no fault that delays one
for longer. Nothing else of a row is ever touched.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.stack import TERMINAL, Stack

CALL_LIFETIME = timedelta(seconds=120)  # what the stack allows a call of its own
_DATE = "%Y-%m-%dT%H:%M:%S.%f%z"


@dataclass(frozen=True)
class Row:
    """What the campaign needs of one job."""

    job_id: str
    mark: str  # "seed-number"
    status: str
    generation: int
    trigger_round: int
    retriggers: int
    on_uncertain: str
    event_sent: bool
    due_at: int | None
    updated_at: datetime
    finished_at: datetime | None
    quiet_until: datetime | None

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def key(self) -> dict[str, Any]:
        return {"pk": {"S": f"JOB#{self.job_id}"}, "sk": {"S": "JOB"}}

    @property
    def settled(self) -> bool:
        """At its end, with every duty done."""
        return self.terminal and self.event_sent


@dataclass(frozen=True)
class BatchRow:
    """What the campaign needs of one batch."""

    key: dict[str, Any]
    due_at: int | None
    updated_at: datetime


class Rows:
    """Every job's row, a moment old at most while `watching`."""

    def __init__(self, stack: Stack, longest_call: float) -> None:
        self._table, self._dynamodb = stack.outputs["TableName"], stack.client("dynamodb")
        self._longest = timedelta(seconds=longest_call)
        self._known: dict[str, Row] = {}
        self._batches: list[BatchRow] = []
        self._ended = threading.Event()
        self.untouched = threading.Lock()  # held by whoever needs the table to stay as it is

    def of(self, mark: str) -> Row | None:
        return self._known.get(mark)

    def all(self) -> list[Row]:
        return list(self._known.values())

    def look(self) -> None:
        self._known = {row.mark: row for row in map(_row, self._read("JOB"))}
        self._batches = [_batch_row(item) for item in self._read("BATCH")]

    def watch(self, every: float) -> None:
        """Look and let patience run out, until `end`. The emulator may be away for a while."""
        while not self._ended.wait(every):
            try:
                self.look()
                with self.untouched:
                    self.let_time_pass()
            except (ClientError, BotoCoreError):
                time.sleep(every)

    def end(self) -> None:
        self._ended.set()

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self._ended.is_set()

    def let_time_pass(self) -> None:
        now = datetime.now(UTC)
        every: list[Row | BatchRow] = [*self._known.values(), *self._batches]
        for one in every:
            if one.due_at is not None and one.due_at > now.timestamp() and now - one.updated_at > self._longest:
                self._set(one.key, "due_at", {"N": str(one.due_at)}, {"N": str(int(now.timestamp()) - 1)})
        for row in self._known.values():
            if row.finished_at and not row.event_sent:
                self._age(row, "finished_at", row.finished_at, row.finished_at, now)
            if row.quiet_until:
                self._age(row, "quiet_until", row.quiet_until, row.quiet_until - CALL_LIFETIME, now)

    def _age(self, row: Row, name: str, date: datetime, began: datetime, now: datetime) -> None:
        """Move a date back by a call's lifetime, once the longest call there can be has ended."""
        if self._longest < now - began < CALL_LIFETIME:
            self._set(row.key, name, {"S": _written(date)}, {"S": _written(date - CALL_LIFETIME)})

    def _set(self, key: dict[str, Any], name: str, old: dict[str, str], new: dict[str, str]) -> None:
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=key,
                UpdateExpression="SET #n = :new",
                ConditionExpression="#n = :old",
                ExpressionAttributeNames={"#n": name},
                ExpressionAttributeValues={":old": old, ":new": new},
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return  # it has just moved by itself

    def _read(self, kind: str) -> Iterator[dict[str, Any]]:
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName=self._table, FilterExpression="sk = :kind", ExpressionAttributeValues={":kind": {"S": kind}}
        )
        for page in pages:
            yield from page["Items"]


def _batch_row(item: dict[str, Any]) -> BatchRow:
    updated = _date(item, "updated_at")
    assert updated is not None
    return BatchRow({"pk": item["pk"], "sk": item["sk"]}, _epoch(item, "due_at"), updated)


def _date(item: dict[str, Any], name: str) -> datetime | None:
    return datetime.strptime(item[name]["S"], _DATE) if "S" in item.get(name, {}) else None


def _epoch(item: dict[str, Any], name: str) -> int | None:
    return int(item[name]["N"]) if "N" in item.get(name, {}) else None


def _row(item: dict[str, Any]) -> Row:
    updated = _date(item, "updated_at")
    assert updated is not None
    return Row(
        item["job_id"]["S"],
        item["prefix"]["S"].removeprefix("chaos/"),
        item["status"]["S"],
        int(item["generation"]["N"]),
        int(item["trigger_round"]["N"]),
        int(item["retriggers"]["N"]),
        item["on_uncertain"]["S"],
        bool(item.get("event_sent", {}).get("BOOL")),
        _epoch(item, "due_at"),
        updated,
        _date(item, "finished_at"),
        _date(item, "quiet_until"),
    )


def _written(date: datetime) -> str:
    return date.strftime("%Y-%m-%dT%H:%M:%S.%f+0000")
