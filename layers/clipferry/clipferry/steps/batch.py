"""A batch's execution: divide the manifest, submit each line once, tell what was not accepted.

Every step may be repeated after any crash, and an execution may be stopped anywhere and another one started:
the chunks are a function of the manifest's content, a line's job id is a function of the batch and the line's body, and
a chunk is counted in the write that makes it done. So a line that comes again finds its job, and a line that says the
same as another finds the other's: it is told as a duplicate and costs nothing more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from http import HTTPStatus
from typing import IO, Any, cast

from botocore.exceptions import ClientError

from clipferry.batches import Batch, BatchStatus
from clipferry.intake.job_body import InvalidBody, new_job
from clipferry.intake.manifest import Chunk, Index, Line, Lines, ManifestError, body_of, read_layout
from clipferry.intake.values import fingerprints
from clipferry.jobs import Job, Problem, job_id
from clipferry.steps.batch_requests import Bulk
from clipferry.steps.finish import bucket_owner
from clipferry.steps.submit import admit
from clipferry.store.job_records import NotFound, Superseded

BLOCK = 1024 * 1024  # bytes of the manifest held at a time
RESERVE = 30.0  # seconds of a call kept back to write down how far it came
ERRORS_TOLD = 20  # bad fields of one line in the report
PARTS_AT_ONCE = 16

Told = dict[str, Any]  # one line of the report


def prepare(bulk: Bulk, batch_id: str, generation: int, time_left: Callable[[], float]) -> dict[str, Any]:
    """Divide the manifest into chunks, as far as the time allows. Raises NotFound."""
    batch = bulk.batches.load(batch_id)
    if batch.generation != generation:
        return _state(batch, generation, "STOP")
    if batch.status.settled:  # an answer of this step was lost
        return _state(batch, generation, "CLOSE")
    if batch.status is BatchStatus.CANCELLING:
        return _state(batch, generation, "CANCEL" if batch.chunks else "CLOSE")
    if batch.status is BatchStatus.SUBMITTING:
        return _state(batch, generation, "SUBMIT")
    try:
        index = _read_on(bulk, batch, time_left)
    except ManifestError as error:
        return _end(bulk, batch, BatchStatus.FAILED, Problem(error.code, error.message))
    if index is None:
        return _state(batch, generation, "PREPARE")
    _put(bulk, batch.bucket, batch.index_key, json.dumps([asdict(chunk) for chunk in index.chunks]))
    assert index.layout is not None  # noqa: S101 - an index without a layout has no lines, and was refused
    try:
        bulk.batches.change(
            batch,
            bulk.rt.now(),
            BatchStatus.SUBMITTING,
            layout=asdict(index.layout),
            lines=index.lines,
            chunks=len(index.chunks),
        )
    except Superseded:
        return _state(batch, generation, "STOP")
    return _state(batch, generation, "SUBMIT")


def submit_chunk(bulk: Bulk, batch_id: str, generation: int, place: Mapping[str, int]) -> bool:
    """Submit the lines of one chunk, each once. False when this execution has no say any more. Raises NotFound."""
    batch, chunk = bulk.batches.load(batch_id), Chunk(**place)
    if not _submitting(batch, generation):
        return False
    known = bulk.batches.chunk(batch_id, chunk.number)
    if known and known.done:
        return True
    try:
        wanted, told = _judge(bulk, batch, list(_lines(bulk, batch, chunk)))
    except ManifestError as error:
        _end(bulk, batch, BatchStatus.FAILED, Problem(error.code, error.message))
        return False
    # Written down before it is looked whether the batch is being cancelled: a cancel that this call does not see is
    # one that sees this call's jobs.
    if not bulk.batches.begin(batch, chunk.number, [job.job_id for job, _ in wanted], bulk.rt.now()):
        return True
    if not _submitting(bulk.batches.load(batch_id), generation):
        return False
    rejected, accepted = len(told), 0
    for job, same in wanted:
        made = admit(bulk.rt, bulk.logger, job, same)
        if made.line == job.line:
            accepted += 1
        else:
            told.append(_duplicate(job, made))
    if told:
        told.sort(key=lambda entry: entry["line"])
        _put(bulk, batch.bucket, batch.rejected_key(chunk.number), "".join(f"{json.dumps(e)}\n" for e in told))
    bulk.batches.settle(batch, chunk.number, accepted=accepted, rejected=rejected, duplicates=len(told) - rejected)
    return True


def close(bulk: Bulk, batch_id: str, generation: int) -> dict[str, Any]:
    """The end of an execution: the report, and the status that what was done amounts to. Raises NotFound."""
    batch = bulk.batches.load(batch_id)
    if batch.generation != generation:
        return _state(batch, generation, "STOP")
    if batch.status is BatchStatus.SUBMITTING:
        left = _report(bulk, batch)
        if not left:
            return _end(bulk, batch, BatchStatus.SUBMITTED)
        message = f"{left} of {batch.chunks} chunks of lines could not be submitted; the batch function's log says why"
        return _end(bulk, batch, BatchStatus.FAILED, Problem("LINES_LEFT", message))
    if batch.status is BatchStatus.CANCELLING:
        if batch.chunks:
            if not batch.report:
                _report(bulk, batch)
            closed = sum(chunk.cancelled for chunk in bulk.batches.chunks(batch_id))
            if closed < batch.chunks:  # the sweep starts it again
                return _state(batch, generation, "FAILED")
        return _end(bulk, batch, BatchStatus.CANCELLED)
    if batch.status is BatchStatus.FAILED:
        if batch.chunks and not batch.report:  # it failed while it was submitted: told is what was rejected until then
            _report(bulk, batch)
            return _end(bulk, batch, BatchStatus.FAILED, batch.error)
        return _state(batch, generation, "FAILED")
    return _state(batch, generation, "END")


def _submitting(batch: Batch, generation: int) -> bool:
    return batch.generation == generation and batch.status is BatchStatus.SUBMITTING


def _end(bulk: Bulk, batch: Batch, status: BatchStatus, problem: Problem | None = None) -> dict[str, Any]:
    generation = batch.generation
    if problem:
        bulk.logger.error("the batch failed", batch_id=batch.batch_id, code=problem.code, reason=problem.message)
    try:
        bulk.batches.change(batch, bulk.rt.now(), status, error=problem, finished_at=bulk.rt.now(), report=batch.report)
    except Superseded:
        return _state(batch, generation, "STOP")
    return _state(batch, generation, "FAILED" if problem else "END")


def _state(batch: Batch, generation: int, following: str) -> dict[str, Any]:
    """`next`: PREPARE, SUBMIT, CANCEL, CLOSE, END, FAILED or STOP (this generation has been superseded)."""
    return {
        "batch_id": batch.batch_id,
        "generation": generation,
        "next": following,
        "status": batch.status.value,
        "index_key": batch.index_key,
    }


# -- reading -----------------------------------------------------------------------------------------------------------


def _read_on(bulk: Bulk, batch: Batch, time_left: Callable[[], float]) -> Index | None:
    """The whole index; None when the time was short, and what is done of it written down. Raises ManifestError."""
    index = _progress(bulk, batch)
    lines = Lines(index.offset, index.next_line)
    last = index.next_line - 1
    for block in _blocks(bulk, batch, index.offset, batch.size):
        for line in lines.feed(block):
            index.add(line)
            last = line.number
        if time_left() < RESERVE:
            _put(bulk, batch.bucket, batch.progress_key, index.dump())
            return None
    for line in lines.end():
        index.add(line)
        last = line.number
    index.close(batch.size, last + 1)
    return index


def _progress(bulk: Bulk, batch: Batch) -> Index:
    """How far an earlier call came."""
    try:
        reply = bulk.s3.get_object(Bucket=batch.bucket, Key=batch.progress_key, **bucket_owner())
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (403, 404):  # 403: S3 tells only whom may list
            raise
        return Index(batch.format)
    return Index.parse(reply["Body"].read())


def _lines(bulk: Bulk, batch: Batch, chunk: Chunk) -> Iterator[Line]:
    lines = Lines(chunk.start, chunk.line)
    for block in _blocks(bulk, batch, chunk.start, chunk.end):
        yield from lines.feed(block)
    yield from lines.end()


def _blocks(bulk: Bulk, batch: Batch, start: int, end: int) -> Iterator[bytes]:
    """The manifest's bytes [start, end), of the content the batch was made for and no other. Raises ManifestError."""
    if start >= end:
        return
    try:
        reply = bulk.s3.get_object(
            Bucket=batch.bucket, Key=batch.key, IfMatch=batch.etag, Range=f"bytes={start}-{end - 1}", **bucket_owner()
        )
    except ClientError as error:
        match error.response["ResponseMetadata"]["HTTPStatusCode"]:
            case 403 | 404:
                raise ManifestError("MANIFEST_MISSING", "the manifest is no longer in the bucket") from None
            case 412 | 416:
                raise ManifestError(
                    "MANIFEST_CHANGED", "the manifest was overwritten since the batch was made"
                ) from None
        raise
    yield from reply["Body"].iter_chunks(BLOCK)


