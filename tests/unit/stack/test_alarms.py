"""Each alarm watches a metric that somebody emits, under exactly the dimensions it is emitted with."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.stack.transformed import ROOT, deployed, of_type, source

STACK = deployed()
ALARMS = of_type(STACK, "AWS::CloudWatch::Alarm")
STACK_NAME = {"Ref": "AWS::StackName"}

#: AWS's own metrics (docs.aws.amazon.com: "Monitoring Step Functions metrics", "Types of metrics for Lambda functions",
#: "Available CloudWatch metrics for Amazon SQS"): their dimension, and the resource that its value names.
AWS_METRICS = {
    ("AWS/States", "ExecutionsFailed"): ("StateMachineArn", "AWS::StepFunctions::StateMachine"),
    ("AWS/States", "ExecutionsTimedOut"): ("StateMachineArn", "AWS::StepFunctions::StateMachine"),
    ("AWS/Lambda", "Errors"): ("FunctionName", "AWS::Lambda::Function"),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): ("QueueName", "AWS::SQS::Queue"),
}


def _emitted() -> Iterator[tuple[str, frozenset[str]]]:
    """(metric, names of its dimensions) of every metric that a function adds by its name."""
    for folder in sorted((ROOT / "functions").iterdir()):
        calls = [
            node
            for path in folder.rglob("*.py")
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        ]
        more = {_text(call.args[0]) for call in calls if _method(call) == "add_dimension"}
        for call in calls:
            if _method(call) == "add_metric" and isinstance(call.args[0], ast.Constant):
                yield _text(call.args[0]), frozenset({"service", *more})


def _method(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _text(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ""


def _dimensions(alarm: dict[str, Any]) -> dict[str, Any]:
    return {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]}


@pytest.mark.parametrize("name", ALARMS)
def test_its_metric_exists_under_its_dimensions(name: str) -> None:
    alarm = ALARMS[name]
    dimensions = _dimensions(alarm)

    if alarm["Namespace"] == STACK_NAME:
        sent = source()["Globals"]["Function"]["Environment"]["Variables"]
        assert sent["POWERTOOLS_METRICS_NAMESPACE"] == STACK_NAME
        assert dimensions == {"service": sent["POWERTOOLS_SERVICE_NAME"]}
        assert (alarm["MetricName"], frozenset(dimensions)) in set(_emitted())
    else:
        dimension, kind = AWS_METRICS[alarm["Namespace"], alarm["MetricName"]]
        ((named, value),) = dimensions.items()
        logical_id = value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]
        assert (named, STACK[logical_id]["Type"]) == (dimension, kind)


@pytest.mark.parametrize("name", ALARMS)
def test_one_period_decides_and_silence_is_no_alarm(name: str) -> None:
    alarm = ALARMS[name]

    assert (alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (1, "notBreaching")
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    assert alarm["Statistic"] == ("Maximum" if alarm["MetricName"] in LEVELS else "Sum")


LEVELS = {"OldestUnfinishedJobAge", "ApproximateNumberOfMessagesVisible"}  # metrics that are a level, not a count


def test_the_sweeps_figures_are_among_what_is_emitted() -> None:
    assert {"TriggerUncertain", "JobsSwept", "OldestUnfinishedJobAge"} <= {metric for metric, _ in _emitted()}
