"""Reads the jobs' rows directly from the table, and shortens the stack's waits by changing dates in the rows.

The stack waits in real seconds before it decides that something is lost: up to ten minutes before the sweep looks at a
row, two minutes for a call that may still work on a job. The vendors and the state machine run a hundred times as fast.
So the campaign moves a row's dates back when no call can still run, because no fault delays a call for so long. It
changes nothing else in a row.
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

CALL_LIFETIME = timedelta(seconds=120)  # the longest time of one call of a function, as the stack assumes
_DATE = "%Y-%m-%dT%H:%M:%S.%f%z"


@dataclass(frozen=True)
class Row:
    """What the campaign needs to know about one job."""

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
        """Whether the job has ended and all duties of its end are done."""
        return self.terminal and self.event_sent


@dataclass(frozen=True)
class BatchRow:
    """What the campaign needs to know about one batch."""

    key: dict[str, Any]
    due_at: int | None
    updated_at: datetime


class Rows:
    """The rows of all jobs. While `watch` runs, they are at most a moment old."""

    def __init__(self, stack: Stack, longest_call: float) -> None:
        self._table, self._dynamodb = stack.outputs["TableName"], stack.client("dynamodb")
        self._longest = timedelta(seconds=longest_call)
        self._known: dict[str, Row] = {}
        self._batches: list[BatchRow] = []
        self._ended = threading.Event()
        self.untouched = threading.Lock()  # held while the table must not change

    def of(self, mark: str) -> Row | None:
        return self._known.get(mark)

    def all(self) -> list[Row]:
        return list(self._known.values())

    def look(self) -> None:
        self._known = {row.mark: row for row in map(_row, self._read("JOB"))}
        self._batches = [_batch_row(item) for item in self._read("BATCH")]

    def watch(self, every: float) -> None:
        """Read the rows and shorten their waits, until `end`. The emulator may be stopped for some time."""
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
        """Whether `end` was called."""
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
        """Move a date back by a call's lifetime, when the longest possible call has ended."""
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
            return  # the stack has just changed the date

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