def _put(bulk: Bulk, bucket: str, key: str, text: str) -> None:
    bulk.s3.put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="application/json", **bucket_owner())


# -- judging -----------------------------------------------------------------------------------------------------------


def _judge(bulk: Bulk, batch: Batch, lines: list[Line]) -> tuple[list[tuple[Job, Collection[str]]], list[Told]]:
    """The jobs that a chunk's lines ask for, each with its body's fingerprints, and what to tell of the others."""
    layout = read_layout(batch.layout or {})
    wanted: list[tuple[Job, Collection[str]]] = []
    told: list[Told] = []
    for line in lines:
        if layout.blank(line.content):
            continue
        try:
            body = body_of(line.content, layout, batch.defaults)
            wanted.append((_job(bulk, batch, body, line.number), fingerprints(body)))
        except InvalidBody as error:
            told.append({"line": line.number, "problem": error.problem(ERRORS_TOLD)})
    return wanted, told


def _job(bulk: Bulk, batch: Batch, body: Mapping[str, Any], line: int) -> Job:
    """The job of a line: its id is a function of the batch and of what the line says. Raises InvalidBody."""
    job = new_job(body, bulk.rt.now(), source=batch.source, line=line)
    now_known_by, earlier = (job_id(job.created_at, f"{batch.source}:{form}") for form in fingerprints(body))
    job.job_id = earlier if earlier != now_known_by and _exists(bulk, earlier) else now_known_by
    return job


