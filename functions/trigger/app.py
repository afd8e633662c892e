"""Start the vendor's task, adopt one, or find the one that an earlier call started."""

from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from clipferry.aws.logs import entry, logger
from clipferry.steps.context import runtime
from clipferry.steps.step_result import Run
from clipferry.steps.trigger import trigger

metrics = Metrics()


@entry
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`{"job_id", "generation", "events", "waited"}` → a StepResult's state."""
    logger.append_keys(job_id=event["job_id"], generation=event["generation"])

    def time_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    result = trigger(runtime(), event["job_id"], event["generation"], Run.of(event), time_left)
    if result.job.error and result.job.error.code == "TRIGGER_UNCERTAIN":
        metrics.add_metric("TriggerUncertain", MetricUnit.Count, 1)
    if result.account_refused:
        metrics.add_metric("AccountRefused", MetricUnit.Count, 1)
    if result.job.waits_for == "budget":
        metrics.add_metric("BudgetWait", MetricUnit.Seconds, result.wait_seconds)
    elif result.job.waits_for == "slot":
        metrics.add_metric("SlotWait", MetricUnit.Seconds, result.wait_seconds)
    logger.info(
        "triggered",
        next=result.next,
        waits_for=result.job.waits_for,
        wait_seconds=result.wait_seconds,
        attempts=result.job.trigger_attempts,
    )
    return result.as_state()
