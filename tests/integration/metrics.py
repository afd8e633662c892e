"""What CloudWatch would have of a deployed stack, where the emulator has nothing.

The emulator extracts no metric from a log line (EMF), and has no metrics of Step Functions and of SQS. So this harness
does what CloudWatch and those services do: it takes the lines that functions really logged, the executions that really
ended and the messages that really lie in a queue, and puts a datum for each under the names that the line itself, or
AWS's documentation, gives it. It knows nothing of the alarms. AWS/Lambda is the emulator's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from local.stack import Stack

Datum = tuple[str, str, dict[str, str], float]  # namespace, metric, dimensions, value
EXECUTIONS = {
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
    "SUCCEEDED": "ExecutionsSucceeded",
}


class Metrics:
    """What a stack has shown since a moment."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.began = datetime.now(UTC)
        self.elsewhere: list[tuple[str, str]] = []  # (state machine, status) of executions that AWS had to end itself

    def publish(self) -> None:
        """Put everything there is. The emulator looks at its alarms when it is given something."""
        cloudwatch = self.stack.client("cloudwatch")
        for namespace, metric, dimensions, value in (*self._emf(), *self._executions(), *self._messages()):
            listed = [{"Name": name, "Value": of} for name, of in dimensions.items()]
            cloudwatch.put_metric_data(
                Namespace=namespace, MetricData=[{"MetricName": metric, "Dimensions": listed, "Value": value}]
            )

    def of(self, alarm: Mapping[str, Any]) -> float:
        """The statistic that an alarm watches, over exactly its dimensions, since the moment."""
        points = self.stack.client("cloudwatch").get_metric_statistics(
            Namespace=alarm["Namespace"],
            MetricName=alarm["MetricName"],
            Dimensions=alarm["Dimensions"],
            StartTime=self.began,
            EndTime=datetime.now(UTC) + timedelta(minutes=5),
            Period=alarm["Period"],
            Statistics=[alarm["Statistic"]],
        )["Datapoints"]
        values = [point[alarm["Statistic"]] for point in points]
        return float(sum(values) if alarm["Statistic"] == "Sum" else max(values, default=0.0))

    def _emf(self) -> Iterator[Datum]:
        """Embedded Metric Format: every dimension set of every directive of every such line."""
        for line in self._lines():
            if line.startswith("{") and '"_aws"' in line:
                entry = json.loads(line)
                for directive in entry["_aws"]["CloudWatchMetrics"]:
                    for names in directive["Dimensions"]:
                        for metric in directive["Metrics"]:
                            values = entry[metric["Name"]]
                            for value in values if isinstance(values, list) else [values]:
                                yield directive["Namespace"], metric["Name"], {n: entry[n] for n in names}, value

    def _lines(self) -> Iterator[str]:
        logs, since = self.stack.client("logs"), int(self.began.timestamp() * 1000)
        groups = logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{self.stack.name}-")["logGroups"]
        for group in groups:
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=group["logGroupName"], startTime=since
            )
            for page in pages:
                for event in page["events"]:
                    yield from event["message"].splitlines()

    def _executions(self) -> Iterator[Datum]:
        """AWS/States: one of its count metrics for each execution that ended, by the machine's ARN."""
        sfn = self.stack.client("stepfunctions")
        for machine in sfn.list_state_machines()["stateMachines"]:
            if machine["name"].startswith(self.stack.name):
                arn = machine["stateMachineArn"]
                ended = [
                    *self._ended(sfn, arn),
                    *(status for name, status in self.elsewhere if name == machine["name"]),
                ]
                for status in ended:
                    yield "AWS/States", EXECUTIONS[status], {"StateMachineArn": arn}, 1

    def _ended(self, sfn: Any, arn: str) -> Iterable[str]:
        for page in sfn.get_paginator("list_executions").paginate(stateMachineArn=arn):
            for execution in page["executions"]:
                if execution.get("stopDate") and execution["stopDate"] >= self.began:
                    yield execution["status"]

    def _messages(self) -> Iterator[Datum]:
        """AWS/SQS: how many messages of each queue are visible, by the queue's name."""
        sqs = self.stack.client("sqs")
        for url in sqs.list_queues().get("QueueUrls", []):
            shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
            visible = float(shown["Attributes"]["ApproximateNumberOfMessages"])
            yield "AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": url.rpartition("/")[2]}, visible
