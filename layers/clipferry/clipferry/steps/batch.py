"""A batch's execution: divide the manifest, submit each line once, report what was not accepted.

Every step may be repeated after any crash, and an execution may be stopped anywhere and another one started. This is
safe because the chunks depend only on the manifest's content, a line's job id depends only on the batch and the line's
body, and the write that marks a chunk as done also counts it. So a line that is submitted again finds its own job. A
line with the same body as an earlier line finds the job of that line, and is reported as a duplicate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clipferry.batches import Batch, BatchStatus
from clipferry.intake.manifest.division import ManifestChunk, ManifestDivision
from clipferry.intake.manifest.layout import ManifestError
from clipferry.jobs.problems import Problem
from clipferry.steps.batch_context import BatchContext
from clipferry.steps.batch_lines import ReportEntry, WantedJob, read_lines, submit_line
from clipferry.steps.batch_objects import (
    blocks,
    load_division,
    records_of,
    save_chunks,
    save_division,
    save_rejected,
    save_report,
)
from clipferry.store.job_records import Superseded

RESERVE = 30.0  # seconds of a call reserved for storing its progress


def prepare(context: BatchContext, batch_id: str, generation: int, time_left: Callable[[], float]) -> dict[str, Any]:
    """Divide the manifest into chunks, as far as the time allows. Raises NotFound."""
    batch = context.batches.load(batch_id)
    if batch.generation != generation:
        return _state(batch, generation, "STOP")
    if batch.status.settled:  # this step is repeated, because its earlier result was lost
        return _state(batch, generation, "CLOSE")
    if batch.status is BatchStatus.CANCELLING:
        return _state(batch, generation, "CANCEL" if batch.chunks else "CLOSE")
    if batch.status is BatchStatus.SUBMITTING:
        return _state(batch, generation, "SUBMIT")
    try:
        division = _divide(context, batch, time_left)
    except ManifestError as error:
        return _end(context, batch, BatchStatus.FAILED, Problem(error.code, error.message))
    if division is None:
        return _state(batch, generation, "PREPARE")
    save_chunks(context, batch, division.chunks)
    found = {"layout": division.layout.stored(), "lines": division.lines, "chunks": len(division.chunks)}
    try:
        context.batches.change(batch, context.rt.now(), BatchStatus.SUBMITTING, **found)
    except Superseded:
        return _state(batch, generation, "STOP")
    return _state(batch, generation, "SUBMIT")


def _divide(context: BatchContext, batch: Batch, time_left: Callable[[], float]) -> ManifestDivision | None:
    """The whole division; None when the time did not suffice and the progress was stored. Raises ManifestError."""
    division = load_division(context, batch)
    for block in blocks(context, batch, division.offset, batch.size):
        division.feed(block)
        if time_left() < RESERVE:
            save_division(context, batch, division)
            return None
    division.finish()
    return division


def submit_chunk(context: BatchContext, batch_id: str, generation: int, place: Mapping[str, int]) -> bool:
    """Submit the lines of one chunk, each once. False when this execution has been superseded. Raises NotFound."""
    batch, chunk = context.batches.load(batch_id), ManifestChunk(**place)
    if not _submitting(batch, generation):
        return False
    known = context.batches.chunk(batch_id, chunk.number)
    if known and known.done:
        return True
    try:
        wanted, rejected = read_lines(context, batch, records_of(context, batch, chunk))
    except ManifestError as error:
        _end(context, batch, BatchStatus.FAILED, Problem(error.code, error.message))
        return False
    # The order matters: the job ids are stored first, and the batch is read again after that. If this read does not
    # show a cancel, the cancel comes later, and then it finds the job ids.
    job_ids = [each.job.job_id for each in wanted]
    if not context.batches.begin(batch, chunk.number, job_ids, context.rt.now()):
        return True
    if not _submitting(context.batches.load(batch_id), generation):
        return False
    _submit(context, batch, chunk, wanted, rejected)
    return True


def _submit(
    context: BatchContext, batch: Batch, chunk: ManifestChunk, wanted: list[WantedJob], rejected: list[ReportEntry]
) -> None:
    """Create the jobs of a chunk, save its entries of the report, and count the chunk as done."""
    refused = [entry for each in wanted if (entry := submit_line(context, each))]
    entries = sorted([*rejected, *refused], key=lambda entry: entry["line"])
    if entries:
        save_rejected(context, batch, chunk.number, entries)
    duplicates = sum("job_id" in entry for entry in refused)
    context.batches.settle(
        batch,
        chunk.number,
        accepted=len(wanted) - len(refused),
        rejected=len(entries) - duplicates,
        duplicates=duplicates,
    )


def close(context: BatchContext, batch_id: str, generation: int) -> dict[str, Any]:
    """End the execution: write the report and the batch's last status. Raises NotFound."""
    batch = context.batches.load(batch_id)
    if batch.generation != generation:
        return _state(batch, generation, "STOP")
    match batch.status:
        case BatchStatus.SUBMITTING:
            return _close_submitted(context, batch)
        case BatchStatus.CANCELLING:
            return _close_cancelled(context, batch)
        case BatchStatus.FAILED:
            return _close_failed(context, batch)
    return _state(batch, generation, "END")


def _close_submitted(context: BatchContext, batch: Batch) -> dict[str, Any]:
    left = _report(context, batch)
    if not left:
        return _end(context, batch, BatchStatus.SUBMITTED)
    message = f"{left} of {batch.chunks} chunks of lines could not be submitted; the batch function's log says why"
    return _end(context, batch, BatchStatus.FAILED, Problem("LINES_LEFT", message))


def _close_cancelled(context: BatchContext, batch: Batch) -> dict[str, Any]:
    if batch.chunks:
        if not batch.report:
            _report(context, batch)
        cancelled = sum(chunk.cancelled for chunk in context.batches.chunks(batch.batch_id))
        if cancelled < batch.chunks:  # the execution fails, and the sweep starts another one for the rest
            return _state(batch, batch.generation, "FAILED")
    return _end(context, batch, BatchStatus.CANCELLED)


def _close_failed(context: BatchContext, batch: Batch) -> dict[str, Any]:
    if batch.chunks and not batch.report:  # some lines may have been rejected before the batch failed
        _report(context, batch)
        return _end(context, batch, BatchStatus.FAILED, batch.error)
    return _state(batch, batch.generation, "FAILED")


def _submitting(batch: Batch, generation: int) -> bool:
    return batch.generation == generation and batch.status is BatchStatus.SUBMITTING


def _end(context: BatchContext, batch: Batch, status: BatchStatus, problem: Problem | None = None) -> dict[str, Any]:
    generation = batch.generation
    if problem:
        context.rt.logger.error("the batch failed", batch_id=batch.batch_id, code=problem.code, reason=problem.message)
    try:
        context.batches.change(
            batch, context.rt.now(), status, error=problem, finished_at=context.rt.now(), report=batch.report
        )
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


def _report(context: BatchContext, batch: Batch) -> int:
    """Write the rejected lines, in order, to an object next to the manifest; return how many chunks are not done."""
    done, reported = 0, []
    for chunk in context.batches.chunks(batch.batch_id):
        done += chunk.done
        if chunk.reported:
            reported.append(chunk.number)
    if reported:
        save_report(context, batch, reported)
    return (batch.chunks or 0) - done
