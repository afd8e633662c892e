"""What every call about the deployment's bucket says besides the bucket."""

from __future__ import annotations

from typing import Any

from clipferry.settings import settings


def bucket_owner() -> dict[str, Any]:
    """The AWS account that must own the bucket, as S3's calls take it: one that was deleted and made by others is not
    written to.
    """
    return {"ExpectedBucketOwner": settings().bucket_owner} if settings().bucket_owner else {}
