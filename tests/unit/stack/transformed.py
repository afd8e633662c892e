"""template.yaml as CloudFormation gets it: after the SAM transform, its conditions decided for some parameters."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from samcli.yamlhelper import parse_yaml_file
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

ROOT = Path(__file__).resolve().parents[3]
REGION = "us-east-1"
LOCAL_CODE = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}
DROPPED: Any = object()


@cache
def source() -> dict[str, Any]:
    """template.yaml as it is written. Not to be changed."""
    return dict(parse_yaml_file(str(ROOT / "template.yaml")))


@cache
def published_api() -> dict[str, Any]:
    """The OpenAPI definition as it is published and deployed. Not to be changed."""
    include = source()["Resources"]["Api"]["Properties"]["DefinitionBody"]["Fn::Transform"]
    assert include["Name"] == "AWS::Include"
    return dict(parse_yaml_file(str(ROOT / include["Parameters"]["Location"])))


@cache
def _transformed() -> dict[str, Any]:
    template = copy.deepcopy(source())
    # CloudFormation puts in what is included before the SAM transform sees the template.
    template["Resources"]["Api"]["Properties"]["DefinitionBody"] = copy.deepcopy(published_api())
    for resource in template["Resources"].values():
        if resource["Type"] in LOCAL_CODE:  # the transform wants what `sam package` would put there
            resource["Properties"][LOCAL_CODE[resource["Type"]]] = "s3://bucket/key"
    session = boto3.session.Session(region_name=REGION)
    return dict(Translator({}, Parser(), boto_session=session).translate(template, {}))


def deployed(**parameters: str) -> dict[str, dict[str, Any]]:
    """The resources of a deployment with these parameters, by logical id; every `Fn::If` and condition is decided."""
    template = _transformed()
    values = {name: str(given["Default"]) for name, given in template["Parameters"].items()} | parameters
    decided = {name: _holds(rule, values) for name, rule in template["Conditions"].items()}
    return {
        logical_id: _decide(resource, decided)
        for logical_id, resource in template["Resources"].items()
        if decided.get(resource.get("Condition"), True)
    }


def of_type(resources: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """The properties of every resource of one type, by logical id."""
    return {
        logical_id: resource.get("Properties", {})
        for logical_id, resource in resources.items()
        if resource["Type"] == kind
    }


def statements(role: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every statement of a role's own policies, actions and resources as lists."""
    found = [s for policy in role.get("Policies", []) for s in policy["PolicyDocument"]["Statement"]]
    return [{**s, "Action": _listed(s["Action"]), "Resource": _listed(s["Resource"])} for s in found]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _holds(rule: Mapping[str, Any], values: Mapping[str, str]) -> bool:
    ((operator, arguments),) = rule.items()
    if operator == "Fn::Not":
        return not _holds(arguments[0], values)
    if operator == "Fn::And":
        return all(_holds(argument, values) for argument in arguments)
    assert operator == "Fn::Equals", f"a condition this reader does not know: {operator}"
    left, right = (values[side["Ref"]] if isinstance(side, dict) else side for side in arguments)
    return bool(left == right)


def _decide(value: Any, decided: Mapping[str, bool]) -> Any:
    if isinstance(value, list):
        items = (_decide(item, decided) for item in value)
        return [item for item in items if item is not DROPPED]
    if not isinstance(value, dict):
        return value
    if value == {"Ref": "AWS::NoValue"}:
        return DROPPED
    if set(value) == {"Fn::If"}:
        condition, yes, no = value["Fn::If"]
        return _decide(yes if decided[condition] else no, decided)
    pairs = ((key, _decide(item, decided)) for key, item in value.items())
    return {key: item for key, item in pairs if item is not DROPPED}
