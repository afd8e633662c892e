"""What users can do with batches: create one from a manifest in the bucket, cancel it, resume it, get links."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from clipferry.aws import executions
from clipferry.aws.bucket import bucket_owner
from clipferry.batches import Batch, BatchStatus
from clipferry.intake.batch_body import MANIFEST_MAX, PREFIX, check_batch, check_upload, format_of
from clipferry.intake.checks import FieldError, InvalidBody
from clipferry.intake.values import canonical, fingerprint, fingerprints
from clipferry.jobs.job import job_id
from clipferry.settings import settings
from clipferry.steps.batch_context import BatchContext
from clipferry.steps.links import LINK_SECONDS
from clipferry.store.job_records import NotFound, Superseded

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

MOVE_ATTEMPTS = 5
UPLOAD_SECONDS = 3600  # how long an upload link is valid


class NotForBatch(Exception):
    """The batch's status does not allow the request."""


class BatchKeyReused(Exception):
    """An earlier request had the same idempotency key and another body."""


def upload_link(context: BatchContext, body: Mapping[str, Any]) -> dict[str, Any]:
    """A link for the PUT of a manifest, and the `manifest` value for `POST /batches` after it. Raises InvalidBody."""
    check_upload(body)
    now = context.rt.now()
    key = f"{PREFIX}{now:%Y/%m/%d}/{job_id(now)}.{body.get('format', 'jsonl')}"
    bucket = settings().bucket_name
    url = context.s3.generate_presigned_url(
        "put_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=UPLOAD_SECONDS
    )
    return {"manifest": {"bucket": bucket, "key": key}, "method": "PUT", "url": url, "expires_in": UPLOAD_SECONDS}


def report_link(context: BatchContext, batch_id: str) -> dict[str, Any]:
    """A presigned link to the report of the rejected lines. Raises NotFound, NotForBatch."""
    batch = context.batches.load(batch_id)
    if batch.report is None:
        raise NotForBatch(f"a batch that is {batch.status} has no report, or none of its lines was rejected")
    place = {"Bucket": batch.bucket, "Key": batch.report}
    url = context.s3.generate_presigned_url("get_object", Params=place, ExpiresIn=LINK_SECONDS)
    return {"url": url, "expires_in": LINK_SECONDS}


def open_batch(context: BatchContext, body: Mapping[str, Any], *, key: str | None = None) -> Batch:
    """Create the batch and start it. The same body and the same manifest content give the same batch each time.

    With a `key` the same body gives the same batch even if the content has changed. Raises InvalidBody, BatchKeyReused.
    """
    check_batch(body, settings().bucket_name)
    if key:
        try:
            return _started(context, context.batches.load(job_id(context.rt.now(), f"batch-key:{key}")), body)
        except NotFound:
            pass
    found = _head(context, body["manifest"])
    wanted = _new_batch(context, body, found["ETag"], found["ContentLength"], key)
    batch = (None if key else _made_before(context, wanted, body)) or context.batches.create(wanted)[0]
    return _started(context, batch, body)


def cancel(context: BatchContext, batch_id: str) -> Batch:
    """Submit no further lines, and start an execution that cancels the unfinished jobs. Raises NotFound."""
    for _ in range(MOVE_ATTEMPTS):
        batch = context.batches.load(batch_id)
        if batch.status in (BatchStatus.CANCELLING, BatchStatus.CANCELLED):
            return batch
        try:
            return _take_over(context, batch, BatchStatus.CANCELLING, cancelled_at=context.rt.now())
        except Superseded:
            continue
    raise Superseded(batch_id)


def resume(context: BatchContext, batch_id: str) -> Batch:
    """Continue a batch that failed, or whose execution was stopped. No line is submitted twice.

    The job's row shows that a line was submitted. So a batch is refused when it is older than rows are kept.
    Raises NotFound, NotForBatch, Superseded.
    """
    batch = context.batches.load(batch_id)
    if batch.status in (BatchStatus.SUBMITTED, BatchStatus.CANCELLED):
        raise NotForBatch(f"a batch that is {batch.status} cannot be resumed")
    kept = timedelta(days=settings().retention_days)
    if not batch.cancelled_at and context.rt.now() > batch.created_at + kept:
        reason = f"a batch older than the {kept.days} days that jobs are kept cannot be resumed; post it again"
        raise NotForBatch(reason)
    status = batch.status
    if status is BatchStatus.FAILED:
        status = BatchStatus.CANCELLING if batch.cancelled_at else BatchStatus.READING
    return _take_over(context, batch, status, restarts=0)


def _take_over(context: BatchContext, batch: Batch, status: BatchStatus, **changes: Any) -> Batch:
    """Give the batch to a new execution. Each later step of the old execution finds that it has been superseded."""
    context.batches.change(
        batch, context.rt.now(), status, generation=batch.generation + 1, error=None, finished_at=None, **changes
    )
    _start(context, batch)
    return batch


def _head(context: BatchContext, manifest: Mapping[str, Any]) -> HeadObjectOutputTypeDef:
    try:
        found = context.s3.head_object(Bucket=settings().bucket_name, Key=manifest["key"], **bucket_owner())
    except ClientError as error:
        # S3 says 403 instead of 404 to a caller without permission to list the bucket.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (403, 404):
            raise
        raise InvalidBody([FieldError("/manifest/key", "no such object in the bucket")]) from None
    if "etag" in manifest and manifest["etag"].strip('"') != found["ETag"].strip('"'):
        raise InvalidBody([FieldError("/manifest/etag", "the object has another content")])
    if found["ContentLength"] > MANIFEST_MAX:
        raise InvalidBody([FieldError("/manifest/key", f"must be at most {MANIFEST_MAX} bytes")])
    return found


def _new_batch(context: BatchContext, body: Mapping[str, Any], etag: str, size: int, key: str | None) -> Batch:
    manifest, now = body["manifest"], context.rt.now()
    return Batch(
        batch_id=job_id(now, f"batch-key:{key}" if key else _seed(manifest["key"], etag, fingerprint(body))),
        status=BatchStatus.READING,
        bucket=settings().bucket_name,
        key=manifest["key"],
        etag=etag,
        size=size,
        format=format_of(manifest["key"], body.get("format")) or "",
        created_at=now,
        updated_at=now,
        fingerprint=fingerprint(body),
        defaults=canonical(body.get("defaults", {})),
    )


def _seed(key: str, etag: str, form: str) -> str:
    return f"batch:{settings().bucket_name}/{key}:{etag}:{form}"


def _made_before(context: BatchContext, wanted: Batch, body: Mapping[str, Any]) -> Batch | None:
    """The batch that the first release made of the same body. It computed another id for 60.0 than for 60."""
    form, earlier = fingerprints(body)
    if earlier == form:
        return None
    try:
        return context.batches.load(job_id(wanted.created_at, _seed(wanted.key, wanted.etag, earlier)))
    except NotFound:
        return None


def _started(context: BatchContext, batch: Batch, body: Mapping[str, Any]) -> Batch:
    if batch.fingerprint not in fingerprints(body):
        raise BatchKeyReused
    if batch.status is BatchStatus.READING:
        _start(context, batch)
    return batch


def _start(context: BatchContext, batch: Batch) -> None:
    """Start the execution; when this fails, the sweep starts it later."""
    try:
        executions.start_batch(batch)
    except (ClientError, BotoCoreError) as error:
        context.rt.logger.error(
            "execution not started, the sweep will", batch_id=batch.batch_id, reason=type(error).__name__
        )
