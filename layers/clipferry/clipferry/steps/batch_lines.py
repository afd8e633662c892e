"""Turns the records of a chunk into jobs, and the records that cannot become jobs into entries of the report.

One bad record does not stop the others: an error becomes the report's entry for that record. Only when the error comes
from AWS or the network, so that a later attempt may succeed, the whole chunk is tried again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from clipferry.batches import Batch
from clipferry.intake.checks import InvalidBody
from clipferry.intake.job_body import new_job
from clipferry.intake.manifest.bodies import body_of
from clipferry.intake.manifest.layout import ManifestLayout
from clipferry.intake.manifest.records import ManifestRecord
from clipferry.intake.values import fingerprints
from clipferry.jobs.job import Job, job_id
from clipferry.redaction import redact
from clipferry.steps.batch_context import BatchContext
from clipferry.steps.submit import admit
from clipferry.store.job_records import NotFound
from clipferry.store.refusals import may_work_later, refusal_of

ERRORS_REPORTED = 20  # the most bad fields that the report names for one line

ReportEntry = dict[str, Any]  # one line of the report


@dataclass(frozen=True)
class WantedJob:
    """The job that a record asks for."""

    job: Job
    same: Collection[str]  # fingerprints of its body
    record: ManifestRecord


def read_lines(
    context: BatchContext, batch: Batch, records: Iterable[ManifestRecord]
) -> tuple[list[WantedJob], list[ReportEntry]]:
    """The jobs that the records ask for, and the report's entries for the other records."""
    layout = ManifestLayout.parse(batch.layout or {})
    wanted: list[WantedJob] = []
    rejected: list[ReportEntry] = []
    for record in records:
        try:
            body = body_of(record, layout, batch.defaults)
            wanted.append(WantedJob(_job(context, batch, body, record.line), fingerprints(body), record))
        except InvalidBody as error:
            rejected.append(_entry(record, error.problem(ERRORS_REPORTED)))
        except Exception as error:
            rejected.append(_failed(context, record, error))
    return wanted, rejected


def submit_line(context: BatchContext, wanted: WantedJob) -> ReportEntry | None:
    """Create the job of a record; a repeated call finds the same job. None: done, else the report's entry.

    The entry says that the job could not be created, or that an earlier line already asked for the same job.
    """
    job = wanted.job
    try:
        made = admit(context.rt, job, wanted.same)
    except Exception as error:
        failed = _failed(context, wanted.record, error)
        return None if _exists(context, job.job_id) else failed  # when the row exists, the sweep starts the job
    if made.line == job.line:
        return None
    detail = f"says the same as line {made.line}; both are one job"
    return _entry(wanted.record, _problem(HTTPStatus.CONFLICT, "a duplicate line", detail), job_id=made.job_id)


def _job(context: BatchContext, batch: Batch, body: dict[str, Any], line: int) -> Job:
    """The job of a line; its id depends only on the batch and the line's body. Raises InvalidBody.

    The first release computed another id for a body with 60.0 than for one with 60. When a job exists under that id, it
    is the job of this line.
    """
    job = new_job(body, context.rt.now(), source=batch.source, line=line)
    job.job_id, earlier = (job_id(job.created_at, f"{batch.source}:{form}") for form in fingerprints(body))
    if earlier != job.job_id and _exists(context, earlier):
        job.job_id = earlier
    return job


def _exists(context: BatchContext, job_id: str) -> bool:
    try:
        context.rt.jobs.load(job_id, with_files=False)
    except NotFound:
        return False
    return True


def _failed(context: BatchContext, record: ManifestRecord, error: Exception) -> ReportEntry:
    """The report's entry for a record that cannot be submitted. Raises the error when a later attempt may succeed."""
    if may_work_later(error):
        raise error
    context.rt.logger.exception("a line cannot be submitted", line=record.line)
    if refusal := refusal_of(error):
        detail = f"DynamoDB refuses the job's record: {redact(refusal)}"
        return _entry(record, _problem(HTTPStatus.BAD_REQUEST, "the job cannot be recorded", detail))
    detail = "a defect of Clipferry; the log of the function batch says what happened"
    return _entry(record, _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the line could not be submitted", detail))


def _entry(record: ManifestRecord, problem: dict[str, Any], **more: Any) -> ReportEntry:
    where = {"line": record.line} | ({"last_line": record.last_line} if record.last_line > record.line else {})
    return {**where, "problem": problem, **more}


def _problem(status: HTTPStatus, title: str, detail: str) -> dict[str, Any]:
    return {"type": "about:blank", "status": status, "title": title, "detail": detail}
