"""Look at the vendor once, write down what is new, say what next."""

from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from clipferry.steps.poll import poll
from clipferry.steps.runtime import runtime

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`{"job_id", "generation"}` → a Turn's state."""
    logger.append_keys(job_id=event["job_id"], generation=event["generation"])
    turn = poll(runtime(), event["job_id"], event["generation"])
    if turn.job.poll_errors:
        metrics.add_metric("PollErrors", MetricUnit.Count, 1)
    if turn.job.unknown_looks:
        metrics.add_metric("UnknownStatuses", MetricUnit.Count, 1)
    logger.info("looked", next=turn.next, wait_seconds=turn.wait_seconds, ready=len(turn.ready), polls=turn.job.polls)
    return turn.as_state()
