"""The argument that each S3 call for the deployment's bucket has besides the bucket's name."""

from __future__ import annotations

from typing import Any

from clipferry.settings import settings


def bucket_owner() -> dict[str, Any]:
    """The AWS account that must own the bucket, as an argument of S3's calls.

    If the bucket was deleted and another account created one of the same name, S3 refuses the call.
    """
    return {"ExpectedBucketOwner": settings().bucket_owner} if settings().bucket_owner else {}
