"""A batch's steps: divide the manifest, submit a chunk of its lines, close."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from clipferry.aws.logs import entry, logger
from clipferry.steps.batch import close, prepare, submit_chunk
from clipferry.steps.batch_context import BatchContext
from clipferry.steps.context import runtime
from clipferry.store.batch_records import Batches

metrics = Metrics()


@cache
def batch_context() -> BatchContext:
    return BatchContext(runtime(), Batches(), boto3.client("s3"))


@entry
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`{"step", "batch_id", "generation"}`, and for the step `submit` also `chunk` → what to do next."""
    batch_id, generation, step = event["batch_id"], event["generation"], event["step"]
    logger.append_keys(batch_id=batch_id, generation=generation, step=step)
    metrics.add_metric("BatchCalls", MetricUnit.Count, 1)
    if step == "submit":
        return {"submitted": submit_chunk(batch_context(), batch_id, generation, event["chunk"])}
    if step == "prepare":
        state = prepare(batch_context(), batch_id, generation, lambda: context.get_remaining_time_in_millis() / 1000)
    else:
        state = close(batch_context(), batch_id, generation)
    logger.info("batch", next=state["next"], status=state["status"])
    return state
