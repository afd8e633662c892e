"""The batches in the jobs table: the batch, the state of each chunk of its lines, and counters.

One transaction writes a chunk's outcome and the counters, or a job's end and the counters (`store.writes.counted`), so
that a repetition after a crash is not counted again. The counters are TALLY_SHARDS items of one partition: reading them
costs the same for ten lines and for a million, and the writes of all jobs are spread over the items.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pynamodb.exceptions import TransactWriteError
from pynamodb.expressions.condition import Condition
from pynamodb.transactions import TransactWrite

from clipferry.batches import BATCH_MOVES, Batch, BatchStatus, Counts
from clipferry.jobs.statuses import JobStatus
from clipferry.store.job_records import TAG_LIFETIME, IllegalMove, NotFound
from clipferry.store.job_rows import shard_of, shards
from clipferry.store.row_values import as_read, attributes_of, value_of
from clipferry.store.rows import BatchRow, ChunkRow, Due, Entry, Item, TallyRow
from clipferry.store.writes import (
    TALLY_SHARDS,
    Superseded,
    condition_failed,
    connection,
    retry_conflicts,
    tally_attribute,
    tally_row,
    update,
)

_DUE = "due-batch"
_STARTED_WITHIN = timedelta(minutes=2)  # an execution that has written nothing for so long was probably not started
_PATIENCE = timedelta(minutes=15)


@dataclass(frozen=True)
class ChunkState:
    """The state of a chunk that was begun."""

    number: int
    job_ids: Sequence[str]
    begun_at: datetime
    done: bool = False  # each of its lines is a job, or is in the report
    cancelled: bool = False
    reported: bool = False  # some of its lines were not accepted


class Batches:
    """The repository."""

    def create(self, batch: Batch) -> tuple[Batch, bool]:
        """Write a new batch with its counters. Returns the batch in the table, and whether this call created it."""
        expires = int((batch.created_at + TAG_LIFETIME).timestamp())
        row = BatchRow(
            _pk(batch.batch_id),
            "BATCH",
            **attributes_of(batch),
            **_due(batch, batch.created_at, _STARTED_WITHIN),
            expires_at=expires,
        )

        def write() -> None:
            with TransactWrite(connection=connection()) as transaction:
                transaction.save(row, condition=BatchRow.pk.does_not_exist())
                for shard in range(TALLY_SHARDS):
                    tally = tally_row(row.pk, shard)
                    tally.expires_at = expires
                    transaction.save(tally)

        try:
            retry_conflicts(write)
        except TransactWriteError as error:
            if not condition_failed(error):
                raise
            return self.load(batch.batch_id), False
        return batch, True

    def load(self, batch_id: str) -> Batch:
        """Raises NotFound."""
        try:
            return _batch(BatchRow.get(_pk(batch_id), "BATCH", consistent_read=True))
        except BatchRow.DoesNotExist:
            raise NotFound(batch_id) from None

    def load_with_counts(self, batch_id: str) -> tuple[Batch, Counts]:
        """The batch and its counters: one query. Raises NotFound."""
        batch, counts = None, Counts()
        for row in Item.query(_pk(batch_id), Item.sk.startswith("BATCH"), consistent_read=True):
            if isinstance(row, BatchRow):
                batch = _batch(row)
            elif isinstance(row, TallyRow):
                _add(counts, row)
        if batch is None:
            raise NotFound(batch_id)
        return batch, counts

    def change(self, batch: Batch, now: datetime, status: BatchStatus | None = None, **changes: Any) -> Batch:
        """Write changes and the new `status`, if the row is still as read. Updates `batch` in place.

        Raises Superseded, IllegalMove.
        """
        target = status or batch.status
        if target is not batch.status and target not in BATCH_MOVES[batch.status]:
            raise IllegalMove(f"batch {batch.status} -> {target}")
        new_execution = changes.get("generation", batch.generation) != batch.generation
        changes |= {"updated_at": now, "status": target}
        due = _due(replace(batch, **changes), now, _STARTED_WITHIN if new_execution else _PATIENCE)
        update(BatchRow(_pk(batch.batch_id), "BATCH"), {**changes, **due}, _as_read(batch))
        for name, value in changes.items():
            setattr(batch, name, value)
        return batch

    def postpone(self, batch: Batch, now: datetime) -> None:
        """Let the sweep check the batch again after _PATIENCE. Raises Superseded."""
        update(BatchRow(_pk(batch.batch_id), "BATCH"), _due(batch, now, _PATIENCE), _as_read(batch))

    def due(self, now: datetime) -> Iterator[str]:
        """Ids of unfinished batches whose row has not changed for too long, oldest first."""
        streams = [
            ((row.due_at, row.pk) for row in Entry.due.query(shard, Due.due_at <= int(now.timestamp())))
            for shard in shards(_DUE)
        ]
        return (pk.removeprefix("BATCH#") for _, pk in heapq.merge(*streams))

    # -- chunks -----------------------------------------------------------------------------------------------

    def chunk(self, batch_id: str, number: int) -> ChunkState | None:
        """The state of a chunk; None when it was never begun."""
        try:
            return _chunk(ChunkRow.get(_pk(batch_id), _sk(number), consistent_read=True))
        except ChunkRow.DoesNotExist:
            return None

    def chunks(self, batch_id: str) -> Iterator[ChunkState]:
        """The chunks that were begun, in order."""
        for row in ChunkRow.query(_pk(batch_id), ChunkRow.sk.startswith("CHUNK#"), consistent_read=True):
            yield _chunk(row)

    def begin(self, batch: Batch, number: int, job_ids: Sequence[str], now: datetime) -> bool:
        """Store which jobs a chunk will create, before it creates them. False when the chunk is done or cancelled."""
        row = self._chunk_row(batch, number)
        values = {
            "kind": ChunkRow,
            "number": number,
            "job_ids": list(job_ids),
            "begun_at": now,
            "done": False,
            "cancelled": False,
            "reported": False,
            "expires_at": row.expires_at,
        }
        return _written(row, values, as_read(ChunkRow.done, False, False))

    def settle(self, batch: Batch, number: int, *, accepted: int, rejected: int, duplicates: int) -> None:
        """Mark a chunk as done and count its lines, in one transaction. May be repeated."""
        counts = {"accepted": accepted, "rejected": rejected, "duplicates": duplicates}
        attributes = TallyRow.get_attributes()
        tally = (
            tally_row(_pk(batch.batch_id), number % TALLY_SHARDS),
            [attributes[name].add(count) for name, count in counts.items() if count],
        )
        values = {"done": True, "reported": bool(rejected or duplicates)}
        _written(
            self._chunk_row(batch, number),
            values,
            as_read(ChunkRow.done, False, False),
            tally if any(counts.values()) else None,
        )

    def close(self, batch: Batch, number: int, now: datetime) -> None:
        """Mark a chunk as cancelled, once all its jobs have ended. A late submission then finds it done."""
        row = self._chunk_row(batch, number)
        if self.chunk(batch.batch_id, number) is None:
            values = {
                "kind": ChunkRow,
                "number": number,
                "job_ids": [],
                "begun_at": now,
                "reported": False,
                "expires_at": row.expires_at,
            }
        else:
            values = {}
        condition = ChunkRow.pk.does_not_exist() if values else ChunkRow.pk.exists()
        update(row, {**values, "done": True, "cancelled": True}, condition)

    @staticmethod
    def _chunk_row(batch: Batch, number: int) -> ChunkRow:
        expires = int((batch.created_at + TAG_LIFETIME).timestamp())
        return ChunkRow(_pk(batch.batch_id), _sk(number), expires_at=expires)


def _written(row: ChunkRow, values: dict[str, Any], condition: Condition, counted: Any = None) -> bool:
    try:
        update(row, values, condition, counted)
    except Superseded:
        return False
    return True


def _pk(batch_id: str) -> str:
    return f"BATCH#{batch_id}"


def _sk(number: int) -> str:
    return f"CHUNK#{number:06d}"


def _batch(row: BatchRow) -> Batch:
    return value_of(row, Batch)


def _chunk(row: ChunkRow) -> ChunkState:
    return value_of(row, ChunkState)


def _add(counts: Counts, row: TallyRow) -> None:
    counts.accepted += int(row.accepted or 0)
    counts.rejected += int(row.rejected or 0)
    counts.duplicates += int(row.duplicates or 0)
    for status in JobStatus:
        if status.terminal:
            counts.ended[status] = counts.ended.get(status, 0) + (getattr(row, tally_attribute(status)) or 0)


def _as_read(batch: Batch) -> Condition:
    condition: Condition = (BatchRow.status == batch.status) & as_read(BatchRow.generation, batch.generation, 1)
    return condition


def _due(batch: Batch, now: datetime, after: timedelta) -> dict[str, Any]:
    """When the sweep should check the batch if nothing changes it before; no index key once it is settled."""
    if batch.status.settled:
        return {"due_shard": None, "due_at": None}
    return {"due_shard": f"{_DUE}#{shard_of(batch.batch_id)}", "due_at": int((now + after).timestamp())}
