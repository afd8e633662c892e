"""Converts rows to values and back, field by field.

One rule covers rows of earlier releases: when a row lacks an attribute, the field gets its default. Fields without a
default have been written by every release; a row without one of them cannot be read.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

from pynamodb.attributes import Attribute
from pynamodb.expressions.condition import Condition

Value = TypeVar("Value")


class IncompleteRow(Exception):
    """An item lacks an attribute that every release writes: it was changed by hand, or Clipferry did not write it."""


def value_of(row: Any, cls: type[Value], **given: Any) -> Value:
    """The row as a dataclass. `given`: values of fields that have no attribute. Raises IncompleteRow."""
    values = dict(given)
    for field in fields(cls):  # type: ignore[arg-type]
        if field.name in given:
            continue
        value = getattr(row, field.name)
        if value is not None:
            values[field.name] = value
        elif _required(field):
            raise IncompleteRow(f"{row.pk}/{row.sk} has no {field.name}")
    return cls(**values)


def attributes_of(value: Any, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The field values of a dataclass, by the names of their attributes."""
    return {field.name: getattr(value, field.name) for field in fields(value) if field.name not in without}


def as_read(attribute: Attribute[Any], value: Any, default: Any = None) -> Condition:
    """The condition that an attribute still has the value that was read. If that is the default, it may be absent."""
    absent: Condition = attribute.does_not_exist()
    if value is None:
        return absent
    same: Condition = attribute == value
    return same | absent if value == default else same


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING
