"""The clients and stores that the steps and the requests of batches use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clipferry.steps.context import Runtime
from clipferry.store.batch_records import Batches

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass
class BatchContext:
    """Built once a process; tests build their own."""

    rt: Runtime
    batches: Batches
    s3: S3Client
