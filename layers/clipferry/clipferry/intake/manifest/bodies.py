"""Turns one record of a manifest into a job body, and adds the batch's defaults.

JSONL: a line is a body as for `POST /jobs`; a comma at its end is ignored. CSV: an empty cell is an absent field, and
cells that are missing at the end of a row are empty. If the vendor's schema asks for a type other than text, the cell
holds JSON (`60`, `{"a": 1}`). A list is JSON (`["a", "b"]`), or has one item on each line of its cell.

A field of the record replaces the batch's default, also inside of `destination` and `labels`. A default account is used
only for records of the default vendor.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from clipferry.intake.checks import FieldError, InvalidBody
from clipferry.intake.job_body import BODY_SCHEMA
from clipferry.intake.manifest.csv_records import CsvError, cells_of
from clipferry.intake.manifest.layout import BLANKS, ManifestLayout, field_of
from clipferry.intake.manifest.records import RECORD_MAX, ManifestRecord
from clipferry.vendors import VENDORS, vendor_class

_SEVERAL_URLS = re.compile(r"https?://.*[\s,;|]https?://", re.IGNORECASE | re.DOTALL)
_LISTS = 'write a list as JSON (["…", "…"]) or one item a line'


def body_of(record: ManifestRecord, layout: ManifestLayout, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a record. Raises InvalidBody."""
    if record.content is None:
        raise _invalid(f"must be at most {RECORD_MAX} bytes")
    try:
        text = record.content.decode()
    except UnicodeDecodeError as error:
        raise _invalid(f"must be UTF-8; byte {error.start + 1} of the line is not") from None
    return merge(_from_cells(text, layout, defaults) if layout.format == "csv" else _from_json(text), defaults)


def merge(body: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults, replaced by the record's own fields; the fields of an object are replaced one by one."""
    under = dict(defaults)
    if "vendor" in under and body.get("vendor", under["vendor"]) != under["vendor"]:
        under.pop("account", None)
    merged = {**under, **body}
    for name, default in under.items():
        if isinstance(default, dict) and isinstance(body.get(name), dict):
            merged[name] = {**default, **body[name]}
    return merged


def _from_json(text: str) -> dict[str, Any]:
    text = text.strip().removesuffix(",")
    if text.startswith(("#", "//")):
        raise _invalid("is a comment; JSONL has none")
    if text.startswith("\ufeff"):
        raise _invalid("begins with U+FEFF, a byte order mark, which may stand at the manifest's beginning only")
    try:
        body = json.loads(text)
    except json.JSONDecodeError as error:
        lone = "; lines end with LF or CRLF, not with CR alone" if "\r" in text else ""
        raise _invalid(f"is not JSON: {error.msg} at column {error.colno}{lone}") from None
    except (ValueError, RecursionError):
        raise _invalid("is not JSON that can be read") from None
    if isinstance(body, list):
        raise _invalid("is a JSON array; each line is one JSON object, without brackets around them")
    if not isinstance(body, dict):
        raise _invalid("must be a JSON object")
    return body


def _from_cells(text: str, layout: ManifestLayout, defaults: Mapping[str, Any]) -> dict[str, Any]:
    given = _given(text, layout)
    vendor = given.get("vendor", defaults.get("vendor"))
    body: dict[str, Any] = {}
    errors: list[FieldError] = []
    for column, cell in given.items():
        group, _, name = field_of(column).partition(".")
        group = "labels" if group == "label" else group
        place, field = (body.setdefault(group, {}), name) if name else (body, group)
        try:
            place[field] = _value(cell, _schema(vendor, group, name))
        except CsvError as error:
            errors.append(FieldError(f"/{group}/{name}" if name else f"/{group}", str(error)))
    if errors:
        raise InvalidBody(errors)
    return body


def _given(text: str, layout: ManifestLayout) -> dict[str, str]:
    """The cells that are not empty, by their columns. Raises InvalidBody."""
    if text.startswith("#"):
        raise _invalid("begins with #; CSV has no comments (a cell that begins so has to stand in quotes)")
    try:
        cells = [cell.strip(BLANKS) for cell in cells_of(text, layout.delimiter)]
    except CsvError as error:
        raise _invalid(str(error)) from None
    columns = [*layout.columns, *[""] * len(cells)]
    for number, (column, cell) in enumerate(zip(columns, cells, strict=False), 1):
        if cell and not column:
            raise _invalid(f"cell {number} of {len(cells)} is not empty and has no column: {_named(layout)}")
    return {column: cell for column, cell in zip(columns, cells, strict=False) if cell}


def _named(layout: ManifestLayout) -> str:
    return f"the header names {sum(map(bool, layout.columns))}"


def _schema(vendor: Any, group: str, name: str) -> Mapping[str, Any]:
    """The schema of a field; empty for a field that the vendor does not know: the check reports it later."""
    if group == "labels":
        return {"type": "string"}
    if group in ("request", "adopt"):
        if vendor not in VENDORS:
            return {}
        described = vendor_class(vendor)
        schema = described.request_schema if group == "request" else described.adopt_schema
    else:
        schema = BODY_SCHEMA["properties"][group] if name else BODY_SCHEMA
    found: Mapping[str, Any] = schema.get("properties", {}).get(name or group, {})
    return found


def _value(cell: str, schema: Mapping[str, Any]) -> Any:
    """A cell as a value of the schema's type; if this fails it stays text, and the check reports it later.

    Raises CsvError.
    """
    wanted = schema.get("type", ())
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if "string" in wanted:
        return cell
    if "array" in wanted:
        return _items(cell, schema.get("items", {}))
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def _items(cell: str, schema: Mapping[str, Any]) -> list[Any]:
    """The list in a cell: a JSON array, or one item on each line. Raises CsvError."""
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError) as error:
        if cell.startswith("["):
            raise CsvError(f"begins like a list in JSON and is none ({error})") from None
        value = None
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return [value]
    items = [item for line in re.split(r"\r\n|\r|\n", cell) if (item := line.strip(BLANKS))]
    if any(_SEVERAL_URLS.match(item) for item in items):
        raise CsvError(f"holds several URLs in one line; {_LISTS}")
    return [_value(item, schema) for item in items]


def _invalid(detail: str) -> InvalidBody:
    return InvalidBody([FieldError("", detail)])
