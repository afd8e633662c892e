"""The metrics that the functions emit, read off their source, and those of AWS that the stack watches."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from clipferry.jobs.statuses import JobStatus

from tests.unit.stack.transformed import ROOT

#: AWS's own metrics (docs.aws.amazon.com: "Monitoring Step Functions metrics", "Types of metrics for Lambda functions",
#: "Available CloudWatch metrics for Amazon SQS", "Amazon API Gateway dimensions and metrics"): their dimension, and the
#: type of the resource that its value names; None where that is a name.
AWS_METRICS: dict[tuple[str, str], tuple[str, str | None]] = {
    ("AWS/States", "ExecutionsStarted"): ("StateMachineArn", "AWS::StepFunctions::StateMachine"),
    ("AWS/States", "ExecutionsSucceeded"): ("StateMachineArn", "AWS::StepFunctions::StateMachine"),
    ("AWS/States", "ExecutionsFailed"): ("StateMachineArn", "AWS::StepFunctions::StateMachine"),
    ("AWS/States", "ExecutionsAborted"): ("StateMachineArn", "AWS::StepFunctions::StateMachine"),
    ("AWS/States", "ExecutionsTimedOut"): ("StateMachineArn", "AWS::StepFunctions::StateMachine"),
    ("AWS/Lambda", "Errors"): ("FunctionName", "AWS::Lambda::Function"),
    ("AWS/Lambda", "Throttles"): ("FunctionName", "AWS::Lambda::Function"),
    ("AWS/Lambda", "Duration"): ("FunctionName", "AWS::Lambda::Function"),
    ("AWS/Lambda", "ConcurrentExecutions"): ("FunctionName", "AWS::Lambda::Function"),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): ("QueueName", "AWS::SQS::Queue"),
    ("AWS/ApiGateway", "Count"): ("ApiName", None),
    ("AWS/ApiGateway", "4XXError"): ("ApiName", None),
    ("AWS/ApiGateway", "5XXError"): ("ApiName", None),
    ("AWS/ApiGateway", "Latency"): ("ApiName", None),
}


def emitted() -> Iterator[tuple[str, frozenset[str]]]:
    """(metric, names of its dimensions) of every metric that a function adds."""
    for folder in sorted((ROOT / "functions").iterdir()):
        calls = [
            node
            for path in folder.rglob("*.py")
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        ]
        more = {_text(call.args[0]) for call in calls if _method(call) == "add_dimension"}
        for call in calls:
            if _method(call) == "add_metric":
                yield from ((name, frozenset({"service", *more})) for name in _names(call.args[0]))


def _names(node: ast.expr) -> list[str]:
    """The metric that a call names; one for each ending where the name is put together from a job's status."""
    if isinstance(node, ast.JoinedStr):
        assert "status.title()" in ast.unparse(node), "a metric whose name this reader cannot tell"
        return [f"Jobs{status.title().replace('_', '')}" for status in JobStatus if status.terminal]
    return [_text(node)]


def _method(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _text(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ""
