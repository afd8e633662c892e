"""docs/openapi.yaml, read: its routes, and its schemas as JSON Schema 2020-12."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "docs" / "openapi.yaml"
RELEASES = ROOT / "docs" / "releases"
METHODS = ("get", "put", "post", "delete")
COMBINED = ("allOf", "anyOf", "oneOf")


def read(path: Path) -> dict[str, Any]:
    """An OpenAPI definition."""
    return dict(yaml.safe_load(path.read_text()))


@cache
def published() -> dict[str, Any]:
    """Today's definition. Not to be changed."""
    return read(PUBLISHED)


def resolved(definition: Mapping[str, Any], value: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a value is: itself, or what its `$ref` (`#/a/b/c`) leads to."""
    while "$ref" in value:
        found: Any = definition
        for name in value["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        value = found
    return value


def route_of(definition: Mapping[str, Any], method: str, path: str) -> tuple[str, Mapping[str, Any]] | None:
    """(path as it is published, operation) that answers a request; a literal path goes before one with parameters."""
    for template in sorted(definition["paths"], key=lambda known: known.count("{")):
        operation = definition["paths"][template].get(method.lower())
        if operation and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return template, operation
    return None


def as_json_schema(schema: Any, *, closed: bool) -> Any:
    """OpenAPI 3.0's `nullable` as a type. `closed`: an object has no field that its schema does not name."""
    if isinstance(schema, list):
        return [as_json_schema(inner, closed=closed) for inner in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {key: as_json_schema(value, closed=closed) for key, value in schema.items() if key != "nullable"}
    if schema.get("nullable") is True:
        found["type"] = [schema["type"], "null"]
    if closed and schema.get("type") == "object" and "properties" in schema and not set(COMBINED) & set(schema):
        found.setdefault("additionalProperties", False)
    return found


@cache
def validator(name: str, *, closed: bool) -> Any:
    """Checks a value against one of the published schemas."""
    from jsonschema import Draft202012Validator

    components = {"schemas": as_json_schema(published()["components"]["schemas"], closed=closed)}
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": components})
