"""AWS in memory for tests: the template's own table, a bucket, a bus, a state machine that runs nothing by itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.client
import pytest
import yaml
from aws_lambda_powertools.utilities.parameters.base import DEFAULT_PROVIDERS
from moto import mock_aws

from tests.models.dynamodb import DynamoDB
from tests.models.event_bridge import EventBridge
from tests.models.secrets_manager import SecretsManager
from tests.models.step_functions import StepFunctions

REPOSITORY = Path(__file__).parents[3]
ACCOUNT = "123456789012"
BUCKET, BUS, GROUP, PREFIX, REGION = "videos", "jobs", "stack", "clipferry/test", "us-east-1"
READS = ("Get", "Query", "BatchGet", "Describe", "List", "Head")


class _Template(yaml.SafeLoader):
    """Reads a template as data; its intrinsic functions are of no interest here."""


_Template.add_multi_constructor("!", lambda loader, suffix, node: f"!{suffix}")


@cache
def client(service: str) -> Any:
    """One a service: making a client takes longer than most tests."""
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]


@cache
def table_properties() -> dict[str, Any]:
    """Keys and indexes as the template states them."""
    with (REPOSITORY / "template.yaml").open() as file:
        properties = yaml.load(file, _Template)["Resources"]["Table"]["Properties"]
    names = ("BillingMode", "KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes")
    return {name: properties[name] for name in names}


class Crash(BaseException):
    """The process is gone. No handler of the code sees it, as none sees a kill."""


class Edge:
    """Everything that leaves the process passes here: counted, and crashed at, right before or right after."""

    def __init__(self) -> None:
        self.effects: list[str] = []
        self.sent: list[dict[str, Any]] = []  # events that EventBridge took
        self.written: list[str] = []  # everything that was put into rows and objects
        self.crash_at: int | None = None
        self.crash_after = False
        self.aws_itself = False  # calls by the parts of AWS that a test plays
        self.before_effect: Callable[[str], None] = lambda name: None
        self.before_read: Callable[[str], None] = lambda name: None

    def effect(self, name: str, act: Callable[[], Any], on: str = "") -> Any:
        """Do something that changes the world outside; `on`: the row or the object that it changes."""
        self.before_effect(f"{name} {on}".rstrip())
        number = len(self.effects)
        self.effects.append(name)
        if number == self.crash_at and not self.crash_after:
            raise Crash(f"before {name}")
        result = act()
        if number == self.crash_at:
            raise Crash(f"after {name}")
        return result

    def api_call(self, real: Callable[..., Any], client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        assert operation != "Scan", "nothing here may scan the table"
        if self.aws_itself:
            return real(client, operation, parameters)
        if operation.startswith(READS):
            self.before_read(f"{operation} {_changed(parameters)}".rstrip())
            return real(client, operation, parameters)
        self.written.append(repr(parameters))

        def act() -> Any:
            result = real(client, operation, parameters)
            if operation == "PutEvents":
                self.sent += [
                    json.loads(entry["Detail"]) | {"type": entry["DetailType"]} for entry in parameters["Entries"]
                ]
            return result

        return self.effect(operation, act, _changed(parameters))


def _changed(parameters: dict[str, Any]) -> str:
    """The row or object that an API call is about, as far as it names one."""
    row = parameters.get("Key", parameters.get("Item", {}))
    if isinstance(row, dict):
        return "/".join(str(row[name]["S"]) for name in ("pk", "sk") if name in row)
    return str(row)


@contextmanager
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Edge]:
    """A mocked account with everything that the template deploys and this project's code touches."""
    from clipferry.aws import events, executions, scheduler
    from clipferry.settings import settings
    from clipferry.store.rows import Item

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "TABLE_NAME": Item.Meta.table_name,
        "BUCKET_NAME": BUCKET,
        "SECRET_PREFIX": PREFIX,
        "EVENT_BUS_NAME": BUS,
        "POWERTOOLS_SERVICE_NAME": "clipferry",
        "POWERTOOLS_METRICS_NAMESPACE": "clipferry-test",
        "STATE_MACHINE_ARN": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:retrieve",
        "SCHEDULE_GROUP": GROUP,
        "SCHEDULE_TARGET_ARN": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:schedule",
        "SCHEDULE_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/schedule",
        "DEAD_LETTERS_ARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead-letters",
        "BATCH_MACHINE_ARN": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:batch",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        monkeypatch.setattr(events, "_client", lambda: client("events"))
        monkeypatch.setattr(executions, "_client", lambda: client("stepfunctions"))
        monkeypatch.setattr(scheduler, "_client", lambda: client("scheduler"))
        forget_values()
        settings.cache_clear()
        edge, real, table = Edge(), botocore.client.BaseClient._make_api_call, DynamoDB()
        table.create_table(Item.Meta.table_name, table_properties())
        services = {
            "stepfunctions": StepFunctions(REGION, ACCOUNT),
            "secretsmanager": SecretsManager(),
            "events": EventBridge(),
        }
        deployed_first = {  # at the first call of its service: most tests use few of them
            "s3": ("CreateBucket", {"Bucket": BUCKET}),
            "scheduler": ("CreateScheduleGroup", {"Name": GROUP}),
        }
        lock = threading.Lock()

        def call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            name = client.meta.service_model.service_name
            if name == "dynamodb":
                return table.call(operation, parameters)
            if name in services:
                return services[name].call(client, operation, parameters)
            with lock:
                if name in deployed_first:
                    real(client, *deployed_first.pop(name))
            return real(client, operation, parameters)

        def through_the_edge(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            return edge.api_call(call, client, operation, parameters)

        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", through_the_edge)
        _deploy()
        edge.effects.clear()
        edge.written.clear()
        yield edge
        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", real)
    settings.cache_clear()
    forget_values()


def _deploy() -> None:
    """The bus and the machines that the template deploys."""
    client("events").create_event_bus(Name=BUS)
    for name in ("retrieve", "batch"):
        client("stepfunctions").create_state_machine(
            name=name,
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/machine",
            definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
        )


def forget_values() -> None:
    """Secrets that were read; the clients stay."""
    for provider in DEFAULT_PROVIDERS.values():
        provider.clear_cache()
