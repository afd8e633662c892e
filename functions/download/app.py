"""Copy one file to S3 as far as the time allows."""

from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from clipferry import transfer
from clipferry.aws.logs import entry, logger
from clipferry.steps.context import runtime
from clipferry.steps.download import download

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SAFETY = 30.0  # seconds reserved for storing the checkpoint before Lambda ends the call

metrics = Metrics()


@cache
def s3() -> "S3Client":
    return boto3.client("s3", config=transfer.client_config())


@entry
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`{"job_id", "generation", "file_id"}` → `DownloadResult.as_state`."""
    logger.append_keys(job_id=event["job_id"], generation=event["generation"], file_id=event["file_id"])

    def time_left() -> float:
        return context.get_remaining_time_in_millis() / 1000 - SAFETY

    outcome = download(runtime(), s3(), event["job_id"], event["generation"], event["file_id"], time_left)
    metrics.add_metric("DownloadCalls", MetricUnit.Count, 1)
    metrics.add_metric("DownloadCallsInVain", MetricUnit.Count, outcome.in_vain)
    if outcome.waits_for == "account":
        metrics.add_metric("AccountRefused", MetricUnit.Count, 1)
    logger.info(
        "copied",
        waits_for=outcome.waits_for,
        more=outcome.more,
        wait_seconds=outcome.wait_seconds,
        in_vain=outcome.in_vain,
    )
    return outcome.as_state()
