"""A presigned link to a stored file, valid for LINK_SECONDS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clipferry.jobs.statuses import FileStatus
from clipferry.settings import settings
from clipferry.steps.context import Runtime
from clipferry.store.job_records import NotFound

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LINK_SECONDS = 900


class NotStored(Exception):
    """The file is not in S3."""


def link(rt: Runtime, s3: S3Client, job_id: str, file_id: str) -> str:
    """A presigned URL to GET the file. Raises NotFound, NotStored."""
    file = rt.jobs.load(job_id).file(file_id)
    if file is None:
        raise NotFound(file_id)
    if file.status is not FileStatus.STORED or file.s3_uri is None:
        raise NotStored(f"a file that is {file.status} has no link")
    bucket = settings().bucket_name
    key = file.s3_uri.removeprefix(f"s3://{bucket}/")
    return s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=LINK_SECONDS)
