"""The models of Step Functions, Secrets Manager and EventBridge answer as moto does, whatever is asked of both."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ParamValidationError
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from tests.models.event_bridge import EventBridge
from tests.models.secrets_manager import SecretsManager
from tests.models.service import Service
from tests.models.step_functions import INPUT_MAX, NAME_MAX, StepFunctions

REGION, ACCOUNT = "us-east-1", "123456789012"
ARN = f"arn:aws:states:{REGION}:{ACCOUNT}"
SHOWN = {
    "StartExecution": ("executionArn",),
    "StopExecution": (),
    "DescribeExecution": ("executionArn", "stateMachineArn", "name", "status", "input"),
    "ListExecutions": ("executions",),
    "GetSecretValue": ("Name", "SecretString"),
    "PutEvents": ("FailedEntryCount", "Entries"),
}
OF_A_LISTING = ("executionArn", "stateMachineArn", "name", "status")

names = st.sampled_from(["j1-1", "j1-2", "j2-1"])
machines = st.sampled_from(["one", "two", "none"])
inputs = st.sampled_from(["{}", '{"a": 1}'])
executions = st.builds(lambda machine, name: f"{ARN}:execution:{machine}:{name}", machines, names)
EXECUTIONS = st.one_of(
    st.builds(
        lambda machine, name, given: (
            "StartExecution",
            {"stateMachineArn": f"{ARN}:stateMachine:{machine}", "name": name, "input": given},
        ),
        machines,
        names,
        inputs,
    ),
    executions.map(lambda arn: ("StopExecution", {"executionArn": arn, "cause": "enough"})),
    executions.map(lambda arn: ("DescribeExecution", {"executionArn": arn})),
    st.builds(
        lambda machine, more: ("ListExecutions", {"stateMachineArn": f"{ARN}:stateMachine:{machine}", **more}),
        machines,
        st.sampled_from([{}, {"statusFilter": "RUNNING"}, {"statusFilter": "ABORTED", "maxResults": 1}]),
    ),
)
secrets = st.sampled_from(["a/one", "a/two"])
texts = st.sampled_from(["{}", "text"])
SECRETS = st.one_of(
    st.builds(lambda name, text: ("CreateSecret", {"Name": name, "SecretString": text}), secrets, texts),
    st.builds(lambda name, text: ("PutSecretValue", {"SecretId": name, "SecretString": text}), secrets, texts),
    secrets.map(lambda name: ("GetSecretValue", {"SecretId": name})),
    secrets.map(lambda name: ("DeleteSecret", {"SecretId": name, "ForceDeleteWithoutRecovery": True})),
)
entries = st.fixed_dictionaries(
    {},
    optional={
        "Source": st.sampled_from(["clipferry", ""]),
        "DetailType": st.sampled_from(["Ended", ""]),
        "Detail": st.sampled_from(["{}", '{"a": 1}', "{", ""]),
        "EventBusName": st.sampled_from(["jobs", "default"]),
    },
)
EVENTS = st.lists(entries, min_size=1, max_size=12).map(lambda some: ("PutEvents", {"Entries": some}))


def client(service: str) -> Any:
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    return boto3.client(service, region_name=REGION, **keys)  # type: ignore[call-overload]


def shown(operation: str, reply: dict[str, Any]) -> dict[str, Any]:
    """What of a reply is the same each time, and is looked at."""
    found = {name: reply[name] for name in SHOWN.get(operation, ())}
    for entry in found.get("Entries", ()):
        entry.pop("EventId", None)
        entry.pop("ErrorMessage", None)
    if "executions" in found:
        found["executions"] = [{name: one[name] for name in OF_A_LISTING} for one in found["executions"]]
    return found


def answer(call: Any, operation: str, parameters: dict[str, Any]) -> Any:
    """What an operation comes to: its reply, or its error's class and code."""
    try:
        return shown(operation, call(operation, parameters))
    except ClientError as error:
        return type(error).__name__, error.response["Error"]["Code"]


def compare(real: Any, model: Service, steps: list[tuple[str, dict[str, Any]]]) -> None:
    for operation, parameters in steps:
        ours = answer(lambda *asked: model.call(real, *asked), operation, parameters)
        assert ours == answer(real._make_api_call, operation, parameters), operation


def machine(name: str) -> tuple[str, dict[str, Any]]:
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    return "CreateStateMachine", {"name": name, "roleArn": f"arn:aws:iam::{ACCOUNT}:role/m", "definition": definition}


@pytest.mark.parametrize(
    ("service", "new", "before", "steps"),
    [
        ("stepfunctions", lambda: StepFunctions(REGION, ACCOUNT), [machine("one"), machine("two")], EXECUTIONS),
        ("secretsmanager", SecretsManager, [], SECRETS),
        ("events", EventBridge, [("CreateEventBus", {"Name": "jobs"})], EVENTS),
    ],
    ids=["Step Functions", "Secrets Manager", "EventBridge"],
)
def test_a_model_answers_as_moto_does(service: str, new: Any, before: list[Any], steps: Any) -> None:
    real = client(service)

    @settings(max_examples=25)
    @given(st.lists(steps, max_size=12))
    def holds(some: list[tuple[str, dict[str, Any]]]) -> None:
        with mock_aws():
            compare(real, new(), before + some)

    holds()


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"name": "n" * (NAME_MAX + 1)}, "ValidationException"),
        ({"name": "n", "input": json.dumps("a" * (INPUT_MAX - 1))}, "InvalidExecutionInput"),
    ],
    ids=["name", "input"],
)
def test_what_is_beyond_a_limit_of_an_execution_is_refused(given: dict[str, str], code: str) -> None:
    model, real = StepFunctions(REGION, ACCOUNT), client("stepfunctions")
    made = model.call(real, *machine("one"))
    with pytest.raises(ClientError) as refused:
        model.call(real, "StartExecution", {"stateMachineArn": made["stateMachineArn"], **given})
    assert refused.value.response["Error"]["Code"] == code


def test_a_parameter_of_a_wrong_type_does_not_get_through() -> None:
    with pytest.raises(ParamValidationError, match="cause"):
        StepFunctions(REGION, ACCOUNT).call(
            client("stepfunctions"), "StopExecution", {"executionArn": f"{ARN}:execution:one:n", "cause": 7}
        )


def test_an_operation_that_a_model_does_not_know_is_no_success() -> None:
    with pytest.raises(NotImplementedError, match="ListSecrets"):
        SecretsManager().call(client("secretsmanager"), "ListSecrets", {})
