"""Repairs jobs and batches: called by a scheduled rule, after each failed execution, and to cancel a batch's jobs."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from clipferry.aws import executions
from clipferry.aws.logs import entry, logger
from clipferry.settings import settings
from clipferry.steps.context import runtime
from clipferry.steps.finish import Closing
from clipferry.steps.sweep import Sweep, Swept

metrics = Metrics()


@cache
def closing() -> Closing:
    return Closing(runtime(), boto3.client("s3"))


@entry
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A "Step Functions Execution Status Change" event sweeps its job or batch; `{"batch_id", "generation", "chunk"}`
    cancels a chunk's jobs for the batch machine; anything else sweeps what is due.

    If a run cannot settle a job or a batch, the metric SweepResisted reports it and raises an alarm. The run raises no
    exception, because Lambda would repeat the whole run twice and put its event into the dead-letter queue.
    """
    sweep = Sweep(closing(), lambda: context.get_remaining_time_in_millis() / 1000)
    if "batch_id" in event:
        seconds = sweep.recovery.cancel_chunk(event["batch_id"], event["generation"], event["chunk"])
        return {"wait_seconds": seconds}
    if event.get("source") == "aws.states":
        ended = executions.parse_name(event["detail"]["name"])
        of_batch = event["detail"].get("stateMachineArn") == settings().batch_machine_arn
        reconcile = sweep.reconcile_batch if of_batch else sweep.reconcile
        return _report(reconcile(*ended) if ended else sweep.swept)
    swept = sweep.run()
    metrics.add_metric("OldestUnfinishedJobAge", MetricUnit.Seconds, swept.oldest_age)
    metrics.add_metric("SweepResisted", MetricUnit.Count, len(swept.failed))
    return _report(swept)


def _report(swept: Swept) -> dict[str, Any]:
    metrics.add_metric("JobsSwept", MetricUnit.Count, swept.jobs)
    metrics.add_metric("UploadsAborted", MetricUnit.Count, swept.uploads_aborted)
    metrics.add_metric("ObjectsTakenBack", MetricUnit.Count, swept.objects_taken_back)
    names = (
        "concluded",
        "started",
        "restarted",
        "ended",
        "failed",
        "batches",
        "uploads_aborted",
        "objects_taken_back",
    )
    report = {name: getattr(swept, name) for name in names}
    logger.info("swept", **report)
    return report
