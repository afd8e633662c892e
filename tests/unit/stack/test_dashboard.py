"""The dashboard shows metrics that somebody emits, under exactly the dimensions they are emitted with."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.unit.stack.metrics import AWS_METRICS, emitted
from tests.unit.stack.transformed import deployed, of_type, source

STACK = deployed()
OURS = "${AWS::StackName}"


def widgets() -> list[dict[str, Any]]:
    (dashboard,) = of_type(STACK, "AWS::CloudWatch::Dashboard").values()
    found: list[dict[str, Any]] = json.loads(dashboard["DashboardBody"]["Fn::Sub"])["widgets"]
    return found


#: (title, metric): its namespace, its name, its dimensions by turns, and perhaps options.
SHOWN = [(widget["properties"]["title"], metric) for widget in widgets() for metric in widget["properties"]["metrics"]]


@pytest.mark.parametrize(("title", "metric"), SHOWN, ids=lambda value: str(value)[:60])
def test_what_is_shown_is_emitted(title: str, metric: list[Any]) -> None:
    namespace, name, *rest = [part for part in metric if isinstance(part, str)]
    dimensions = dict(zip(rest[::2], rest[1::2], strict=True))

    if namespace == OURS:
        sent = source()["Globals"]["Function"]["Environment"]["Variables"]
        assert (name, frozenset(dimensions)) in set(emitted()), title
        assert dimensions["service"] == sent["POWERTOOLS_SERVICE_NAME"]
        return
    dimension, kind = AWS_METRICS[namespace, name]
    ((named, value),) = dimensions.items()
    assert named == dimension
    if kind is not None:
        logical_id = re.fullmatch(r"\$\{(\w+)(?:\.\w+)?\}", value)
        assert logical_id
        assert STACK[logical_id[1]]["Type"] == kind


def test_the_errors_of_every_function_are_shown() -> None:
    functions = set(of_type(STACK, "AWS::Lambda::Function"))
    errors = {metric[3].strip("${}") for _, metric in SHOWN if metric[:2] == ["AWS/Lambda", "Errors"]}

    assert functions == errors


def test_a_metric_that_nobody_emits_would_be_found() -> None:
    assert ("OldestUnfinishedJobAge", frozenset({"service"})) in set(emitted())
    assert "OldestUnfinishedJobsAge" not in {name for name, _ in emitted()}
    assert "JobsTimedOut" in {name for name, _ in emitted()}
