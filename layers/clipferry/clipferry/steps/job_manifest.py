"""Writes `manifest.json`, the object beside the files of an ended job. It holds the job as the API shows it.

A user may retry a job while the duties of its first end still run. So the manifest is written on a condition that S3
checks (PutObject with `If-Match` or `If-None-Match`): an earlier end never overwrites the manifest of a later one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from clipferry.aws.bucket import bucket_owner
from clipferry.jobs.job import Job
from clipferry.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WRITES = 5  # attempts of one call, when others write at the same time
#: S3's error codes when another write came first or is under way, or when the object to overwrite has been deleted.
_CONFLICTS = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")


class ManifestContended(Exception):
    """Each attempt met another write at the same time. The state machine calls again."""


def write_manifest(s3: S3Client, job: Job, check: Callable[[], None]) -> None:
    """Write the manifest; a repeated call writes the same content. `check` raises when a user has retried the job.

    The ETag is read before the check. When a later end writes after the check, the ETag differs, and the write here
    fails on its condition.
    """
    place: dict[str, Any] = {"Bucket": settings().bucket_name, "Key": job.manifest_key, **bucket_owner()}
    body = json.dumps(job.public(), indent=1, ensure_ascii=False).encode()
    condition: dict[str, Any] = {"IfNoneMatch": "*"}
    for _ in range(WRITES):
        check()
        try:
            s3.put_object(**place, ContentType="application/json", Body=body, **condition)
        except s3.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in _CONFLICTS:
                raise
        else:
            return
        etag = _etag(s3, place)
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    raise ManifestContended(job.job_id)


def _etag(s3: S3Client, place: dict[str, Any]) -> str | None:
    """The manifest's ETag; None when there is no manifest. S3 says 403 to a caller that may not list the bucket."""
    try:
        return s3.head_object(**place)["ETag"]
    except s3.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404):
            return None
        raise
