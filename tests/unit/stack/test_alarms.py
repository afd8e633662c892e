"""Each alarm watches a metric that somebody emits, under exactly the dimensions it is emitted with."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks.prices import standing
from tests.unit.stack.metrics import AWS_METRICS, emitted
from tests.unit.stack.transformed import ROOT, deployed, of_type, source

STACK = deployed()
ALARMS = of_type(STACK, "AWS::CloudWatch::Alarm")
STACK_NAME = {"Ref": "AWS::StackName"}


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
        assert (alarm["MetricName"], frozenset(dimensions)) in set(emitted())
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


def test_the_sweeps_figures_are_among_what_isemitted() -> None:
    assert {"TriggerUncertain", "JobsSwept", "OldestUnfinishedJobAge"} <= {metric for metric, _ in emitted()}


def test_the_readme_says_what_a_stack_costs_that_has_no_job() -> None:
    monthly = standing(len(ALARMS), metrics=5)

    assert f"{monthly:.2f} USD a month" in (ROOT / "README.md").read_text()
    assert f"{len(ALARMS)} alarms" in (ROOT / "README.md").read_text()
