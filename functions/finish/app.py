"""The end of a job: its terminal status, its manifest, its event."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from clipferry.aws.logs import entry, logger
from clipferry.steps.context import runtime
from clipferry.steps.finish import Closing

metrics = Metrics()


@cache
def closing() -> Closing:
    return Closing(runtime(), boto3.client("s3"))


@entry
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`{"job_id", "generation", "caught": null | state name}` → a FinishResult's state."""
    logger.append_keys(job_id=event["job_id"], generation=event["generation"])
    ending = closing().finish(event["job_id"], event["generation"], event.get("caught"))
    if ending.next == "END":  # with WAIT the job has not ended; with STOP another execution has it
        metrics.add_dimension("vendor", ending.job.vendor)
        metrics.add_metric(f"Jobs{ending.job.status.title().replace('_', '')}", MetricUnit.Count, 1)
    error = ending.job.error.as_dict() if ending.job.error else None
    logger.info("finished", status=ending.job.status.value, next=ending.next, error=error)
    return ending.as_state()
