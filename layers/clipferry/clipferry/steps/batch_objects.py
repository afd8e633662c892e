"""The objects of a batch in the bucket: its manifest, the progress of reading it, its chunks and its report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import IO, Any, cast

from botocore.exceptions import ClientError

from clipferry.aws.bucket import bucket_owner
from clipferry.batches import Batch
from clipferry.intake.manifest.division import ManifestChunk, ManifestDivision
from clipferry.intake.manifest.layout import RULES, ManifestError, ManifestLayout
from clipferry.intake.manifest.records import ManifestRecord
from clipferry.steps.batch_context import BatchContext

BLOCK = 1024 * 1024  # bytes of the manifest held at a time
READS_AT_ONCE = 16


def blocks(context: BatchContext, batch: Batch, start: int, end: int) -> Iterator[bytes]:
    """The manifest's bytes [start, end). Raises ManifestError, also when the object's content has changed."""
    if start >= end:
        return
    span = f"bytes={start}-{end - 1}"
    try:
        reply = context.s3.get_object(
            Bucket=batch.bucket, Key=batch.key, IfMatch=batch.etag, Range=span, **bucket_owner()
        )
    except ClientError as error:
        match error.response["ResponseMetadata"]["HTTPStatusCode"]:
            case 403 | 404:
                raise ManifestError("MANIFEST_MISSING", "the manifest is no longer in the bucket") from None
            case 412 | 416:
                message = "the manifest was overwritten since the batch was made"
                raise ManifestError("MANIFEST_CHANGED", message) from None
        raise
    yield from reply["Body"].iter_chunks(BLOCK)


def records_of(context: BatchContext, batch: Batch, chunk: ManifestChunk) -> Iterator[ManifestRecord]:
    """The records of a chunk. Raises ManifestError."""
    layout = ManifestLayout.parse(batch.layout or {})
    splitter = layout.splitter(chunk.start, chunk.line)
    for block in blocks(context, batch, chunk.start, chunk.end):
        yield from (record for record in splitter.feed(block) if not layout.skips(record.content))
    yield from (record for record in splitter.end() if not layout.skips(record.content))


def load_division(context: BatchContext, batch: Batch) -> ManifestDivision:
    """The division as an earlier call saved it; a new one when no call has saved any."""
    rules = ManifestLayout.parse(batch.layout).rules if batch.layout else RULES
    try:
        reply = context.s3.get_object(Bucket=batch.bucket, Key=batch.progress_key, **bucket_owner())
    except ClientError as error:
        # S3 says 403 instead of 404 to a caller without permission to list the bucket.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (403, 404):
            raise
        return ManifestDivision(batch.format, rules)
    return ManifestDivision.parse(reply["Body"].read(), rules)


def save_division(context: BatchContext, batch: Batch, division: ManifestDivision) -> None:
    """Save the division, so that the next call continues it."""
    _put(context, batch, batch.progress_key, division.dump())


def save_chunks(context: BatchContext, batch: Batch, chunks: Sequence[ManifestChunk]) -> None:
    """Write the list that the state machine's Map states read; each chunk is one item."""
    _put(context, batch, batch.index_key, json.dumps([asdict(chunk) for chunk in chunks]))


def save_rejected(context: BatchContext, batch: Batch, chunk: int, entries: Sequence[dict[str, Any]]) -> None:
    """Save a chunk's part of the report."""
    _put(context, batch, batch.rejected_key(chunk), "".join(f"{json.dumps(entry)}\n" for entry in entries))


def save_report(context: BatchContext, batch: Batch, chunks: Sequence[int]) -> None:
    """Write the report next to the manifest: the parts of these chunks, in order."""
    from boto3.s3.transfer import TransferConfig

    context.s3.upload_fileobj(
        cast("IO[bytes]", _Joined(_rejected(context, batch, chunks))),
        batch.bucket,
        batch.report_key,
        ExtraArgs={"ContentType": "application/jsonl", **bucket_owner()},
        Config=TransferConfig(use_threads=False),
    )
    batch.report = batch.report_key


def _rejected(context: BatchContext, batch: Batch, chunks: Sequence[int]) -> Iterator[bytes]:
    def get(chunk: int) -> bytes:
        key = batch.rejected_key(chunk)
        return context.s3.get_object(Bucket=batch.bucket, Key=key, **bucket_owner())["Body"].read()

    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        for first in range(0, len(chunks), 4 * READS_AT_ONCE):
            yield from pool.map(get, chunks[first : first + 4 * READS_AT_ONCE])


def _put(context: BatchContext, batch: Batch, key: str, text: str) -> None:
    kind = "application/json"
    context.s3.put_object(Bucket=batch.bucket, Key=key, Body=text.encode(), ContentType=kind, **bucket_owner())


class _Joined:
    """Reads an iterator of bytes as one file, with at most two pieces in memory."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held = pieces, b""

    def read(self, size: int = -1) -> bytes:
        found, have = [self._held], len(self._held)
        while size < 0 or have < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            found.append(piece)
            have += len(piece)
        whole = b"".join(found)
        self._held = whole[size:] if size >= 0 else b""
        return whole[:size] if size >= 0 else whole
