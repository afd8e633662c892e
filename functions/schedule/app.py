"""Creates the jobs of a scheduled rule or a schedule, once for each firing, also if it is delivered twice."""

from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from clipferry.aws.logs import entry, logger
from clipferry.redaction import redact
from clipferry.steps.context import runtime
from clipferry.steps.schedule import fire

metrics = Metrics()


@entry
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A firing → the jobs' ids.

    A rule's input is one job body or `{"jobs": [body, …]}`; this raises when it is invalid, so that the input goes to
    the dead-letter queue. A schedule's input names the schedule; when its job body is invalid, an event says so.
    """
    fired = fire(runtime(), event, context.aws_request_id)
    metrics.add_metric("ScheduledJobs", MetricUnit.Count, len(fired.jobs))
    metrics.add_metric("SchedulesRejected", MetricUnit.Count, int(fired.rejected))
    logger.info("fired", firing=fired.firing, jobs=[job.job_id for job in fired.jobs])
    fired.raise_for_invalid()
    return {"firing": redact(fired.firing), "job_ids": [job.job_id for job in fired.jobs]}
