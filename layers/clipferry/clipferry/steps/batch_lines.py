"""From the records of a chunk to jobs, and to what the report tells of those that become none.

No record keeps the others from being submitted: whatever is raised for one is told of that one, unless AWS or the
network is at fault. Then the chunk as a whole is tried again.
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
from clipferry.jobs import Job, job_id
from clipferry.redaction import redact
from clipferry.steps.batch_context import BatchContext
from clipferry.steps.submit import admit
from clipferry.store.job_records import NotFound
from clipferry.store.refusals import may_work_later, refusal_of

ERRORS_TOLD = 20  # bad fields of one line in the report

Told = dict[str, Any]  # one line of the report


@dataclass(frozen=True)
class WantedJob:
    """What a record asks for."""

    job: Job
    same: Collection[str]  # fingerprints of its body
    record: ManifestRecord


def read_lines(
    context: BatchContext, batch: Batch, records: Iterable[ManifestRecord]
) -> tuple[list[WantedJob], list[Told]]:
    """The jobs that the records ask for, and what to tell of the other records."""
    layout = ManifestLayout.parse(batch.layout or {})
    wanted: list[WantedJob] = []
    told: list[Told] = []
    for record in records:
        try:
            body = body_of(record, layout, batch.defaults)
            wanted.append(WantedJob(_job(context, batch, body, record.line), fingerprints(body), record))
        except InvalidBody as error:
            told.append(_told(record, error.problem(ERRORS_TOLD)))
        except Exception as error:
            told.append(_failed(context, record, error))
    return wanted, told


def submit_line(context: BatchContext, wanted: WantedJob) -> Told | None:
    """Make the job of a record, once however often; what to tell of the record if its job is not its own."""
    job = wanted.job
    try:
        made = admit(context.rt, job, wanted.same)
    except Exception as error:
        told = _failed(context, wanted.record, error)
        return None if _exists(context, job.job_id) else told  # the sweep starts a job whose row was written
    if made.line == job.line:
        return None
    detail = f"says the same as line {made.line}; both are one job"
    return _told(wanted.record, _problem(HTTPStatus.CONFLICT, "a duplicate line", detail), job_id=made.job_id)


def _job(context: BatchContext, batch: Batch, body: dict[str, Any], line: int) -> Job:
    """The job of a line: its id is a function of the batch and of what the line says. Raises InvalidBody.

    A line of which the first release made a job, under an id that knew 60.0 as another number than 60, is that job.
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


def _failed(context: BatchContext, record: ManifestRecord, error: Exception) -> Told:
    """What to tell of a record that cannot be submitted. Raises the error again when trying later may mend it."""
    if may_work_later(error):
        raise error
    context.rt.logger.exception("a line cannot be submitted", line=record.line)
    if refusal := refusal_of(error):
        detail = f"DynamoDB refuses the job's record: {redact(refusal)}"
        return _told(record, _problem(HTTPStatus.BAD_REQUEST, "the job cannot be recorded", detail))
    detail = "a defect of ours; the log of the function batch says what happened"
    return _told(record, _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the line could not be submitted", detail))


def _told(record: ManifestRecord, problem: dict[str, Any], **more: Any) -> Told:
    where = {"line": record.line} | ({"last_line": record.last_line} if record.last_line > record.line else {})
    return {**where, "problem": problem, **more}


def _problem(status: HTTPStatus, title: str, detail: str) -> dict[str, Any]:
    return {"type": "about:blank", "status": status, "title": title, "detail": detail}
