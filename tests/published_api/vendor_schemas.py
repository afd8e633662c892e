"""The vendors' own JSON Schemas (2020-12) in the form that OpenAPI 3.0 has for them, which API Gateway takes.

`PYTHONPATH=layers/clipferry python -m tests.published_api.vendor_schemas` prints them for the end of docs/openapi.yaml.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml
from clipferry.vendors import VENDORS, vendor_class

TYPES = {str: "string", int: "integer", bool: "boolean"}
OURS = "x-"  # what only our own readers of a schema know


def components() -> dict[str, Any]:
    """`LinkvisualRequest`, `LinkvisualAdopt` and so on, by name."""
    found: dict[str, Any] = {}
    for name in VENDORS:
        vendor = vendor_class(name)
        found[f"{name.title()}Request"] = in_openapi(vendor.request_schema)
        found[f"{name.title()}Adopt"] = in_openapi(vendor.adopt_schema)
    return found


def in_openapi(schema: Any) -> Any:
    """One type a schema, each enumeration with its type, `$` as the end of a text, nothing that OpenAPI 3.0 lacks."""
    if isinstance(schema, list):
        return [in_openapi(inner) for inner in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept = {key: value for key, value in schema.items() if not key.startswith(OURS) and key != "propertyNames"}
    if "enum" in kept and "type" not in kept:
        kept = {"type": TYPES[type(kept["enum"][0])], **kept}
    written = {key: _inner(key, value) for key, value in kept.items()}
    return _one_type_each(written) if isinstance(kept.get("type"), list) else written


def _inner(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: in_openapi(inner) for name, inner in value.items()}
    if key == "pattern":
        return value.replace("$(?!\\n)", "$")  # ECMA-262: `$` is the end of the text, never before its last line break
    return in_openapi(value) if isinstance(value, Mapping | list | tuple) else value


def _one_type_each(schema: Mapping[str, Any]) -> dict[str, Any]:
    of_texts = {key: schema[key] for key in ("minLength", "maxLength", "pattern") if key in schema}
    rest = {key: value for key, value in schema.items() if key not in of_texts and key != "type"}
    return {**rest, "oneOf": [{"type": kind, **(of_texts if kind == "string" else {})} for kind in schema["type"]]}


def text() -> str:
    """The schemas as they stand at the end of docs/openapi.yaml."""

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            return True  # AWS::Include takes no anchors

        def represent_list(self, data: list[Any]) -> yaml.Node:
            short = all(isinstance(item, str | int) for item in data)
            return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=short)

    Dumper.add_representer(list, Dumper.represent_list)
    plain = json.loads(json.dumps(components()))
    lines = yaml.dump(plain, Dumper=Dumper, sort_keys=False, width=108, allow_unicode=True).splitlines()
    return "".join(f"    {line}\n" if line else "\n" for line in lines)


if __name__ == "__main__":
    print(text(), end="")