def _exists(bulk: Bulk, job_id: str) -> bool:
    try:
        bulk.rt.jobs.load(job_id, with_files=False)
    except NotFound:
        return False
    return True


def _duplicate(job: Job, made: Job) -> Told:
    problem = {
        "type": "about:blank",
        "status": HTTPStatus.CONFLICT,
        "title": "a duplicate line",
        "detail": f"says the same as line {made.line}; both are one job",
    }
    return {"line": job.line, "problem": problem, "job_id": made.job_id}


# -- the report --------------------------------------------------------------------------------------------------------


def _report(bulk: Bulk, batch: Batch) -> int:
    """Write the rejected lines next to the manifest, in order, if there are any; how many chunks are not done."""
    done, reported = 0, []
    for chunk in bulk.batches.chunks(batch.batch_id):
        done += chunk.done
        if chunk.reported:
            reported.append(chunk.number)
    if reported:
        from boto3.s3.transfer import TransferConfig

        bulk.s3.upload_fileobj(
            cast("IO[bytes]", _Joined(_parts(bulk, batch, reported))),
            batch.bucket,
            batch.report_key,
            ExtraArgs={"ContentType": "application/jsonl", **bucket_owner()},
            Config=TransferConfig(use_threads=False),
        )
        batch.report = batch.report_key
    return (batch.chunks or 0) - done


def _parts(bulk: Bulk, batch: Batch, numbers: list[int]) -> Iterator[bytes]:
    def get(number: int) -> bytes:
        key = batch.rejected_key(number)
        return bulk.s3.get_object(Bucket=batch.bucket, Key=key, **bucket_owner())["Body"].read()

    with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
        for first in range(0, len(numbers), 4 * PARTS_AT_ONCE):
            yield from pool.map(get, numbers[first : first + 4 * PARTS_AT_ONCE])


class _Joined:
    """Pieces of bytes as one file to read, a piece or two of them in memory."""

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
