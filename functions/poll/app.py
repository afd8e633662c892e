"""Ask the vendor for the state of its task, store what is new, return what comes next."""

from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from clipferry.aws.logs import entry, logger
from clipferry.steps.context import runtime
from clipferry.steps.poll import poll
from clipferry.steps.step_result import Run

metrics = Metrics()


@entry
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`{"job_id", "generation", "events", "waited", "broken"}` → a StepResult's state."""
    logger.append_keys(job_id=event["job_id"], generation=event["generation"])

    def time_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    result = poll(runtime(), event["job_id"], event["generation"], Run.of(event), time_left)
    if result.job.poll_errors:
        metrics.add_metric("PollErrors", MetricUnit.Count, 1)
    if result.job.unknown_looks:
        metrics.add_metric("UnknownStatuses", MetricUnit.Count, 1)
    if result.account_refused:
        metrics.add_metric("AccountRefused", MetricUnit.Count, 1)
    if result.job.waits_for == "budget":
        metrics.add_metric("BudgetWait", MetricUnit.Seconds, result.wait_seconds)
    logger.info(
        "looked",
        next=result.next,
        waits_for=result.job.waits_for,
        wait_seconds=result.wait_seconds,
        ready=len(result.ready),
        polls=result.job.polls,
    )
    return result.as_state()
