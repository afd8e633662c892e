"""The object that lies beside a job's files when it has ended: the job as the API shows it.

A job may be taken up again while its first end is still at its duties. So the manifest is written on a condition that
S3 checks itself (PutObject, `If-Match` and `If-None-Match`): a late end never overwrites what a later one wrote.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from clipferry.aws.bucket import bucket_owner
from clipferry.jobs import Job
from clipferry.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WRITES = 5  # of one call, where others write at the same time
#: Another write was first, or is under way; or what was to be overwritten has been deleted.
_MOVED_ON = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")


class ManifestContended(Exception):
    """Others wrote it at the same time, again and again; asking again is right."""


def write_manifest(s3: S3Client, job: Job, check: Callable[[], None]) -> None:
    """Write it, or write it again: then it says the same. `check` raises when the job is no longer at this end.

    What stands there is looked at before the check: whatever a later end writes is another content than that, and
    fails the condition.
    """
    place: dict[str, Any] = {"Bucket": settings().bucket_name, "Key": job.manifest_key, **bucket_owner()}
    body = json.dumps(job.public(), indent=1, ensure_ascii=False).encode()
    condition: dict[str, Any] = {"IfNoneMatch": "*"}
    for _ in range(WRITES):
        check()
        try:
            s3.put_object(**place, ContentType="application/json", Body=body, **condition)
        except s3.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in _MOVED_ON:
                raise
        else:
            return
        etag = _etag(s3, place)
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    raise ManifestContended(job.job_id)


def _etag(s3: S3Client, place: dict[str, Any]) -> str | None:
    """None: it is gone. S3 says 403 of it to whom may not list the bucket."""
    try:
        return s3.head_object(**place)["ETag"]
    except s3.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404):
            return None
        raise
