"""How a row is written: on a condition, again after a conflict of transactions, and with the batch's counters."""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from pynamodb.connection import Connection
from pynamodb.exceptions import PutError, TransactWriteError, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from clipferry.jobs.job import Job
from clipferry.jobs.statuses import JobStatus
from clipferry.settings import CONNECT_MAX, READ_MAX
from clipferry.store.rows import BatchRow, ChunkRow, FileRow, JobRow, TallyRow

CONFLICT_WAITS = (0.05, 0.1, 0.2, 0.4, 0.8)  # seconds; a conflict of two transactions on one row is short
TALLY_SHARDS = 16  # of a batch's counters, because many of its jobs end at the same time


class Superseded(Exception):
    """The row has changed since it was read: another generation, a cancel, or the job's end."""


@cache
def connection() -> Connection:
    """The connection for transactions, because a model's own connection has none. Making it costs 0.1 to 0.2 s."""
    return Connection(connect_timeout_seconds=CONNECT_MAX, read_timeout_seconds=READ_MAX)


def tally_row(batch_pk: str, shard: int) -> TallyRow:
    return TallyRow(batch_pk, f"BATCH#tally#{shard:02d}")


def tally_attribute(status: JobStatus) -> str:
    """The counter of jobs that ended with this status. (`cancelled` is an attribute of chunks.)"""
    return "cancelled_jobs" if status is JobStatus.CANCELLED else status.value.lower()


def counted(job: Job, target: JobStatus) -> tuple[TallyRow, list[Action]] | None:
    """How a change of status changes the counters of the job's batch: the end adds 1, a retry subtracts 1."""
    if not (job.source or "").startswith("batch#") or job.status.terminal == target.terminal:
        return None
    status, by = (target, 1) if target.terminal else (job.status, -1)
    batch_pk = f"BATCH#{(job.source or '').removeprefix('batch#')}"
    row = tally_row(batch_pk, zlib.crc32(job.job_id.encode()) % TALLY_SHARDS)
    return row, [TallyRow.get_attributes()[tally_attribute(status)].add(by)]


def actions_of(model: type[Model], values: Mapping[str, Any]) -> list[Action]:
    """Actions that set attributes to these values; None removes the attribute."""
    attributes = model.get_attributes()
    return [
        attributes[name].remove() if value is None else attributes[name].set(value) for name, value in values.items()
    ]


def update(
    row: JobRow | FileRow | BatchRow | ChunkRow,
    values: Mapping[str, Any],
    condition: Condition,
    tally: tuple[TallyRow, list[Action]] | None = None,
) -> None:
    """Write the row and the counters in one transaction, so that a repeated write is counted once.

    Raises Superseded when the condition fails.
    """
    actions = actions_of(type(row), values)

    def write() -> None:
        if tally is None:
            row.update(actions=actions, condition=condition)
            return
        with TransactWrite(connection=connection()) as transaction:
            transaction.update(row, actions=actions, condition=condition)
            transaction.update(tally[0], actions=tally[1])

    try:
        retry_conflicts(write)
    except (UpdateError, TransactWriteError) as error:
        if not condition_failed(error):
            raise
        raise Superseded(row.pk) from error


def retry_conflicts(write: Callable[[], None]) -> None:
    """Write; try again after a short wait when another transaction holds one of the rows."""
    waits = iter(CONFLICT_WAITS)
    while True:
        try:
            write()
        except (PutError, UpdateError, TransactWriteError) as error:
            wait = next(waits, None) if _refused_for(error, "TransactionConflict") else None
            if wait is None:
                raise
            time.sleep(wait * random.uniform(0.5, 1.5))
        else:
            return


def condition_failed(error: PutError | UpdateError | TransactWriteError) -> bool:
    return _refused_for(error, "ConditionalCheckFailed")


def _refused_for(error: PutError | UpdateError | TransactWriteError, reason: str) -> bool:
    """Whether DynamoDB gives this reason: in the error's code, or in a transaction for one of the writes."""
    if isinstance(error, TransactWriteError):
        return any(given is not None and given.code == reason for given in error.cancellation_reasons)
    return error.cause_response_code == f"{reason}Exception"
